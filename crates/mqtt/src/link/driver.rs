//! The task behind a [`Client`](super::Client): it owns session and link, and turns events into answers.

use std::collections::{HashMap, VecDeque};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Link, LinkError, PublishError};
use crate::packet::SubscribeFilter;
use crate::reason::ReasonCode;
use crate::session::{Ack, Event, Incoming, Outgoing, Session, Token};
use crate::text::Text;

/// Messages that wait in the task before reading stops.
const BACKLOG_HIGH: usize = 128;
/// Requests taken together, so that they are written together.
const BATCH: usize = 64;

/// What a handle asks for.
#[derive(Debug)]
pub(super) enum Command {
    Publish(Outgoing, oneshot::Sender<Result<(), PublishError>>),
    Subscribe(Vec<SubscribeFilter>, oneshot::Sender<Vec<ReasonCode>>),
    Unsubscribe(Vec<Text>, oneshot::Sender<()>),
}

pub(super) struct Driver {
    session: Session,
    /// Speaks, or closes with the last handle, when the client shall disconnect. Requests may be held up by a
    /// full outbox; this is not.
    stop: mpsc::Receiver<()>,
    commands: mpsc::Receiver<Command>,
    acks: mpsc::Receiver<Ack>,
    messages: mpsc::Sender<Incoming>,
    /// Those for which there was no room.
    backlog: VecDeque<Incoming>,
    asked: Asked,
    end: watch::Sender<Option<LinkError>>,
}

/// Who waits for an answer. Dropped, it tells them that none will come.
#[derive(Default)]
struct Asked {
    publishes: HashMap<Token, oneshot::Sender<Result<(), PublishError>>>,
    subscribes: HashMap<Token, oneshot::Sender<Vec<ReasonCode>>>,
    unsubscribes: HashMap<Token, oneshot::Sender<()>>,
}

/// What woke the task.
enum Woken {
    Stop,
    Command(Command),
    Ack(Ack),
    /// There may be room for a message; not if nobody takes them any more.
    Room(bool),
    Link(Result<(), LinkError>),
}

/// What the task does next.
enum Turn {
    Go,
    Disconnect,
    End(LinkError),
}

impl Driver {
    pub(super) fn new(
        session: Session,
        stop: mpsc::Receiver<()>,
        commands: mpsc::Receiver<Command>,
        acks: mpsc::Receiver<Ack>,
        messages: mpsc::Sender<Incoming>,
        end: watch::Sender<Option<LinkError>>,
    ) -> Self {
        Self {
            session,
            stop,
            commands,
            acks,
            messages,
            backlog: VecDeque::new(),
            asked: Asked::default(),
            end,
        }
    }

    /// Drives the connection to its end.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut self, mut link: Link<S>) {
        let end = loop {
            self.hand_over();
            if self.backlog.len() < BACKLOG_HIGH {
                link.resume_reading();
            } else {
                link.pause_reading();
            }
            match self.turn(&mut link).await {
                Turn::Go => {}
                Turn::Disconnect => break self.disconnect(link).await,
                Turn::End(error) => break error,
            }
            self.answer();
        };
        self.answer();
        tracing::debug!(%end, "the connection ended");
        // Named before those who wait for an answer learn that none will come.
        self.end.send_replace(Some(end));
        drop(self.asked);
        // Nothing can be acknowledged any more. What came before the end is still handed over.
        drop(self.acks);
        for incoming in self.backlog {
            if self.messages.send(incoming).await.is_err() {
                break;
            }
        }
    }

    async fn turn<S: AsyncRead + AsyncWrite + Unpin>(&mut self, link: &mut Link<S>) -> Turn {
        let room = self.session.has_room_for(0);
        let woken = tokio::select! {
            _ = self.stop.recv() => Woken::Stop,
            Some(command) = self.commands.recv(), if room => Woken::Command(command),
            Some(ack) = self.acks.recv() => Woken::Ack(ack),
            permit = self.messages.reserve(), if !self.backlog.is_empty() => Woken::Room(permit.is_ok()),
            result = link.step(&mut self.session) => Woken::Link(result),
        };
        match woken {
            Woken::Stop => return Turn::Disconnect,
            Woken::Command(command) => self.take(command),
            Woken::Ack(ack) => self.session.acknowledge(ack),
            Woken::Room(true) | Woken::Link(Ok(())) => {}
            // Nobody takes messages any more; without PUBACK the broker keeps those of QoS 1.
            Woken::Room(false) => self.backlog.clear(),
            Woken::Link(Err(error)) => return Turn::End(error),
        }
        Turn::Go
    }

    /// Takes a command and those behind it.
    fn take(&mut self, first: Command) {
        self.execute(first);
        for _ in 1..BATCH {
            if !self.session.has_room_for(0) {
                break;
            }
            let Ok(command) = self.commands.try_recv() else {
                break;
            };
            self.execute(command);
        }
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Publish(message, answer) => match self.session.publish(message) {
                Ok(token) => {
                    self.asked.publishes.insert(token, answer);
                }
                Err(error) => reply(answer, Err(error.into())),
            },
            Command::Subscribe(filters, answer) => {
                self.asked.subscribes.insert(self.session.subscribe(filters), answer);
            }
            Command::Unsubscribe(filters, answer) => {
                self.asked.unsubscribes.insert(self.session.unsubscribe(filters), answer);
            }
        }
    }

    /// Turns the session's events into answers and messages.
    fn answer(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Delivered(token) => self.asked.published(token, Ok(())),
                Event::Refused(token, reason) => {
                    self.asked.published(token, Err(PublishError::Refused(reason)));
                }
                Event::Message(incoming) => self.backlog.push_back(incoming),
                Event::Subscribed(token, reasons) => {
                    if let Some(answer) = self.asked.subscribes.remove(&token) {
                        reply(answer, reasons);
                    }
                }
                Event::Unsubscribed(token) => {
                    if let Some(answer) = self.asked.unsubscribes.remove(&token) {
                        reply(answer, ());
                    }
                }
                // The link ends with the same reason.
                Event::Disconnected(_) => {}
                Event::Throttled => self.session.unthrottle(),
            }
        }
    }

    /// Hands over what there is room for.
    fn hand_over(&mut self) {
        while !self.backlog.is_empty() {
            let Ok(permit) = self.messages.try_reserve() else {
                break;
            };
            let Some(incoming) = self.backlog.pop_front() else {
                break;
            };
            permit.send(incoming);
        }
    }

    async fn disconnect<S: AsyncRead + AsyncWrite + Unpin>(&mut self, link: Link<S>) -> LinkError {
        while let Ok(ack) = self.acks.try_recv() {
            self.session.acknowledge(ack);
        }
        match link.disconnect(&mut self.session, ReasonCode::NORMAL_DISCONNECTION).await {
            Ok(()) => LinkError::Ended,
            Err(error) => error,
        }
    }
}

impl Asked {
    fn published(&mut self, token: Token, outcome: Result<(), PublishError>) {
        if let Some(answer) = self.publishes.remove(&token) {
            reply(answer, outcome);
        }
    }
}

/// Answers; one who no longer waits is no error.
fn reply<T>(answer: oneshot::Sender<T>, value: T) {
    let _nobody = answer.send(value);
}
