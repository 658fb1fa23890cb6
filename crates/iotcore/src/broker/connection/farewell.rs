//! The beginning and the end of a connection as others see it: presence events, the will, the session.

use std::sync::Arc;
use std::time::Duration;

use fleetkey_mqtt::{Disconnect, Packet, Property, Publish, Version, Will};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::Connection;
use crate::broker::admission::Guest;
use crate::broker::message::Message;
use crate::broker::session::Session;
use crate::broker::{Broker, Close};
use crate::events::{Event, Subject};
use crate::rules::Sender;

/// How long a last packet may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long what an interrupted client was sending is read away.
const LAST_EAR: Duration = Duration::from_millis(300);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn announce_arrival(&mut self, guest: &Guest) {
        tracing::info!(client = %self.info.client_id, certificate = %self.info.certificate.short(),
            version = %self.version, "connected");
        let event = Event::Connected { ip: guest.source, version: self.version_number };
        self.announce(event);
    }

    /// Publishes an event about this connection.
    pub(super) fn announce(&mut self, event: Event<'_>) {
        let broker = self.broker.clone();
        let info = self.info.clone();
        let subject = Subject {
            client: &info.client_id,
            thing: self.rights.exclusive_thing(),
            certificate: &info.certificate,
            session: &info.session_identifier,
            at: broker.now(),
        };
        broker.announce(subject, event);
    }

    /// Ends the connection: frees its place first, then tells the others, then the client.
    pub(super) async fn say_goodbye(&mut self, close: Close) {
        tracing::info!(client = %self.info.client_id, reason = close.reason.as_str(), "disconnected");
        self.broker.leave(&self.link);
        self.broker.note_departure(&self.link, &self.info.client_id, close.reason);
        self.broker.close_session(&self.session, &self.link, self.final_expiry);
        if let Some(will) = self.will.take().filter(|_| close.will) {
            send_will(&self.broker, &self.session, will);
        }
        let event = Event::Disconnected { reason: close.reason, version: self.version_number };
        self.announce(event);
        if let (Some(code), Version::V5) = (close.code, self.version) {
            self.send(&Packet::Disconnect(Disconnect::new(code)));
        }
        if close.code.is_some() {
            // A client that does not listen is closed on all the same.
            let _ = timeout(LAST_WORDS, self.wire.close()).await;
        }
        if close.is_interruption() {
            let _ = timeout(LAST_EAR, self.wire.drain()).await;
        }
    }
}

/// Publishes the will, now or after its delay unless the client is back by then (MQTT 5 §3.1.3.2.2).
fn send_will(broker: &Arc<Broker>, session: &Arc<Session>, will: Will) {
    let delay = Duration::from_secs(u64::from(will.properties.will_delay().unwrap_or(0)));
    let longest = session.lock().expiry;
    let delay = delay.min(longest);
    if delay.is_zero() {
        publish_will(broker, session, will);
        return;
    }
    // The broker, and the files that it holds open, do not wait for the will when the server stops.
    let (broker, session) = (Arc::downgrade(broker), session.clone());
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        let back = session.lock().link().is_some();
        if let Some(broker) = broker.upgrade().filter(|_| !back) {
            publish_will(&broker, &session, will);
        }
    });
}

fn publish_will(broker: &Broker, session: &Session, will: Will) {
    let expires_at = will.properties.iter().find_map(|property| match property {
        Property::MessageExpiryInterval(seconds) => Some(broker.expiry_from_now(*seconds)),
        _ => None,
    });
    let publish = Publish {
        dup: false,
        qos: will.qos,
        retain: will.retain,
        topic: will.topic,
        packet_id: None,
        payload: will.payload,
        properties: will.properties,
    };
    let certificate = session.lock().principal;
    let sender = Sender::Device { client: Some(&session.client), certificate: &certificate, source: None };
    // Nobody waits for a will to be durable.
    broker.deliver(Message::new(publish, expires_at), sender);
}
