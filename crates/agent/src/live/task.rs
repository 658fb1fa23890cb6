//! The task that owns the session and its connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::event::FailureKind;
use fleetkey_model::topic::TopicName;
use fleetkey_mqtt::link::{ConnectOptions, Link};
use fleetkey_mqtt::session::{Outgoing, Session, SessionConfig, Token};
use fleetkey_mqtt::{QoS, ReasonCode, SubscribeFilter};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::handover::{Moving, Progress, progress};
use super::replies::Replies;
use super::{COMMANDS, LiveCommand, LiveEvent, LiveHandle, LiveSettings, MAX_PAYLOAD, PublishError};
use crate::carrier::Broken;
use crate::connect::{Connector, Opened};
use crate::store::SlotIdentity;
use crate::tls::{ClientIdentity, Failure, Stream};

/// A connection that has lasted this long was a good one: the next loss is retried fast.
const PROVEN: Duration = Duration::from_secs(5);

/// How often a message that is over the broker's rate is sent again, about a second apart, before its owner is told.
const PUT_OFF: u32 = 60;

pub(super) type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;

/// The live session's task.
pub(crate) struct Live {
    pub(super) connector: Connector,
    pub(super) settings: LiveSettings,
    pub(super) options: ConnectOptions,
    pub(super) session: Session,
    pub(super) up: Option<Up>,
    /// The identity to reconnect with.
    pub(super) target: Option<Arc<SlotIdentity>>,
    /// The next connection with `target`, under way while there is none.
    pub(super) attempt: Option<Pending<Box<Opened>>>,
    /// A move to another identity, under way while the connection there is serves.
    pub(super) moving: Option<Moving>,
    commands: mpsc::Receiver<LiveCommand>,
    pub(super) events: mpsc::Sender<LiveEvent>,
    pub(super) replies: Replies,
    pub(super) backoff: Backoff,
    /// The subscription to commands and answers.
    pub(super) base: Token,
    /// The broker refused it the last time.
    pub(super) deaf: bool,
    /// Until when nothing is published because the broker put a message off.
    pub(super) throttled_until: Option<Instant>,
}

/// A connection that stands.
pub(super) struct Up {
    link: Link<Stream>,
    since: Instant,
    pub(super) said: Option<ReasonCode>,
    /// A CONNECT of ours with the same client id was never answered: it may still take this one's place.
    pub(super) contested: bool,
}

/// What the loop does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    Stop,
}

/// What happened while waiting.
enum Happened {
    Stepped(Result<(), String>),
    Command(Option<LiveCommand>),
    Moved(Progress),
    Unthrottled,
    Connected(Result<Box<Opened>, Failure>),
}

