//! `fleetkey-agent export`: the identity in use as another program wants it.

use std::path::PathBuf;

use clap::Args;
use fleetkey_agent::AgentConfig;
use fleetkey_agent::bundle::{self, Client};
use serde_json::json;

/// For which program, and where to.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The program.
    client: Client,
    #[command(flatten)]
    pub(super) config: super::ConfigArgs,
    /// The directory; made with mode 0700.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The file with the passphrase for PKCS#12, in its first line; made if it is not there. By default DIR.passphrase.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(super) fn run(config: &AgentConfig, args: &ExportArgs) -> anyhow::Result<()> {
    let made = bundle::write(config, args.client, &args.to, args.passphrase_file.as_deref())?;
    super::ask::print(json!({"files": made.files, "sheet": made.sheet}));
    Ok(())
}
