//! The live session: one MQTT session that outlives its connections, owned by one task.
//!
//! The session's outbox keeps every message until its PUBACK, over lost connections and hand-overs alike. The
//! task reconnects by itself with the identity it was last moved to; it moves to another identity only when
//! told ([`LiveHandle::switch`]), make-before-break; [`LiveHandle::prove`] moves it only for good if the identity
//! passes every tier on the way ([`proof`]). Not here: which identity that is (`crate::driver`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleetkey_lifecycle::SlotId;
use fleetkey_model::name::ClientId;
use fleetkey_model::retirement::{ControllerAnswer, DeviceCommand};
use fleetkey_model::topic::TopicError;
use fleetkey_mqtt::ReasonCode;
use fleetkey_mqtt::session::{Ack, OutboxError};
use tokio::sync::{mpsc, oneshot};

use crate::carrier::{Broken, Message};
use crate::store::SlotIdentity;
use crate::tls::Failure;

pub(crate) use proof::Proof;
pub(crate) use task::Live;

mod backoff;
mod handover;
mod incoming;
mod proof;
mod replies;
mod task;
#[cfg(test)]
mod tests;

/// The largest payload that AWS IoT Core takes, in bytes (quotas).
pub const MAX_PAYLOAD: usize = 128 * 1024;

/// Commands that may wait while the task is busy.
const COMMANDS: usize = 64;
/// Answers that may wait for whoever asked.
const ANSWERS: usize = 8;

/// Why a message was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The session did not take it: too much waits, or no broker could take it.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// AWS would close the connection over it.
    #[error("the payload has {0} bytes, at most {MAX_PAYLOAD} are allowed")]
    TooLarge(usize),
    /// AWS would close the connection over it.
    #[error("{topic:?} cannot be published to: {error}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        error: TopicError,
    },
    /// The broker has the message and refused it.
    #[error("the broker refused the message: {0}")]
    Refused(ReasonCode),
    /// The agent has stopped; the message may or may not have arrived.
    #[error("the agent has stopped")]
    Stopped,
}

impl PublishError {
    /// Whether the same message may be taken later by the same agent.
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Outbox(error) if error.retryable())
    }
}

/// What the live session tells the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LiveEvent {
    Up {
        slot: SlotId,
    },
    Down {
        why: String,
    },
    /// The broker refused an attempt to connect again.
    Refused {
        slot: SlotId,
        why: String,
    },
    /// Another connection, none of ours, took the client id over (MQTT 5 tells; 3.1.1 has no word for it).
    Displaced,
    /// A command; with `ack` it is to be acknowledged once it is noted ([`LiveHandle::acknowledge`]).
    Command {
        command: DeviceCommand,
        ack: Option<Ack>,
    },
    Answer(ControllerAnswer),
}

/// What the task is told once.
#[derive(Debug, Clone)]
pub(crate) struct LiveSettings {
    pub(crate) client: ClientId,
    /// Where commands and answers for this thing come.
    pub(crate) commands: String,
    pub(crate) answers: String,
    pub(crate) expiry: Option<Duration>,
    pub(crate) outbox: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) reconnect_cap: Duration,
    /// What a hand-over waits for acknowledgements that are still out.
    pub(crate) drain: Duration,
}

/// What the task is asked.
enum LiveCommand {
    Publish {
        topic: String,
        payload: Bytes,
        reply: oneshot::Sender<Result<(), PublishError>>,
    },
    /// A message of the connection that stands, given up with it; with `on`, only if it has that identity.
    PublishOnce {
        on: Option<SlotId>,
        topic: String,
        payload: Bytes,
        reply: oneshot::Sender<Result<(), Broken>>,
    },
    /// Asks the broker only for what it has not granted before, unless it is to be asked `afresh`.
    Subscribe {
        filters: Vec<String>,
        afresh: bool,
        reply: oneshot::Sender<Vec<ReasonCode>>,
    },
    Unsubscribe {
        filters: Vec<String>,
    },
    Listen {
        topics: Vec<String>,
        to: mpsc::Sender<Message>,
    },
    Acknowledge(Ack),
    Switch(Switch),
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// A move to another identity.
struct Switch {
    identity: Arc<SlotIdentity>,
    /// What the identity must pass before the session moves, if anything.
    proof: Option<Proof>,
    reply: oneshot::Sender<Result<Moved, Failure>>,
}

/// How a move has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The session ran on this identity already: nothing was done, nothing proved.
    Already,
    /// It has moved, after the proof if one was asked for.
    Now,
}

/// The way to the live session's task. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LiveHandle {
    commands: mpsc::Sender<LiveCommand>,
}

