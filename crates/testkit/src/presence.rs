//! Presence events as they happen, heard with the controller's identity.

use fleetkey_agent::tls::ClientIdentity;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::topic::ReservedTopic;
use fleetkey_mqtt::QoS;
use fleetkey_mqtt::link::{Client, Messages};
use serde_json::Value;

use crate::bench::Bench;
use crate::wait::within;

/// A listener to presence events.
pub struct Presence {
    _client: Client,
    messages: Messages,
}

/// One presence event, as far as scenarios ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who.
    pub client: String,
    /// `connected` or `disconnected`.
    pub event: String,
    /// With which certificate.
    pub principal: CertificateId,
    /// Why it went, if it went.
    pub reason: Option<String>,
}

impl Presence {
    /// Listens from now on, in the controller's place.
    pub async fn listen(bench: &Bench) -> Self {
        let controller = &bench.report.controller;
        let identity = ClientIdentity::from_files(&controller.certificate, &controller.key).unwrap();
        let client_id = bench.fleet.names.controller_client.as_str();
        let (client, messages) = bench.connect(&identity, client_id).await.unwrap();
        let filters = [ReservedTopic::ALL_CONNECTED, ReservedTopic::ALL_DISCONNECTED];
        let granted = client.subscribe(&filters.map(|filter| (filter, QoS::AtLeastOnce))).await.unwrap();
        assert!(granted.iter().all(|reason| !reason.is_error()), "{granted:?}");
        Self { _client: client, messages }
    }

    /// The next event.
    pub async fn next(&mut self) -> Seen {
        let message =
            within("a presence event", self.messages.recv()).await.expect("the listener's connection");
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
        Seen {
            client: text("clientId").unwrap(),
            event: text("eventType").unwrap(),
            principal: text("principalIdentifier").unwrap().parse().unwrap(),
            reason: text("disconnectReason"),
        }
    }

    /// The next event of this client.
    pub async fn next_of(&mut self, client: &str) -> Seen {
        loop {
            let seen = self.next().await;
            if seen.client == client {
                return seen;
            }
        }
    }
}
