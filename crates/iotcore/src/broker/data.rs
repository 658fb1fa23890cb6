//! What the data plane's REST API asks of the broker: publish, retained messages, connections.
//!
//! Not here: HTTP and the names of its errors ([`crate::rest`]).

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::{ReservedTopic, TopicName};
use fleetkey_mqtt::Publish;
use fleetkey_policy::Action;

use super::admission::Guest;
use super::authority::{Identity, Rights};
use super::message::Message;
use super::retained::Kept;
use super::session::Session;
use super::{Broker, Close, lock, read};
use crate::events::session_identifier;
use crate::rules::Sender;

/// A publish that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PublishRefused {
    /// The topic is none.
    #[error("Invalid topic: {0}")]
    Topic(String),
    /// Nobody may publish there, or nobody may retain there.
    #[error("The topic {0} is reserved")]
    Reserved(String),
    /// The payload is too large.
    #[error("The payload has {0} bytes, at most {1} are allowed")]
    TooLarge(usize, usize),
    /// The properties are too large.
    #[error("The properties of the message are over the limit")]
    Properties,
    /// The certificate may not connect, or not publish there.
    #[error("Forbidden")]
    Forbidden,
    /// What the publisher is told would not be true: the disk has failed.
    #[error("The message could not be stored")]
    Storage,
}

/// A retained message.
#[derive(Debug, Clone)]
pub(crate) struct Retained {
    /// Its topic.
    pub(crate) topic: String,
    /// The message.
    pub(crate) message: Arc<Message>,
    /// When it was published.
    pub(crate) modified: Timestamp,
}

impl Broker {
    /// Takes in a message that came over HTTP; returns when what is kept of it is durable.
    pub(crate) async fn publish(&self, publish: Publish, sender: Sender<'_>) -> Result<(), PublishRefused> {
        let batch = self.take_in(publish, sender)?;
        self.durable(batch).await;
        if batch.is_some() && self.sessions.progress().borrow().failed {
            return Err(PublishRefused::Storage);
        }
        Ok(())
    }

    /// The same for a device that has shown a certificate, if its policies allow the publish; it needs no
    /// `iot:Connect`, and has no client id that a policy could know.
    pub(crate) async fn publish_as(&self, guest: &Guest, publish: Publish) -> Result<(), PublishRefused> {
        let client = ClientId::new(format!("$GEN/{}", session_identifier()));
        let client = client.map_err(|_| PublishRefused::Forbidden)?;
        self.check_certificate(guest, &client).map_err(|refusal| {
            tracing::info!(ip = %guest.source, certificate = %guest.certificate.id.short(),
                "HTTPS publish refused: {}", refusal.why);
            PublishRefused::Forbidden
        })?;
        let identity = Identity {
            certificate: guest.certificate.id,
            client,
            source: guest.source,
            server_name: guest.server_name.clone(),
            persistent: false,
            will_topic: None,
        };
        let mut rights = Rights::new(self.authority.clone(), identity);
        let retains = !publish.retain || rights.allow(Action::RetainPublish, &publish.topic);
        if !retains || !rights.allow(Action::Publish, &publish.topic) {
            return Err(PublishRefused::Forbidden);
        }
        let certificate = &guest.certificate.id;
        self.publish(publish, Sender::Device { client: None, certificate, source: Some(guest.source) }).await
    }

    fn take_in(&self, publish: Publish, sender: Sender<'_>) -> Result<Option<u64>, PublishRefused> {
        let topic = TopicName::new(publish.topic.as_str());
        let topic = topic.map_err(|error| PublishRefused::Topic(error.to_string()))?;
        let (size, most) = (publish.payload.len(), self.limits.payload_bytes);
        if size > most {
            return Err(PublishRefused::TooLarge(size, most));
        }
        if !self.limits.admit_properties(&publish.properties) {
            return Err(PublishRefused::Properties);
        }
        if !topic.is_reserved() {
            let expires_at = publish.properties.message_expiry().map(|seconds| self.expiry_from_now(seconds));
            return Ok(self.deliver(Message::new(publish, expires_at), sender));
        }
        if publish.retain {
            return Err(PublishRefused::Reserved(topic.as_str().to_owned()));
        }
        if let Some((rule, topic)) = ReservedTopic::basic_ingest(topic.as_str()) {
            return Ok(self.ingest(rule, topic, &publish, sender));
        }
        // Shadows, jobs and the like are not imitated: they take the message and tell nobody.
        match ReservedTopic::is_other_service(topic.as_str()) {
            true => Ok(None),
            false => Err(PublishRefused::Reserved(topic.as_str().to_owned())),
        }
    }

    /// The retained message of a topic.
    pub(crate) fn retained(&self, topic: &str) -> Option<Retained> {
        let now = self.now();
        let retained = read(&self.retained);
        let kept = retained.get(topic).filter(|kept| !kept.message.is_expired(now))?;
        Some(shown(topic, kept))
    }

    /// Up to `limit` retained messages in the order of their topics, those after `after`.
    pub(crate) fn retained_after(&self, after: Option<&str>, limit: usize) -> Vec<Retained> {
        let now = self.now();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let retained = read(&self.retained);
        let rest = retained.range::<str, _>((start, Bound::Unbounded));
        rest.filter(|(_, kept)| !kept.message.is_expired(now))
            .take(limit)
            .map(|(topic, kept)| shown(topic, kept))
            .collect()
    }

    /// Ends the connection of a client id, and with `clean` its session; says whether there was either.
    pub(crate) fn delete_connection(&self, client: &ClientId, clean: bool, will: bool) -> bool {
        let mut clients = lock(&self.clients);
        let Some(session) = clients.session(client) else { return false };
        let mut state = session.lock();
        let link = state.link().cloned();
        if clean {
            // A session of no duration ends with its connection.
            state.expiry = Duration::ZERO;
            if link.is_none() {
                self.end_session(&session, &mut state);
                clients.forget(&session);
            }
        }
        drop(state);
        link.into_iter().for_each(|link| link.close(Close { will, ..Close::BY_OPERATOR }));
        true
    }

    /// The subscriptions of a client's session in the order of their filters, with their quality of service;
    /// `None` when it has no session.
    pub(crate) fn subscriptions(&self, client: &ClientId) -> Option<Vec<(String, u8)>> {
        let session = self.session(client)?;
        let state = session.lock();
        let mut all: Vec<_> = state
            .subscriptions
            .iter()
            .map(|(filter, options)| (filter.to_string(), options.qos.bits()))
            .collect();
        all.sort_unstable();
        Some(all)
    }

    /// Since when a client's session has been without a connection, if it has one that waits.
    pub(crate) fn waiting_since(&self, client: &ClientId) -> Option<(Timestamp, Duration)> {
        let session = self.session(client)?;
        let state = session.lock();
        state.offline_since.map(|since| (since, state.expiry))
    }

    fn session(&self, client: &ClientId) -> Option<Arc<Session>> {
        lock(&self.clients).session(client)
    }
}

fn shown(topic: &str, kept: &Kept) -> Retained {
    Retained { topic: topic.to_owned(), message: kept.message.clone(), modified: kept.modified }
}
