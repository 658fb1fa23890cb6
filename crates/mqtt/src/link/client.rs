//! A simple client for one connection: a task drives session and link, handles ask it for things.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};

use super::driver::{Command, Driver};
use super::{ConnectError, ConnectOptions, Link, LinkError};
use crate::packet::{Publish, SubscribeFilter};
use crate::reason::ReasonCode;
use crate::session::{Ack, Incoming, OutboxError, Outgoing, Session, SessionConfig};
use crate::text::Text;
use crate::types::QoS;

/// Requests that wait for the task.
const COMMANDS: usize = 64;
/// Messages that wait for their consumer outside the session.
const MESSAGES: usize = 64;

/// A handle on a connected client; clones are handles on the same. When the last is dropped the client
/// disconnects.
#[derive(Debug, Clone)]
pub struct Client {
    stop: mpsc::Sender<()>,
    commands: mpsc::Sender<Command>,
    end: watch::Receiver<Option<LinkError>>,
}

/// The messages that come to a client.
#[derive(Debug)]
pub struct Messages {
    incoming: mpsc::Receiver<Incoming>,
    acks: mpsc::Sender<Ack>,
}

/// Why a message was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The broker refused it.
    #[error("the broker refused the message: {0}")]
    Refused(ReasonCode),
    /// It cannot be sent.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The connection ended before the broker answered; the message may have arrived.
    #[error("the message was not acknowledged: {0}")]
    Closed(LinkError),
}

impl Client {
    /// How long CONNACK may take.
    pub const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

    /// Connects over a stream and starts the task that drives the connection to its end. It does not reconnect.
    ///
    /// # Errors
    /// As [`Link::connect`].
    pub async fn start<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        stream: S,
        options: ConnectOptions,
        config: SessionConfig,
    ) -> Result<(Self, Messages), ConnectError> {
        let (link, connected) = Link::connect(stream, &options, Self::CONNECT_TIMEOUT).await?;
        let mut session = Session::new(config);
        connected.begin(&mut session);
        let (stop, stopped) = mpsc::channel(1);
        let (commands, command_queue) = mpsc::channel(COMMANDS);
        let (message_queue, incoming) = mpsc::channel(MESSAGES);
        let (acks, ack_queue) = mpsc::channel(MESSAGES);
        let (end_sender, end) = watch::channel(None);
        let driver = Driver::new(session, stopped, command_queue, ack_queue, message_queue, end_sender);
        tokio::spawn(driver.run(link));
        Ok((Self { stop, commands, end }, Messages { incoming, acks }))
    }

    /// Publishes a message. QoS 1: returns when the broker has it; QoS 0: when it is on its way. Dropping the
    /// future takes nothing back.
    ///
    /// # Errors
    /// When it cannot be sent, the broker refuses it, or the connection ends before the answer.
    pub async fn publish(
        &self,
        topic: impl Into<Text>,
        payload: impl Into<Bytes>,
        qos: QoS,
    ) -> Result<(), PublishError> {
        self.publish_message(Outgoing::new(topic, payload, qos)).await
    }

    /// As [`publish`](Self::publish), with retain flag and properties.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_message(&self, message: Outgoing) -> Result<(), PublishError> {
        match self.ask(|answer| Command::Publish(message, answer)).await {
            Ok(outcome) => outcome,
            Err(end) => Err(PublishError::Closed(end)),
        }
    }

    /// Subscribes; the broker's answer to each filter, in their order.
    ///
    /// # Errors
    /// When the connection ends before the answer. A refused filter is no error here: see the reasons.
    pub async fn subscribe(&self, filters: &[(&str, QoS)]) -> Result<Vec<ReasonCode>, LinkError> {
        let filters = filters.iter().map(|(filter, qos)| SubscribeFilter::new(*filter, *qos)).collect();
        self.ask(|answer| Command::Subscribe(filters, answer)).await
    }

    /// Ends subscriptions.
    ///
    /// # Errors
    /// When the connection ends before the answer.
    pub async fn unsubscribe(&self, filters: &[&str]) -> Result<(), LinkError> {
        let filters = filters.iter().map(|filter| Text::from(*filter)).collect();
        self.ask(|answer| Command::Unsubscribe(filters, answer)).await
    }

    /// Sends DISCONNECT and ends the connection, whatever is unanswered. Returns when it is over.
    pub async fn disconnect(&self) {
        // Full: it has been told. Closed: it is gone.
        let _told = self.stop.try_send(());
        self.closed().await;
    }

    /// Waits for the end of the connection and tells why.
    pub async fn closed(&self) -> LinkError {
        let mut end = self.end.clone();
        // The task names the end before it goes; without a word, it was cut down with its runtime.
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(LinkError::Ended),
            Err(_) => LinkError::Ended,
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, LinkError> {
        let (answer, answered) = oneshot::channel();
        if self.commands.send(command(answer)).await.is_err() {
            return Err(self.closed().await);
        }
        match answered.await {
            Ok(outcome) => Ok(outcome),
            Err(_) => Err(self.closed().await),
        }
    }
}

impl Messages {
    /// The next message; `None` when the connection is over and all have been received. Received, it is
    /// acknowledged. Cancel it at will.
    pub async fn recv(&mut self) -> Option<Publish> {
        // Room for the acknowledgement first, so that between message and acknowledgement nothing is awaited.
        let room = self.acks.reserve().await.ok();
        let incoming = self.incoming.recv().await?;
        if let (Some(room), Some(ack)) = (room, incoming.ack) {
            room.send(ack);
        }
        Some(incoming.publish)
    }
}