impl Live {
    pub(crate) fn new(
        connector: Connector,
        settings: LiveSettings,
        events: mpsc::Sender<LiveEvent>,
    ) -> (Self, LiveHandle) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let options = ConnectOptions {
            version: connector.version,
            clean_start: settings.expiry.is_none(),
            keep_alive: connector.keep_alive,
            session_expiry: settings.expiry.map(|span| u32::try_from(span.as_secs()).unwrap_or(u32::MAX)),
            ..ConnectOptions::new(settings.client.as_str())
        };
        let mut session = Session::new(SessionConfig {
            max_in_flight: settings.max_in_flight,
            outbox_limit: settings.outbox,
            put_off: PUT_OFF,
            ..SessionConfig::default()
        });
        // The session makes it on its first connection, and again whenever the broker has lost it.
        let base = session.subscribe(settings.base());
        let live = Self {
            backoff: Backoff::new(settings.reconnect_cap),
            connector,
            settings,
            options,
            session,
            up: None,
            target: None,
            attempt: None,
            moving: None,
            commands,
            events,
            replies: Replies::default(),
            base,
            deaf: false,
            throttled_until: None,
        };
        (live, LiveHandle { commands: sender })
    }

    /// Runs until it is told to stop or its last handle is gone.
    pub(crate) async fn run(mut self) {
        while self.turn().await == Flow::Continue {}
    }

    async fn turn(&mut self) -> Flow {
        if self.up.is_none() && self.attempt.is_none() && !self.is_taking_over() {
            self.attempt = self.next_attempt();
        }
        match self.wait().await {
            Happened::Stepped(stepped) => {
                self.take_events().await;
                match stepped {
                    Ok(()) => self.open_if_drained(),
                    Err(why) => self.lost(why).await,
                }
            }
            Happened::Command(Some(command)) => return self.on_command(command).await,
            Happened::Command(None) => return Flow::Stop,
            Happened::Moved(progress) => self.on_progress(progress).await,
            Happened::Unthrottled => {
                self.throttled_until = None;
                self.session.unthrottle();
            }
            Happened::Connected(connected) => self.on_connected(connected).await,
        }
        Flow::Continue
    }

    async fn wait(&mut self) -> Happened {
        tokio::select! {
            stepped = step(&mut self.up, &mut self.session) => Happened::Stepped(stepped),
            command = self.commands.recv() => Happened::Command(command),
            progress = progress(self.moving.as_mut()) => Happened::Moved(progress),
            () = over(self.throttled_until) => Happened::Unthrottled,
            connected = ready(self.attempt.as_mut()) => Happened::Connected(connected),
        }
    }

    async fn on_command(&mut self, command: LiveCommand) -> Flow {
        match command {
            LiveCommand::Publish { topic, payload, reply } => match self.enqueue(topic, payload) {
                Ok(token) => self.replies.await_publish(token, reply),
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            LiveCommand::PublishOnce { on, topic, payload, reply } => {
                match self.enqueue_here(on, topic, payload) {
                    Ok(token) => self.replies.await_once(token, reply),
                    Err(unsent) => {
                        let _ = reply.send(Err(unsent));
                    }
                }
            }
            LiveCommand::Subscribe { filters, afresh, reply } => self.subscribe(filters, afresh, reply),
            LiveCommand::Unsubscribe { filters } => self.unsubscribe(&filters),
            LiveCommand::Listen { topics, to } => self.replies.listen(topics, to),
            LiveCommand::Acknowledge(ack) => self.session.acknowledge(ack),
            LiveCommand::Switch(switch) => self.begin_switch(switch),
            LiveCommand::Stop { reply } => {
                self.disconnect().await;
                let _ = reply.send(());
                return Flow::Stop;
            }
        }
        Flow::Continue
    }

    /// Refuses what AWS would close the connection over: it would be sent again for ever.
    fn enqueue(&mut self, topic: String, payload: bytes::Bytes) -> Result<Token, PublishError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(PublishError::TooLarge(payload.len()));
        }
        if let Err(error) = TopicName::new(topic.as_str()) {
            return Err(PublishError::Topic { topic, error });
        }
        let outgoing = Outgoing::new(topic, payload, QoS::AtLeastOnce);
        Ok(self.session.publish(outgoing)?)
    }

    /// Only for the connection that stands, and only if it has the wanted identity. [`Self::disconnected`] takes the
    /// message back, sent or not.
    fn enqueue_here(
        &mut self,
        on: Option<SlotId>,
        topic: String,
        payload: bytes::Bytes,
    ) -> Result<Token, Broken> {
        let stands = on.map_or_else(|| self.up.is_some(), |slot| self.serves(slot));
        if !stands {
            let wanted = on.map_or_else(String::new, |slot| format!(" with the identity of slot {slot}"));
            return Err(Broken::Unsent(format!("there is no connection{wanted}")));
        }
        self.enqueue(topic, payload).map_err(|error| Broken::Unsent(error.to_string()))
    }

    /// The session keeps its subscriptions over connections: what was granted once is asked for once.
    fn subscribe(&mut self, filters: Vec<String>, afresh: bool, reply: oneshot::Sender<Vec<ReasonCode>>) {
        if !afresh && self.replies.are_granted(&filters) {
            let _ = reply.send(vec![ReasonCode::GRANTED_QOS_1; filters.len()]);
            return;
        }
        let wanted = filters.iter().cloned().map(at_least_once).collect();
        let token = self.session.subscribe(wanted);
        self.replies.await_subscribe(token, filters, reply);
    }

    pub(super) fn unsubscribe(&mut self, filters: &[String]) {
        self.replies.unsubscribed(filters);
        self.session.unsubscribe(filters.iter().map(|filter| filter.as_str().into()).collect());
    }

    async fn on_connected(&mut self, connected: Result<Box<Opened>, Failure>) {
        self.attempt = None;
        let Some(target) = self.target.clone() else { return };
        match connected {
            Ok(opened) => {
                self.adopt(*opened, target.slot).await;
                self.is_back();
            }
            Err(failure) => {
                tracing::warn!(client = %self.settings.client, why = failure.why, "not connected");
                if failure.kind == FailureKind::Refused {
                    self.report(LiveEvent::Refused { slot: target.slot, why: failure.why }).await;
                }
            }
        }
    }

    /// A connection attempt with the target identity, after its wait.
    fn next_attempt(&mut self) -> Option<Pending<Box<Opened>>> {
        let target = self.target.clone()?;
        let wait = self.backoff.next(getrandom::u64().unwrap_or(u64::MAX));
        let (connector, client) = (self.connector.clone(), self.settings.client.clone());
        let options = self.options.clone();
        Some(Box::pin(async move {
            tokio::time::sleep(wait).await;
            let stream = connector.dial(&ClientIdentity::from(&*target), &client).await?;
            connector.open(stream, &client, &options).await
        }))
    }

    /// Takes a fresh connection into use: the session goes on where it was.
    pub(super) async fn adopt(&mut self, opened: Opened, slot: SlotId) {
        opened.connected.begin(&mut self.session);
        if std::mem::take(&mut self.deaf) {
            // What one identity may not hear another may.
            self.base = self.session.subscribe(self.settings.base());
        }
        self.up = Some(Up { link: opened.link, since: Instant::now(), said: None, contested: false });
        self.report(LiveEvent::Up { slot }).await;
    }

    /// The connection is over. If a new one is just taking the client id over, that is why.
    async fn lost(&mut self, why: String) {
        let Some(up) = self.up.take() else { return };
        self.disconnected();
        if up.since.elapsed() >= PROVEN && up.said != Some(ReasonCode::SESSION_TAKEN_OVER) {
            self.backoff.reset();
        }
        let displaced = up.said == Some(ReasonCode::SESSION_TAKEN_OVER) && !up.contested;
        let why = up.said.map_or(why, |reason| format!("the broker disconnected: {reason}"));
        if let Some(why) = self.blame_takeover(why) {
            if displaced {
                self.report(LiveEvent::Displaced).await;
            }
            self.report(LiveEvent::Down { why }).await;
        }
    }

    /// The session has no connection any more; what was to go with that one goes.
    pub(super) fn disconnected(&mut self) {
        self.session.disconnected();
        for token in self.replies.give_up() {
            self.session.withdraw(token);
        }
    }

    pub(super) async fn report(&mut self, event: LiveEvent) {
        // Without a driver nobody is left to tell; the task ends with its last handle.
        let _ = self.events.send(event).await;
    }

    /// Gives what is on the way a moment to be acknowledged, then says DISCONNECT: no will is sent.
    async fn disconnect(&mut self) {
        let patience = tokio::time::sleep(self.settings.drain);
        tokio::pin!(patience);
        while self.up.is_some() && self.session.in_flight() > 0 {
            let stepped = tokio::select! {
                stepped = step(&mut self.up, &mut self.session) => stepped,
                () = &mut patience => break,
            };
            self.take_events().await;
            if stepped.is_err() {
                self.up = None;
            }
        }
        if let Some(up) = self.up.take() {
            if let Err(error) = up.link.disconnect(&mut self.session, ReasonCode::NORMAL_DISCONNECTION).await
            {
                tracing::debug!(%error, "the connection did not end in good order");
            }
            self.session.disconnected();
        }
    }
}

/// Serves the connection until something has happened on it; for ever when there is none.
async fn step(up: &mut Option<Up>, session: &mut Session) -> Result<(), String> {
    match up {
        Some(up) => up.link.step(session).await.map_err(|error| error.to_string()),
        None => std::future::pending().await,
    }
}

/// Waits for a moment; for ever when there is none to wait for.
async fn over(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Waits for a pending result; for ever when nothing is pending.
async fn ready<T>(pending: Option<&mut Pending<T>>) -> Result<T, Failure> {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

fn at_least_once(filter: String) -> SubscribeFilter {
    SubscribeFilter::new(filter, QoS::AtLeastOnce)
}

impl LiveSettings {
    /// What every live session listens to.
    fn base(&self) -> Vec<SubscribeFilter> {
        [self.commands.clone(), self.answers.clone()].map(at_least_once).into()
    }
}
