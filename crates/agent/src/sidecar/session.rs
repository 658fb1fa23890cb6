//! The task that owns the relay, the client's connection and the links.

use std::collections::HashMap;
use std::sync::Arc;

use fleetkey_lifecycle::SlotId;
use fleetkey_mqtt::{Packet, Version};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::relay::{Action, Input, LinkId, LocalId, Loss, Relay, Report, Token, Unpublished};
use super::status::{ClientStatus, MoveStatus, SidecarEvent, SidecarStatus};
use super::wire::{Arrived, FAREWELL, Heard, Reader, Sending, Told, Writer};
use super::{COMMANDS, Command, SidecarHandle, SidecarSettings};
use crate::config::AgentConfig;
use crate::event::AgentEvent;
use crate::store::SlotIdentity;
use crate::tls::{ClientIdentity, Dialer, Failure, Stream};

/// Packets of the client that are read ahead.
const READ_AHEAD: usize = 16;
/// Packets of links that may wait.
const LINK_EVENTS: usize = 256;
/// Bytes that the client leaves unread before QoS 0 messages for it are dropped.
const CONGESTED: usize = 1024 * 1024;
/// Bytes that it leaves unread before it is taken for dead: what a window of AWS's largest messages comes to, twice.
const GONE: usize = 32 * 1024 * 1024;

/// What links bring.
#[derive(Debug)]
enum LinkEvent {
    Dialed(Result<Stream, Failure>),
    Heard(Heard),
}

/// A client's connection.
struct Local {
    sending: Sending,
    heard: mpsc::Receiver<Heard>,
    peer: String,
}

/// What woke the task.
enum Woken {
    Command(Option<Command>),
    Link(LinkId, LinkEvent),
    Client(LocalId, Heard),
    Time,
}

/// See the module.
pub(crate) struct Session {
    relay: Relay,
    started: Instant,
    dialer: Dialer,
    identities: HashMap<SlotId, Arc<SlotIdentity>>,
    commands: mpsc::Receiver<Command>,
    clients: HashMap<LocalId, Local>,
    last_client: u64,
    dials: HashMap<LinkId, AbortHandle>,
    links: HashMap<LinkId, Sending>,
    link_events: mpsc::Receiver<(LinkId, LinkEvent)>,
    to_link_events: mpsc::Sender<(LinkId, LinkEvent)>,
    switches: Vec<(SlotId, oneshot::Sender<Result<(), Failure>>)>,
    publishes: HashMap<Token, oneshot::Sender<Result<(), Unpublished>>>,
    last_token: u64,
    /// Held by every connection until all of it is sent.
    alive: (mpsc::Sender<()>, mpsc::Receiver<()>),
    /// Told whenever a connection has written everything.
    drained: Arc<Notify>,
    status: watch::Sender<SidecarStatus>,
    told: SidecarStatus,
    events: broadcast::Sender<AgentEvent>,
}

