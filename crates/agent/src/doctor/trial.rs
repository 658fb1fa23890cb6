//! One connection as one client id, as far as it goes: TLS, CONNACK, SUBACK, PUBACK, the echo.

use std::time::Duration;

use bytes::Bytes;
use fleetkey_lifecycle::event::FailureKind;
use fleetkey_model::name::ClientId;
use fleetkey_mqtt::link::{Client, ConnectError, ConnectOptions, Messages, PublishError};
use fleetkey_mqtt::session::SessionConfig;
use fleetkey_mqtt::{QoS, Version};
use tokio::time::timeout;

use crate::connect::is_passing;
use crate::pace::Pacer;
use crate::tls::{ClientIdentity, Dialer, Failure, REFUSAL};

/// The longest that AWS keeps a session by default, in seconds: a session that is taken over must not end with us.
const SESSION: u32 = 3600;

/// How often a broker that throttles is asked.
const ATTEMPTS: usize = 5;

/// How far one connection came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) client: ClientId,
    pub(super) reached: Reached,
}

/// Where it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reached {
    /// No connection, for reasons that say nothing of us.
    Unreached(String),
    /// The server's TLS refused our certificate.
    Tls(String),
    /// TLS, but whoever answers speaks no MQTT.
    NoMqtt(String),
    /// The broker has no time for us.
    Throttled(String),
    /// The broker said no to CONNECT, or hung up on it.
    Refused(String),
    /// It let us in.
    In(Use),
}

/// What came of using the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) subscribe: Step,
    pub(super) publish: Step,
    pub(super) receive: Step,
}

/// What came of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    Refused(String),
    Silent(String),
    Skipped(&'static str),
}

/// Makes trials, no two of one client id within a second.
#[derive(Debug)]
pub(super) struct Trials {
    pub(super) dialer: Dialer,
    pub(super) pacer: Pacer,
    pub(super) topic: String,
    pub(super) limit: Duration,
}

impl Trials {
    /// Connects as `client`; `live` if that id is in use by the device's own client, whose session is then left as it
    /// is. Somebody else may just have used the id: a throttle is waited out.
    pub(super) async fn run(&self, identity: &ClientIdentity, client: &ClientId, live: bool) -> Trial {
        let mut reached = self.attempt(identity, client, live).await;
        for _ in 1..ATTEMPTS {
            if !matches!(reached, Reached::Throttled(_)) {
                break;
            }
            reached = self.attempt(identity, client, live).await;
        }
        Trial { client: client.clone(), reached }
    }

    async fn attempt(&self, identity: &ClientIdentity, client: &ClientId, live: bool) -> Reached {
        let (connection, messages) = match self.connect(identity, client, live).await {
            Ok(connected) => connected,
            Err(reached) => return reached,
        };
        let used = self.use_it(&connection, messages).await;
        if live {
            let _ = timeout(self.limit, connection.unsubscribe(&[self.topic.as_str()])).await;
        }
        connection.disconnect().await;
        Reached::In(used)
    }

    async fn connect(
        &self,
        identity: &ClientIdentity,
        client: &ClientId,
        live: bool,
    ) -> Result<(Client, Messages), Reached> {
        let stream = self.dialer.dial(identity).await.map_err(|error| {
            let failure = Failure::from(error);
            match failure.kind {
                FailureKind::Refused => Reached::Tls(failure.why),
                FailureKind::Unreachable | FailureKind::Unreadable => Reached::Unreached(failure.why),
            }
        })?;
        self.pacer.ready(client).await;
        self.pacer.note(client);
        let options = ConnectOptions {
            version: Version::V5,
            clean_start: !live,
            session_expiry: live.then_some(SESSION),
            ..ConnectOptions::new(client.as_str())
        };
        let started = timeout(self.limit, Client::start(stream, options, SessionConfig::default())).await;
        started.unwrap_or(Err(ConnectError::Timeout)).map_err(|error| judge(&error))
    }

    async fn use_it(&self, client: &Client, mut messages: Messages) -> Use {
        let subscribe = self.subscribe(client).await;
        let payload = match crate::verify::nonce() {
            Ok(payload) => payload,
            Err(failure) => {
                return Use { subscribe, publish: Step::Silent(failure.why), receive: NOTHING_SENT };
            }
        };
        let publish = self.publish(client, &payload).await;
        let receive = match (&subscribe, &publish) {
            (Step::Done, Step::Done) => self.receive(&mut messages, &payload).await,
            (Step::Done, _) => NOTHING_SENT,
            _ => Step::Skipped("there is no subscription"),
        };
        Use { subscribe, publish, receive }
    }

    async fn subscribe(&self, client: &Client) -> Step {
        match timeout(self.limit, client.subscribe(&[(self.topic.as_str(), QoS::AtLeastOnce)])).await {
            Ok(Ok(reasons)) => match reasons.iter().find(|reason| reason.is_error()) {
                None => Step::Done,
                Some(reason) => Step::Refused(format!("SUBACK says {reason}")),
            },
            Ok(Err(error)) => Step::Refused(error.to_string()),
            Err(_) => Step::Silent(format!("no SUBACK within {:?}", self.limit)),
        }
    }

    async fn publish(&self, client: &Client, payload: &Bytes) -> Step {
        match timeout(self.limit, client.publish(self.topic.as_str(), payload.clone(), QoS::AtLeastOnce))
            .await
        {
            Ok(Ok(())) => Step::Done,
            Ok(Err(PublishError::Refused(reason))) => Step::Refused(format!("PUBACK says {reason}")),
            Ok(Err(error)) => Step::Refused(error.to_string()),
            Err(_) => Step::Silent(format!("no PUBACK within {:?}", self.limit)),
        }
    }

    async fn receive(&self, messages: &mut Messages, payload: &Bytes) -> Step {
        let echo = async {
            while let Some(message) = messages.recv().await {
                if message.payload == *payload {
                    return true;
                }
            }
            false
        };
        match timeout(self.limit, echo).await {
            Ok(true) => Step::Done,
            Ok(false) => Step::Refused("the connection was closed before the message came back".into()),
            Err(_) => Step::Refused(format!("taken, but not delivered within {:?}", self.limit)),
        }
    }
}

const NOTHING_SENT: Step = Step::Skipped("nothing could be published that would come back");

fn judge(error: &ConnectError) -> Reached {
    let why = error.to_string();
    match error {
        ConnectError::Refused(reason) if is_passing(*reason) => Reached::Throttled(why),
        ConnectError::Refused(_) | ConnectError::Closed => Reached::Refused(why),
        ConnectError::Io { kind, .. } if *kind == REFUSAL => Reached::Tls(why),
        ConnectError::Io { .. } => Reached::Unreached(why),
        ConnectError::Timeout
        | ConnectError::Unexpected(_)
        | ConnectError::Malformed(_)
        | ConnectError::Unsendable(_) => Reached::NoMqtt(why),
    }
}
