//! Arguments of the device commands that have several.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use fleetkey_agent::bundle::Client;
use fleetkey_model::topic::TopicRoot;

use super::DeviceArgs;

/// The files that `device import` takes over.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The directory with the pair: device.cert.pem and device.key.pem, there or in device_SERIAL/, or
    /// SERIAL-certificate.pem and SERIAL-private.key.
    #[arg(long, value_name = "DIR", required_unless_present_all = ["certificate", "key"])]
    pub(crate) from: Option<PathBuf>,
    /// The certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "from")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate", conflicts_with = "from")]
    pub(crate) key: Option<PathBuf>,
    /// Take a certificate whose common name is not the serial.
    #[arg(long)]
    pub(crate) any_common_name: bool,
}

/// A step of a rotation, and how long to wait for its end.
#[derive(Debug, Args)]
pub(crate) struct StepArgs {
    /// How long to wait for the end of the step; the order stands whatever comes.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = super::duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// For which program a device's identity is exported, and where to.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The program.
    pub(crate) client: Client,
    /// The directory; made with mode 0700.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// The file with the passphrase for PKCS#12, in its first line; made if it is not there. By default DIR.passphrase.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// The first levels of the topics that a device has for its own business.
pub(super) fn topic_root(text: &str) -> Result<TopicRoot, String> {
    TopicRoot::new(text).map_err(|error| error.to_string())
}