impl Session {
    pub(crate) fn new(
        config: &AgentConfig,
        dialer: Dialer,
        listen: Vec<String>,
        events: broadcast::Sender<AgentEvent>,
    ) -> (Self, SidecarHandle, watch::Receiver<SidecarStatus>) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let settings =
            config.sidecar.clone().unwrap_or_else(|| SidecarSettings::new(Vec::new())).relay(config);
        let told = SidecarStatus { listen, ..SidecarStatus::default() };
        let (status, shown) = watch::channel(told.clone());
        // Only the spread of waits hangs on the seed.
        let seed = getrandom::u64().unwrap_or_default();
        let (to_link_events, link_events) = mpsc::channel(LINK_EVENTS);
        let session = Self {
            relay: Relay::new(settings, seed),
            started: Instant::now(),
            dialer,
            identities: HashMap::new(),
            commands,
            clients: HashMap::new(),
            last_client: 0,
            dials: HashMap::new(),
            links: HashMap::new(),
            link_events,
            to_link_events,
            switches: Vec::new(),
            publishes: HashMap::new(),
            last_token: 0,
            alive: mpsc::channel(1),
            drained: Arc::default(),
            status,
            told,
            events,
        };
        (session, SidecarHandle { commands: sender }, shown)
    }

    /// Runs until it is told to stop, or nobody is left who could tell it anything.
    pub(crate) async fn run(mut self) {
        loop {
            let woken = self.wait().await;
            let stop = match woken {
                Woken::Command(Some(Command::Stop { reply })) => Some(Some(reply)),
                Woken::Command(None) => Some(None),
                other => {
                    self.take(other);
                    None
                }
            };
            if let Some(reply) = stop {
                self.stop().await;
                // Who does not wait need not know.
                let _ = reply.map(|reply| reply.send(()));
                return;
            }
            self.show();
        }
    }

    /// Ends everything in good order, and waits for a moment until that is sent.
    async fn stop(&mut self) {
        self.tell(Input::Stop);
        self.show();
        self.clients.clear();
        self.links.clear();
        let (held, mut all) = std::mem::replace(&mut self.alive, mpsc::channel(1));
        drop(held);
        if tokio::time::timeout(FAREWELL, all.recv()).await.is_err() {
            tracing::debug!("a connection did not end in time");
        }
    }

    async fn wait(&mut self) -> Woken {
        let deadline = self.relay.deadline().map(|at| self.started + at);
        let client = self.relay.client().filter(|_| self.relay.wants_client());
        let local = client.and_then(|id| self.clients.get_mut(&id).map(|local| (id, local)));
        tokio::select! {
            command = self.commands.recv() => Woken::Command(command),
            Some((id, event)) = self.link_events.recv() => Woken::Link(id, event),
            (id, heard) = hear(local) => Woken::Client(id, heard),
            () = self.drained.notified() => Woken::Time,
            () = over(deadline) => Woken::Time,
        }
    }

    fn take(&mut self, woken: Woken) {
        match woken {
            Woken::Command(Some(command)) => self.on_command(command),
            Woken::Command(None) => {}
            Woken::Link(id, LinkEvent::Dialed(dialed)) => self.on_dialed(id, dialed),
            Woken::Link(id, LinkEvent::Heard(Heard::Packet(packet))) => {
                self.tell(Input::Upstream(id, packet));
            }
            Woken::Link(id, LinkEvent::Heard(Heard::End(loss))) => {
                self.links.remove(&id);
                self.tell(Input::LinkGone(id, loss));
            }
            Woken::Client(id, Heard::Packet(packet)) => self.tell(Input::Client(id, packet)),
            Woken::Client(id, Heard::End(Loss::Malformed(reason, why))) => {
                self.tell(Input::Malformed(id, reason, why));
                self.clients.remove(&id);
            }
            Woken::Client(id, Heard::End(loss)) => {
                tracing::debug!(%loss, "the client's connection");
                self.clients.remove(&id);
                self.tell(Input::ClientGone(id));
            }
            Woken::Time => self.tell(Input::Tick),
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Arrived(arrived) => self.on_arrived(*arrived),
            Command::Switch { identity, reply } => {
                let slot = identity.slot;
                self.identities.insert(slot, identity);
                self.switches.push((slot, reply));
                self.tell(Input::Identity(slot));
            }
            Command::Publish { on, topic, payload, reply } => {
                self.last_token += 1;
                let token = Token(self.last_token);
                self.publishes.insert(token, reply);
                self.tell(Input::Publish { token, on, topic, payload });
            }
            // Ends the loop before it comes here.
            Command::Stop { reply } => drop(reply),
        }
    }

    fn on_arrived(&mut self, arrived: Arrived) {
        let Arrived { connect, peer, reader, writer, rest } = arrived;
        self.last_client += 1;
        let id = LocalId(self.last_client);
        let (to, heard) = mpsc::channel(READ_AHEAD);
        let hear = move |what| {
            let to = to.clone();
            // A session that is gone has closed the connection.
            Box::pin(async move { drop(to.send(what).await) }) as Told
        };
        let sending = Sending::start((reader, writer), connect.version, rest, hear, self.held());
        self.clients.insert(id, Local { sending, heard, peer });
        self.tell(Input::Connect(id, connect));
    }

    fn on_dialed(&mut self, id: LinkId, dialed: Result<Stream, Failure>) {
        if self.dials.remove(&id).is_none() {
            return;
        }
        match dialed {
            Ok(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                let to = self.to_link_events.clone();
                let hear = move |what| {
                    let to = to.clone();
                    Box::pin(async move { drop(to.send((id, LinkEvent::Heard(what))).await) }) as Told
                };
                let halves: (Reader, Writer) = (Box::new(reader), Box::new(writer));
                let sending = Sending::start(halves, Version::V5, bytes::BytesMut::new(), hear, self.held());
                self.links.insert(id, sending);
                self.tell(Input::Dialed(id));
            }
            Err(failure) => self.tell(Input::NotDialed(id, failure)),
        }
    }

    fn tell(&mut self, input: Input) {
        self.watch_backlog();
        self.relay.handle(self.started.elapsed(), input);
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(action) = self.relay.poll() {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dial(id, slot) => self.dial(id, slot),
            Action::Send(id, packet) => {
                if let Some(link) = self.links.get(&id) {
                    link.send(&packet);
                }
            }
            Action::Close(id) => {
                self.links.remove(&id);
                if let Some(dial) = self.dials.remove(&id) {
                    dial.abort();
                }
            }
            Action::ToClient(id, packet) => self.to_client(id, &packet),
            Action::CloseClient(id) => drop(self.clients.remove(&id)),
            Action::Report(report) => self.on_report(report),
        }
    }

    fn to_client(&self, id: LocalId, packet: &Packet) {
        if let Some(local) = self.clients.get(&id) {
            local.sending.send(packet);
        }
    }

    fn dial(&mut self, id: LinkId, slot: SlotId) {
        let Some(identity) = self.identities.get(&slot).cloned() else {
            return;
        };
        let (dialer, to) = (self.dialer.clone(), self.to_link_events.clone());
        let dial = tokio::spawn(async move {
            let dialed = dialer.dial(&ClientIdentity::from(&*identity)).await.map_err(Failure::from);
            // A session that is gone needs no link.
            let _ = to.send((id, LinkEvent::Dialed(dialed))).await;
        });
        self.dials.insert(id, dial.abort_handle());
    }

    /// A peer that does not take what it is sent costs no more than so much memory: a client gets no QoS 0 messages
    /// then and is given up in the end; for a slow link the client waits.
    fn watch_backlog(&mut self) {
        let link = self.relay.link().and_then(|id| self.links.get(&id)).map_or(0, Sending::backlog);
        let client = self.relay.client();
        let clients = client.and_then(|id| self.clients.get(&id)).map_or(0, |local| local.sending.backlog());
        self.relay.congested(clients > CONGESTED, link > CONGESTED);
        if let Some(id) = client.filter(|_| clients > GONE) {
            self.clients.remove(&id);
            self.relay.handle(self.started.elapsed(), Input::ClientGone(id));
            self.perform();
        }
    }

    /// What a connection holds on to.
    fn held(&self) -> (Arc<Notify>, mpsc::Sender<()>) {
        (self.drained.clone(), self.alive.0.clone())
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Serving { slot, session_present } => {
                self.event(SidecarEvent::Serving { slot, session_present });
            }
            Report::Turned { why } => self.event(SidecarEvent::Turned { why }),
            Report::Settled { slot, moved } => {
                self.on_settled(slot, moved.map(|moved| MoveStatus::new(slot, moved)));
            }
            Report::Unsettled { slot, failure } => {
                self.event(SidecarEvent::NotMoved { slot, why: failure.to_string() });
                self.answer_switches(|asked| (asked == slot).then(|| Err(failure.clone())));
            }
            Report::Lost { why } => {
                self.told.losses += 1;
                self.event(SidecarEvent::Lost { why });
            }
            Report::Recovered { slot, resumed } => {
                let last = MoveStatus::new(slot, resumed);
                self.told.last = Some(last);
                self.event(SidecarEvent::Recovered(last));
            }
            Report::Failed { slot, failure } => {
                self.event(SidecarEvent::NotConnected { slot, why: failure.to_string() });
            }
            Report::Narrowed { what } => {
                self.event(SidecarEvent::Narrowed { limits: what.into_iter().map(str::to_owned).collect() });
            }
            Report::Full { waiting } => self.event(SidecarEvent::Full { waiting }),
            Report::Expelled { why } => self.event(SidecarEvent::Expelled { why }),
            Report::Ended { why } => self.event(SidecarEvent::Ended { why }),
            Report::Published(token, outcome) => {
                if let Some(reply) = self.publishes.remove(&token) {
                    // Who gave up waiting need not know.
                    let _ = reply.send(outcome);
                }
            }
        }
    }

    fn on_settled(&mut self, slot: SlotId, moved: Option<MoveStatus>) {
        if let Some(last) = moved {
            self.told.moves += 1;
            self.told.last = Some(last);
            self.event(SidecarEvent::Moved(last));
        }
        let other =
            || Failure::unreachable(fleetkey_lifecycle::event::Tier::Tls, "another identity was asked for");
        self.answer_switches(|asked| Some(if asked == slot { Ok(()) } else { Err(other()) }));
        self.identities.retain(|known, _| *known == slot);
    }

    fn answer_switches(&mut self, answer: impl Fn(SlotId) -> Option<Result<(), Failure>>) {
        let waiting = std::mem::take(&mut self.switches);
        for (asked, reply) in waiting {
            match answer(asked) {
                Some(answer) => drop(reply.send(answer)),
                None => self.switches.push((asked, reply)),
            }
        }
    }

    fn event(&self, event: SidecarEvent) {
        let event = AgentEvent::Sidecar(event);
        event.log();
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    /// Shows the state if it has changed.
    fn show(&mut self) {
        let snapshot = self.relay.snapshot();
        let told = &mut self.told;
        let peer = self.relay.client().and_then(|id| self.clients.get(&id)).map(|local| local.peer.clone());
        told.client = snapshot.client.zip(snapshot.version).map(|(id, version)| ClientStatus {
            id,
            version: if version == Version::V5 { "5" } else { "3.1.1" }.to_owned(),
            peer: peer.unwrap_or_default(),
        });
        told.slot = snapshot.serving;
        told.certificate = snapshot
            .serving
            .and_then(|slot| self.identities.get(&slot))
            .map(|identity| identity.certificate.id);
        told.held = snapshot.held_since.is_some();
        (told.waiting_up, told.unanswered_up) = (snapshot.waiting_up, snapshot.unanswered_up);
        (told.waiting_down, told.unanswered_down) = (snapshot.waiting_down, snapshot.unanswered_down);
        told.subscriptions = snapshot.subscriptions;
        told.dropped = snapshot.dropped_up.saturating_add(snapshot.dropped_down);
        self.status.send_if_modified(|shown| {
            let changed = shown != told;
            if changed {
                shown.clone_from(told);
            }
            changed
        });
    }
}

/// What the client says; for ever when it is not to be heard.
async fn hear(local: Option<(LocalId, &mut Local)>) -> (LocalId, Heard) {
    match local {
        Some((id, local)) => {
            let gone = || Heard::End(Loss::Closed);
            (id, local.heard.recv().await.unwrap_or_else(gone))
        }
        None => std::future::pending().await,
    }
}

async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
