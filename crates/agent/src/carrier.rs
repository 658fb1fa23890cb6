//! A connection as provisioning and verification see it: something to ask over, and a stream of messages.
//!
//! Two kinds: a short-lived client of its own (claim, verification), and the live session.

use core::fmt;
use std::future::Future;

use bytes::Bytes;
use fleetkey_mqtt::link::{self, Client, Messages};
use fleetkey_mqtt::{Publish, QoS, ReasonCode};
use tokio::sync::mpsc;

use crate::live::{Afresh, OnIdentity};

/// A message that came in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    /// May hold a private key: never printed.
    pub(crate) payload: Bytes,
}

impl From<Publish> for Message {
    fn from(publish: Publish) -> Self {
        Self { topic: publish.topic.to_string(), payload: publish.payload }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, {} bytes)", self.topic, self.payload.len())
    }
}

/// Why a request could not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// The connection is gone.
    #[error("the connection was lost: {0}")]
    Closed(String),
    /// The broker said no to a publish.
    #[error("the broker refused the publish: {0}")]
    Refused(ReasonCode),
    /// It never left us.
    #[error("not sent: {0}")]
    Unsent(String),
}

/// The asking half.
pub(crate) trait Requests: Sync {
    /// Subscribes at QoS 1; one reason a filter.
    fn subscribe(&self, filters: &[String]) -> impl Future<Output = Result<Vec<ReasonCode>, Broken>> + Send;
    /// Publishes at QoS 1; returns after PUBACK.
    fn publish(&self, topic: &str, payload: Bytes) -> impl Future<Output = Result<(), Broken>> + Send;
}

/// The listening half.
pub(crate) trait Answers: Send {
    /// The next message; `None` when the connection is gone.
    fn next(&mut self) -> impl Future<Output = Option<Message>> + Send;
}

impl Requests for Client {
    async fn subscribe(&self, filters: &[String]) -> Result<Vec<ReasonCode>, Broken> {
        let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), QoS::AtLeastOnce)).collect();
        Self::subscribe(self, &filters).await.map_err(|error| Broken::Closed(error.to_string()))
    }

    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), Broken> {
        Self::publish(self, topic, payload, QoS::AtLeastOnce).await.map_err(|error| match error {
            link::PublishError::Refused(reason) => Broken::Refused(reason),
            other => Broken::Closed(other.to_string()),
        })
    }
}

impl Answers for Messages {
    async fn next(&mut self) -> Option<Message> {
        self.recv().await.map(Message::from)
    }
}

/// Over the live session, with the identity that the request is meant to be attested with. The session itself is no
/// such carrier: its outbox outlives connections.
impl Requests for OnIdentity<'_> {
    async fn subscribe(&self, filters: &[String]) -> Result<Vec<ReasonCode>, Broken> {
        Self::subscribe(self, filters.to_vec()).await
    }

    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), Broken> {
        Self::publish(self, topic, payload).await
    }
}

/// Over the live session, but as a connection of its own would: asked for again though granted before, and given up
/// with the connection.
impl Requests for Afresh<'_> {
    async fn subscribe(&self, filters: &[String]) -> Result<Vec<ReasonCode>, Broken> {
        Self::subscribe(self, filters.to_vec()).await
    }

    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), Broken> {
        Self::publish(self, topic, payload).await
    }
}

impl Answers for mpsc::Receiver<Message> {
    async fn next(&mut self) -> Option<Message> {
        self.recv().await
    }
}