impl LiveHandle {
    /// Publishes at QoS 1 and returns after the PUBACK, however many connections that takes.
    pub(crate) async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), PublishError> {
        let topic = topic.to_owned();
        let command = |reply| LiveCommand::Publish { topic, payload, reply };
        self.ask(command).await.unwrap_or(Err(PublishError::Stopped))
    }

    /// Subscribes at QoS 1.
    pub(crate) async fn subscribe(&self, filters: Vec<String>) -> Result<Vec<ReasonCode>, Broken> {
        let command = |reply| LiveCommand::Subscribe { filters, afresh: false, reply };
        self.ask(command).await.ok_or_else(stopped)
    }

    /// Ends subscriptions; nobody waits for it.
    pub(crate) async fn unsubscribe(&self, filters: Vec<String>) {
        // A task that is gone has no subscriptions.
        let _ = self.commands.send(LiveCommand::Unsubscribe { filters }).await;
    }

    /// Acknowledges a command, unless the task has too much to do; one whose connection is gone comes again. Never
    /// waits: the task may itself be waiting for whoever calls this to take its news.
    pub(crate) fn acknowledge(&self, ack: Ack) -> bool {
        match self.commands.try_send(LiveCommand::Acknowledge(ack)) {
            Err(mpsc::error::TrySendError::Full(_)) => false,
            // A task that is gone has nobody to tell.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => true,
        }
    }

    /// The session as one who wants to know what the broker says now sees it.
    pub(crate) fn afresh(&self) -> Afresh<'_> {
        Afresh(self)
    }

    /// The session for requests that the broker attests with the identity of the connection: see [`OnIdentity`].
    pub(crate) fn on(&self, slot: SlotId) -> OnIdentity<'_> {
        OnIdentity { live: self, slot }
    }

    /// The messages on these topics from now on, until the receiver is dropped.
    pub(crate) async fn listen(&self, topics: Vec<String>) -> mpsc::Receiver<Message> {
        let (to, messages) = mpsc::channel(ANSWERS);
        // If the task is gone the sender is dropped, which the receiver sees as the end.
        let _ = self.commands.send(LiveCommand::Listen { topics, to }).await;
        messages
    }

    /// Moves the session to `identity`. On failure it runs on what it ran on before, or on nothing.
    pub(crate) async fn switch(&self, identity: Arc<SlotIdentity>) -> Result<(), Failure> {
        self.move_to(identity, None).await.map(|_| ())
    }

    /// Moves the session to `identity` if it passes the proof. What its owner publishes waits meanwhile; on failure
    /// the session is back on what it ran on before, or on its way there.
    pub(crate) async fn prove(&self, identity: Arc<SlotIdentity>, proof: Proof) -> Result<Moved, Failure> {
        self.move_to(identity, Some(proof)).await
    }

    async fn move_to(&self, identity: Arc<SlotIdentity>, proof: Option<Proof>) -> Result<Moved, Failure> {
        let command = |reply| LiveCommand::Switch(Switch { identity, proof, reply });
        let stopped =
            || Failure::unreachable(fleetkey_lifecycle::event::Tier::Tls, "the session has stopped");
        self.ask(command).await.unwrap_or_else(|| Err(stopped()))
    }

    /// Says DISCONNECT and ends the task.
    pub(crate) async fn stop(&self) {
        let _ = self.ask(|reply| LiveCommand::Stop { reply }).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> LiveCommand) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// The live session, asked as if for the first time: see [`LiveHandle::afresh`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Afresh<'a>(&'a LiveHandle);

impl Afresh<'_> {
    /// Subscribes at QoS 1, also to what was granted before.
    pub(crate) async fn subscribe(&self, filters: Vec<String>) -> Result<Vec<ReasonCode>, Broken> {
        let command = |reply| LiveCommand::Subscribe { filters, afresh: true, reply };
        self.0.ask(command).await.ok_or_else(stopped)
    }

    /// Publishes at QoS 1, on the connection there is: what a broker closes the connection over is not sent again.
    pub(crate) async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), Broken> {
        let topic = topic.to_owned();
        let command = |reply| LiveCommand::PublishOnce { on: None, topic, payload, reply };
        self.0.ask(command).await.unwrap_or_else(|| Err(stopped()))
    }
}

/// The live session while its connection has one identity. What is asked of the cloud is asked with that identity or
/// not at all: a request that waited in the outbox would go out on whatever connection comes next, and the broker
/// would attest it with an identity that is not committed, or no longer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnIdentity<'a> {
    live: &'a LiveHandle,
    slot: SlotId,
}

impl OnIdentity<'_> {
    /// Subscribes at QoS 1; what was granted before is not asked for again.
    pub(crate) async fn subscribe(&self, filters: Vec<String>) -> Result<Vec<ReasonCode>, Broken> {
        self.live.subscribe(filters).await
    }

    /// Publishes at QoS 1 on the connection that stands, if it has this identity; never on another.
    pub(crate) async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), Broken> {
        let (on, topic) = (Some(self.slot), topic.to_owned());
        let command = |reply| LiveCommand::PublishOnce { on, topic, payload, reply };
        self.live.ask(command).await.unwrap_or_else(|| Err(stopped()))
    }
}

fn stopped() -> Broken {
    Broken::Unsent("the session has stopped".into())
}
