//! `fleetkey-agent import`: an identity that another program has got.

use std::path::PathBuf;

use clap::Args;
use fleetkey_agent::clock::Clock;
use fleetkey_agent::import::{Pair, import};
use fleetkey_agent::{AgentConfig, SystemClock};
use serde_json::json;

/// Which files.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The directory with the pair: device.cert.pem and device.key.pem, there or in device_SERIAL/, or
    /// SERIAL-certificate.pem and SERIAL-private.key.
    #[arg(long, value_name = "DIR", required_unless_present_all = ["certificate", "key"])]
    from: Option<PathBuf>,
    /// The certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "from")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate", conflicts_with = "from")]
    key: Option<PathBuf>,
    /// Take a certificate whose common name is not the serial.
    #[arg(long)]
    any_common_name: bool,
}

pub(super) fn run(config: &AgentConfig, args: &ImportArgs) -> anyhow::Result<()> {
    let pair = match (&args.certificate, &args.key, &args.from) {
        (Some(certificate), Some(key), _) => Pair { certificate: certificate.clone(), key: key.clone() },
        (_, _, from) => Pair::find(from.as_deref().unwrap_or(&PathBuf::new()), &config.serial)?,
    };
    let now = SystemClock.now();
    let imported = import(&config.state_dir, &config.serial, &pair, args.any_common_name, now)?;
    super::ask::print(json!({
        "certificate": imported.certificate,
        "not_after": imported.not_after.to_string(),
        "already": imported.already,
        "names_nobody": imported.nameless,
    }));
    Ok(())
}
