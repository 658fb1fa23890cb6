//! The proof of an identity on the live session's client id: SUBACK and a QoS 1 echo on a connection that has just
//! taken it over, before the owner's session moves to it.
//!
//! The owner's session is not touched: nothing of its outbox can be refused by an identity that will not do, no
//! subscription of it be lost. What the broker has for the client meanwhile is held, unacknowledged, for the owner's
//! session: that takes it in when it moves here, and acknowledges it as ever; after a failure the broker delivers it
//! again. The tiers are judged as beside the live session (`crate::verify`).

use std::time::Duration;

use bytes::Bytes;
use fleetkey_lifecycle::event::Tier;
use fleetkey_mqtt::link::{Link, LinkError};
use fleetkey_mqtt::session::{Event, Incoming, Outgoing, Session, SessionConfig, Token};
use fleetkey_mqtt::{Publish, QoS, ReasonCode, SubscribeFilter};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{LiveEvent, LiveSettings};
use crate::carrier::Message;
use crate::connect::Opened;
use crate::tls::{Failure, Stream};
use crate::verify::{judge_suback, no_echo, no_suback, nonce, said_no};

/// What an identity has to pass besides TLS and CONNACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The topic of the echo, one of the device's own.
    pub(crate) topic: String,
    /// How long SUBACK, and again the echo, may take.
    pub(crate) limit: Duration,
}

/// A connection whose identity has proved itself.
pub(super) struct Proven {
    pub(super) opened: Opened,
    /// What came by it meanwhile and is for the owner's session.
    pub(super) held: Vec<Publish>,
}

/// Takes the connection through the last two tiers. It comes back fit for the owner's session; on failure it is over.
pub(super) async fn prove(
    opened: Opened,
    proof: &Proof,
    settings: &LiveSettings,
    events: &mpsc::Sender<LiveEvent>,
) -> Result<Box<Proven>, Failure> {
    let Opened { link, connected } = opened;
    let mut session = Session::new(SessionConfig::default());
    connected.begin(&mut session);
    let (held, echo) = (Vec::new(), Echo::default());
    let mut trial = Trial { link, session, settings, events, granted: None, echo, held };
    match trial.run(proof).await {
        Ok(()) => Ok(Box::new(Proven { opened: Opened { link: trial.link, connected }, held: trial.held })),
        Err(failure) => {
            trial.leave().await;
            Err(failure)
        }
    }
}

/// A connection on trial, with a session of its own.
struct Trial<'a> {
    link: Link<Stream>,
    session: Session,
    settings: &'a LiveSettings,
    events: &'a mpsc::Sender<LiveEvent>,
    /// The answer to the subscription.
    granted: Option<Vec<ReasonCode>>,
    echo: Echo,
    held: Vec<Publish>,
}

/// How far the echo has come.
#[derive(Default)]
struct Echo {
    nonce: Bytes,
    token: Option<Token>,
    acknowledged: bool,
    refused: Option<ReasonCode>,
    returned: bool,
}

