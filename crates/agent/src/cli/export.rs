//! `fleetkey-agent export`: the identity in use as another program wants it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fleetkey_agent::AgentConfig;
use fleetkey_agent::bundle::{self, Client};
use serde_json::json;

/// For which program, and where to.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The program.
    client: Program,
    #[command(flatten)]
    pub(super) config: super::ConfigArgs,
    /// The directory; made with mode 0700.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The file with the passphrase for PKCS#12, in its first line; made if it is not there. By default DIR.passphrase.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    /// A bridge of mosquitto.
    Mosquitto,
    /// Paho C and libmosquitto.
    Paho,
    /// Paho for Python.
    PahoPython,
    /// Ignition and Chariot.
    Ignition,
    /// CODESYS: PKCS#12, roots, sums, and a sheet of steps.
    Codesys,
}

pub(super) fn run(config: &AgentConfig, args: &ExportArgs) -> anyhow::Result<()> {
    let client = match args.client {
        Program::Mosquitto => Client::Mosquitto,
        Program::Paho => Client::Paho,
        Program::PahoPython => Client::PahoPython,
        Program::Ignition => Client::Ignition,
        Program::Codesys => Client::Codesys,
    };
    let made = bundle::write(config, client, &args.to, args.passphrase_file.as_deref())?;
    super::ask::print(json!({"files": made.files, "sheet": made.sheet}));
    Ok(())
}
