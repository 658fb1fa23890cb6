//! Connections beside a device's agent, as `<thing>~agent`: they disturb no live session.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use fleetkey_agent::store::{CERTIFICATE_FILE, EXPORT_LINK, KEY_FILE};
use fleetkey_agent::tls::ClientIdentity;
use fleetkey_model::name::{ClientId, SerialNumber};
use fleetkey_mqtt::link::{Client, ConnectError, ConnectOptions, Messages};
use fleetkey_mqtt::session::SessionConfig;
use fleetkey_mqtt::{ReasonCode, Version};

use crate::datadir::DataDir;
use crate::fleet_file::FleetFile;
use crate::stage::dialer;

/// AWS takes one CONNECT a second of one client id; two commands in a row need a second attempt.
const CONNECT_PAUSE: Duration = Duration::from_millis(1100);
const CONNECT_ATTEMPTS: usize = 5;

/// Connects with the identity that the device has exported.
///
/// # Errors
/// When there is none, or the broker does not let it in.
pub(crate) async fn connect(
    data: &DataDir,
    fleet: &FleetFile,
    serial: &SerialNumber,
) -> Result<(Client, Messages)> {
    let files = data.device(serial).join(EXPORT_LINK);
    let identity = ClientIdentity::from_files(&files.join(CERTIFICATE_FILE), &files.join(KEY_FILE))
        .with_context(|| {
            format!("{serial} has no identity; `fleetkey device provision --serial {serial}` gets one")
        })?;
    let dialer = dialer(fleet);
    for _ in 0..CONNECT_ATTEMPTS {
        let stream = dialer.dial(&identity).await.context("the local IoT Core cannot be reached")?;
        let options = ConnectOptions {
            version: Version::V5,
            ..ConnectOptions::new(ClientId::agent(&serial.thing()).as_str())
        };
        match Client::start(stream, options, SessionConfig::default()).await {
            Err(ConnectError::Refused(ReasonCode::QUOTA_EXCEEDED)) => tokio::time::sleep(CONNECT_PAUSE).await,
            outcome => return outcome.context("the broker does not let this device in"),
        }
    }
    bail!("other commands of this device keep connecting; AWS takes one CONNECT a second of one client id")
}