impl Trial<'_> {
    async fn run(&mut self, proof: &Proof) -> Result<(), Failure> {
        let Proof { topic, limit } = proof;
        let listened = timeout(*limit, self.listen(topic)).await;
        listened.unwrap_or_else(|_| Err(no_suback(*limit)))?;
        let echoed = timeout(*limit, self.send_and_hear(topic)).await;
        echoed.unwrap_or_else(|_| Err(no_echo(self.echo.acknowledged, *limit)))?;
        self.flush().await;
        Ok(())
    }

    async fn listen(&mut self, topic: &str) -> Result<(), Failure> {
        self.session.subscribe(vec![SubscribeFilter::new(topic, QoS::AtLeastOnce)]);
        loop {
            if let Some(reasons) = &self.granted {
                return judge_suback(topic, reasons);
            }
            self.step(Tier::Suback).await?;
        }
    }

    /// Passes when the message is both acknowledged and back: no packet identifier is in use then.
    async fn send_and_hear(&mut self, topic: &str) -> Result<(), Failure> {
        self.echo.nonce = nonce()?;
        let message = Outgoing::new(topic, self.echo.nonce.clone(), QoS::AtLeastOnce);
        let unsent =
            |error: fleetkey_mqtt::session::OutboxError| Failure::unreachable(Tier::Echo, error.to_string());
        self.echo.token = Some(self.session.publish(message).map_err(unsent)?);
        loop {
            if let Some(reason) = self.echo.refused {
                let why = format!("the broker refused the publish: {reason}");
                return Err(said_no(Tier::Echo, reason, why));
            }
            if self.echo.acknowledged && self.echo.returned {
                return Ok(());
            }
            self.step(Tier::Echo).await?;
        }
    }

    /// Serves the connection until something has happened on it. Cancel it at will.
    async fn step(&mut self, tier: Tier) -> Result<(), Failure> {
        let stepped = self.link.step(&mut self.session).await;
        while let Some(event) = self.session.poll_event() {
            self.on_event(event).await;
        }
        stepped.map_err(|error| ended(tier, &error))
    }

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Subscribed(_, reasons) => self.granted = Some(reasons),
            Event::Delivered(_) => self.echo.acknowledged = true,
            Event::Refused(token, reason) if self.echo.token == Some(token) => {
                self.echo.refused = Some(reason);
            }
            Event::Message(incoming) => self.on_message(incoming).await,
            // The link ends with the same reason.
            Event::Refused(..) | Event::Unsubscribed(_) | Event::Throttled | Event::Disconnected(_) => {}
        }
    }

    /// What the broker wants an answer for waits for the owner's session. The rest would be lost with this one: commands
    /// and answers are for the driver as ever, nothing else is asked for while an identity proves itself.
    async fn on_message(&mut self, incoming: Incoming) {
        let Incoming { publish, ack } = incoming;
        if self.echo.token.is_some() && publish.payload == self.echo.nonce {
            self.echo.returned = true;
            return ack.into_iter().for_each(|ack| self.session.acknowledge(ack));
        }
        if ack.is_some() {
            return self.held.push(publish);
        }
        let message = Message::from(publish);
        if let Some(event) = self.settings.read(&message) {
            // Without a driver nobody is left to tell.
            let _ = self.events.send(event).await;
        } else {
            tracing::debug!(topic = message.topic, "passed over a message that nobody asked for");
        }
    }

    /// Gives the link the acknowledgements that are still owed: on this connection nobody else will.
    async fn flush(&mut self) {
        loop {
            // One poll is enough to take what the session has; the link writes it with its next step.
            let _ = timeout(Duration::ZERO, self.link.step(&mut self.session)).await;
            if self.session.events() == 0 {
                return;
            }
            while let Some(event) = self.session.poll_event() {
                self.on_event(event).await;
            }
        }
    }

    /// Ends the connection in good order. Its session lives on, for the identity before.
    async fn leave(self) {
        let Self { link, mut session, .. } = self;
        if let Err(error) = link.disconnect(&mut session, ReasonCode::NORMAL_DISCONNECTION).await {
            tracing::debug!(%error, "the connection on trial did not end in good order");
        }
    }
}

/// A connection that ended on trial. A broker that closes without a word has said no, as beside the live session: MQTT
/// 3.1.1 gives it no other, and a network that did it shows itself when the identity in use is tried the same way. What
/// MQTT 5 tells counts: another client in our place, a shutdown or a throttle say nothing about the identity.
fn ended(tier: Tier, error: &LinkError) -> Failure {
    let why = error.to_string();
    match error {
        LinkError::Closed => Failure::refused(tier, why),
        LinkError::Disconnected(reason) => said_no(tier, *reason, why),
        LinkError::Io { kind: crate::tls::REFUSAL, .. } => Failure::refused(tier, why),
        LinkError::Dead
        | LinkError::Io { .. }
        | LinkError::Malformed(_)
        | LinkError::Protocol(_)
        | LinkError::Unsendable(_)
        | LinkError::Ended => Failure::unreachable(tier, why),
    }
}

#[cfg(test)]
mod tests {
    use fleetkey_lifecycle::event::FailureKind;

    use super::*;

    #[test]
    fn what_the_broker_says_at_the_end_decides_whether_it_is_a_refusal() {
        let table = [
            (LinkError::Closed, FailureKind::Refused),
            (LinkError::Disconnected(ReasonCode::NOT_AUTHORIZED), FailureKind::Refused),
            (LinkError::Disconnected(ReasonCode::SESSION_TAKEN_OVER), FailureKind::Unreachable),
            (LinkError::Disconnected(ReasonCode::SERVER_SHUTTING_DOWN), FailureKind::Unreachable),
            (LinkError::Disconnected(ReasonCode::QUOTA_EXCEEDED), FailureKind::Unreachable),
            (LinkError::Dead, FailureKind::Unreachable),
        ];
        for (error, expected) in table {
            let failure = ended(Tier::Suback, &error);
            assert_eq!((failure.tier, failure.kind), (Tier::Suback, expected), "{error}");
        }
    }
}
