//! From a TLS connection to an MQTT connection: CONNECT, paced by client id, its failures judged.

use std::time::Duration;

use fleetkey_lifecycle::event::Tier;
use fleetkey_model::name::ClientId;
use fleetkey_mqtt::link::{Client, ConnectError, ConnectOptions, Connected, Link, Messages};
use fleetkey_mqtt::session::SessionConfig;
use fleetkey_mqtt::{ReasonCode, Version};

use crate::pace::Pacer;
use crate::tls::{ClientIdentity, Dialer, Failure, REFUSAL, Stream};

/// Makes MQTT connections to one broker.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) dialer: Dialer,
    pub(crate) pacer: Pacer,
    /// CONNECT to CONNACK.
    pub(crate) limit: Duration,
    pub(crate) version: Version,
    /// Keep-alive in seconds.
    pub(crate) keep_alive: u16,
}

/// A connection that the broker has accepted.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) link: Link<Stream>,
    pub(crate) connected: Connected,
}

impl Connector {
    /// TCP and TLS, and the wait until `client` may send a CONNECT; after this a CONNECT goes out at once.
    pub(crate) async fn dial(&self, identity: &ClientIdentity, client: &ClientId) -> Result<Stream, Failure> {
        let stream = self.dialer.dial(identity).await?;
        self.pacer.ready(client).await;
        Ok(stream)
    }

    /// CONNECT with these options, to CONNACK.
    pub(crate) async fn open(
        &self,
        stream: Stream,
        client: &ClientId,
        options: &ConnectOptions,
    ) -> Result<Box<Opened>, Failure> {
        self.pacer.note(client);
        let connected = Link::connect(stream, options, self.limit).await;
        let (link, connected) = connected.map_err(|error| judge(&error))?;
        Ok(Box::new(Opened { link, connected }))
    }

    /// A short-lived connection with a clean session, for provisioning and verification.
    pub(crate) async fn client(
        &self,
        identity: &ClientIdentity,
        client: &ClientId,
    ) -> Result<(Client, Messages), Failure> {
        let stream = self.dial(identity, client).await?;
        self.pacer.note(client);
        let options = ConnectOptions {
            version: self.version,
            clean_start: true,
            keep_alive: self.keep_alive,
            ..ConnectOptions::new(client.as_str())
        };
        tokio::time::timeout(self.limit, Client::start(stream, options, SessionConfig::default()))
            .await
            .unwrap_or(Err(ConnectError::Timeout))
            .map_err(|error| judge(&error))
    }
}

/// What became of CONNECT. AWS's usual refusal is to close without a CONNACK (Developer Guide, mqtt).
fn judge(error: &ConnectError) -> Failure {
    let why = error.to_string();
    match error {
        ConnectError::Refused(reason) if is_passing(*reason) => Failure::unreachable(Tier::Connack, why),
        ConnectError::Refused(_) | ConnectError::Closed => Failure::refused(Tier::Connack, why),
        // Under TLS 1.3 the alert about a client certificate arrives with the first read.
        ConnectError::Io { kind: REFUSAL, .. } => Failure::refused(Tier::Tls, why),
        _ => Failure::unreachable(Tier::Connack, why),
    }
}

/// Reasons that may pass by themselves or are not about us: overload, rates, maintenance, a place that was taken.
pub(crate) fn is_passing(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::SERVER_UNAVAILABLE
            | ReasonCode::SERVER_BUSY
            | ReasonCode::SERVER_SHUTTING_DOWN
            | ReasonCode::KEEP_ALIVE_TIMEOUT
            | ReasonCode::SESSION_TAKEN_OVER
            | ReasonCode::MESSAGE_RATE_TOO_HIGH
            | ReasonCode::QUOTA_EXCEEDED
            | ReasonCode::ADMINISTRATIVE_ACTION
            | ReasonCode::USE_ANOTHER_SERVER
            | ReasonCode::SERVER_MOVED
            | ReasonCode::CONNECTION_RATE_EXCEEDED
            | ReasonCode::MAXIMUM_CONNECT_TIME
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fleetkey_lifecycle::event::FailureKind;

    use super::*;
    use crate::SystemClock;
    use crate::testing::Broker;
    use crate::tls::testing::{Server, identity};
    use crate::tls::{Endpoint, Roots};

    async fn failure(port: u16, root: std::path::PathBuf) -> (Tier, FailureKind) {
        let endpoint = Endpoint { host: "localhost".into(), port, alpn: None, server_name: None };
        let limit = Duration::from_secs(5);
        let roots = Arc::new(Roots::new(vec![root]));
        let connector = Connector {
            dialer: Dialer::new(endpoint, roots, Arc::new(SystemClock), limit),
            pacer: Pacer::new(Duration::ZERO),
            limit,
            version: Version::V5,
            keep_alive: 30,
        };
        let (stranger, _) = identity("stranger");
        let client = ClientId::new("dev-1~verify").unwrap();
        let failure = connector.client(&stranger, &client).await.unwrap_err();
        (failure.tier, failure.kind)
    }

    #[tokio::test]
    async fn a_refusal_is_judged_by_the_layer_that_refuses() {
        let (_, trusted) = identity("device");
        let server = Server::trusting(&trusted).await;
        let by_tls = failure(server.port(), server.root_file()).await;
        assert_eq!(by_tls, (Tier::Tls, FailureKind::Refused));
        let broker = Broker::start().await;
        let config = broker.device("dev-1");
        let by_mqtt = failure(config.endpoint.port, config.roots[0].clone()).await;
        assert_eq!(by_mqtt, (Tier::Connack, FailureKind::Refused));
    }

    #[test]
    fn a_broker_that_is_busy_or_throttles_has_not_refused_us() {
        for passing in [ReasonCode::SERVER_BUSY, ReasonCode::CONNECTION_RATE_EXCEEDED] {
            let judged = judge(&ConnectError::Refused(passing));
            assert_eq!(judged.kind, FailureKind::Unreachable);
        }
        let judged = judge(&ConnectError::Refused(ReasonCode::NOT_AUTHORIZED));
        assert_eq!(judged.kind, FailureKind::Refused);
    }
}
