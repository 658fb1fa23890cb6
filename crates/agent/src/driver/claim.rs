//! The claim connection: made for the first request, kept for RegisterThing, closed after it.
//!
//! One connection for both, because AWS takes one CONNECT a second from a client id, and because the device
//! must let go of the claim as soon as it has an identity of its own (Developer Guide, provision-wo-cert).

use std::sync::Arc;

use fleetkey_lifecycle::event::FailureKind;
use fleetkey_mqtt::link::{Client, Messages};
use tokio::sync::Mutex;

use crate::config::AgentConfig;
use crate::connect::Connector;
use crate::disk::Disk;
use crate::tls::ClientIdentity;

/// A connection with the claim certificate.
#[derive(Debug)]
pub(super) struct ClaimConnection {
    pub(super) client: Client,
    pub(super) messages: Messages,
}

/// Where the connection waits between the two requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClaimDesk(Arc<Mutex<Option<ClaimConnection>>>);

impl ClaimDesk {
    /// The connection that waits, or a new one; the reason, for people, when there is none.
    pub(super) async fn take(
        &self,
        connector: &Connector,
        config: &AgentConfig,
        disk: &Disk,
    ) -> Result<ClaimConnection, String> {
        match self.0.lock().await.take() {
            Some(waiting) => Ok(waiting),
            None => open(connector, config, disk).await,
        }
    }

    /// Leaves the connection for the next request.
    pub(super) async fn leave(&self, connection: ClaimConnection) {
        *self.0.lock().await = Some(connection);
    }
}

async fn open(connector: &Connector, config: &AgentConfig, disk: &Disk) -> Result<ClaimConnection, String> {
    let claim = config.claim.as_ref().ok_or("no claim certificate is configured")?;
    let client_id = claim.client_id(&config.serial).map_err(|error| error.to_string())?;
    let (certificate, key) = (claim.certificate.clone(), claim.key.clone());
    let read = disk.run(move |_| Ok(ClientIdentity::from_files(&certificate, &key)));
    let identity = read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let connected = connector.client(&identity, &client_id).await;
    let (client, messages) = connected.map_err(|failure| match failure.kind {
        // For people: by itself it may be no more than a policy that is not there yet.
        FailureKind::Refused => format!("the claim certificate is refused: {failure}"),
        FailureKind::Unreachable | FailureKind::Unreadable => format!("claim connection: {failure}"),
    })?;
    Ok(ClaimConnection { client, messages })
}
