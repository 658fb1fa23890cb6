//! Who is connected, from the data plane, and ending it.

use std::sync::atomic::Ordering;

use aws_sdk_iotdataplane::primitives::Blob;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::DeviceCommand;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::FleetTopic;
use fleetkey_operator::control_plane::{ApiError, Connected, Done};
use fleetkey_operator::plan::Cutter;

use crate::Aws;
use crate::error::refused;
use crate::permit::Command::{PanicClaim, RecoveryApprove, RecoveryReject, Revoke, Serve};
use crate::permit::{On, Permit};

pub(crate) const PERMITS: &[Permit] = &[
    Permit { call: "iot:Publish", also: &[], on: On::Commands, by: &[RecoveryApprove] },
    Permit {
        call: "iot:GetConnection",
        also: &[],
        on: On::Clients,
        by: &[Serve, Revoke, RecoveryReject, PanicClaim],
    },
    Permit {
        call: "iot:DeleteConnection",
        also: &[],
        on: On::Clients,
        by: &[Revoke, RecoveryReject, PanicClaim],
    },
];

impl Cutter for Aws {
    async fn cut(&self, client: &ClientId) -> Done {
        let call = self.data.delete_connection().client_id(client.as_str());
        call.send().await.map(drop).map_err(refused)
    }
}

impl Aws {
    /// Tells a device something on its command topic.
    pub(crate) async fn tell_device(&self, thing: &ThingName, command: &DeviceCommand) -> Done {
        let topic = FleetTopic::Commands(thing.clone()).to_string();
        let payload = serde_json::to_vec(command).map_err(|error| ApiError::Other(error.to_string()))?;
        let call = self.data.publish().topic(topic).qos(1).payload(Blob::new(payload));
        call.send().await.map(drop).map_err(refused)
    }

    /// GetConnection. A caller that may not ask is told so once in the log, and goes on without.
    pub(crate) async fn connected(&self, client: &ClientId) -> Result<Connected, ApiError> {
        let call = self.data.get_connection().client_id(client.as_str());
        match call.send().await.map_err(refused) {
            Ok(found) => Ok(match (found.connected(), u64::try_from(found.connected_since())) {
                (false, _) => Connected::No,
                (true, Ok(since)) if since > 0 => Connected::Since(Timestamp::from_millis(since)),
                (true, _) => Connected::Untold,
            }),
            // Neither connected nor waited for by a session.
            Err(ApiError::NotFound(_)) => Ok(Connected::No),
            Err(ApiError::Other(reason)) => {
                if !self.untold.swap(true, Ordering::Relaxed) {
                    tracing::warn!(reason, "the account does not tell who is connected: only its events do");
                }
                Ok(Connected::Untold)
            }
            Err(error) => Err(error),
        }
    }
}
