//! One data session, without I/O: a local client on one side, links to the broker on the other.
//!
//! The local connection stays while links come and go. A change of identity is make-before-break: a link with the new
//! one is dialled beside the one that serves; only then is the client held, what is on the way drained, the old link
//! ended with DISCONNECT, and CONNECT sent on the new one, for the same session. What is unanswered goes out again; where
//! the broker has lost the session, the subscriptions are made again first. An unplanned loss takes the same way without
//! its first half. If the new identity is refused, the link goes back to the one before.
//!
//! The owner hands over what happens ([`Relay::handle`]), does what [`Relay::poll`] gives, in order, and comes again at
//! [`Relay::deadline`]. Times are spans since a moment of the owner's choosing.
//!
//! - [`local`]: packets of the client; [`upstream`]: packets of the broker
//! - [`links`]: how a link comes about; [`takeover`]: how it takes over; [`ending`]: how a client's session ends
//! - [`upward`], [`downward`], [`subscriptions`], [`memory`]: the tables; [`pace`]: how fast what waits is sent
//! - [`handshake`]: what becomes of CONNECT and CONNACK

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use fleetkey_lifecycle::SlotId;
use fleetkey_mqtt::{Connect, Packet, Publish, QoS, ReasonCode, Text};

use crate::tls::Failure;

use downward::Downward;
use ending::Farewell;
use handshake::Offer;
use keep_alive::KeepAlive;
use links::{Hold, Next, Parted};
use memory::Memory;
use pace::Pace;
pub(crate) use upward::QueueLimits;
use upward::Upward;

mod downward;
mod ending;
mod handshake;
mod keep_alive;
mod links;
mod local;
mod memory;
#[cfg(test)]
mod model;
mod pace;
#[cfg(test)]
mod scenarios;
mod subscriptions;
mod takeover;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod upstream;
mod upward;

/// Messages that may wait for the client.
const DOWNWARD: usize = 1000;

/// A span since the owner's beginning.
pub(crate) type Time = Duration;

/// A connection of a local client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocalId(pub(crate) u64);

/// A connection to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

/// A message of the agent's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token(pub(crate) u64);

/// What the relay is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The client id up there: the thing's name.
    pub(crate) client_id: Text,
    /// Our keep-alive up there, in seconds; the broker may override it.
    pub(crate) keep_alive: u16,
    /// How long PINGRESP may take.
    pub(crate) ping_timeout: Duration,
    /// The shortest time between two CONNECTs; AWS allows one a second (quotas).
    pub(crate) spacing: Duration,
    /// How long a hand-over waits for answers that are still out.
    pub(crate) drain: Duration,
    /// How long it waits for the broker to close the old link after DISCONNECT.
    pub(crate) part: Duration,
    /// CONNECT to CONNACK, and again the SUBACKs of subscriptions that are made again.
    pub(crate) connect: Duration,
    /// How long the client is held before it is told the truth: its connection is closed.
    pub(crate) max_hold: Duration,
    /// The longest wait between two attempts to connect.
    pub(crate) reconnect_cap: Duration,
    /// Unanswered messages at once, either way, where the other side does not say less. AWS: 100 (quotas).
    pub(crate) window: u16,
    /// Messages a second that a link takes; 0 is no bound. AWS: 100 (quotas).
    pub(crate) rate: usize,
    /// What may wait for a link.
    pub(crate) queue: QueueLimits,
    /// Filters in one SUBSCRIBE. AWS: 8 (quotas).
    pub(crate) filters_per_subscribe: usize,
    /// Seconds that a session lives up there at least.
    pub(crate) expiry_floor: u32,
    /// Bytes of the largest payload. AWS: 128 KiB (quotas).
    pub(crate) max_payload: usize,
    /// Bytes of the largest packet that is taken from either side.
    pub(crate) max_packet: usize,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// The identity to serve with from now on.
    Identity(SlotId),
    /// A client has connected. One that is there already has lost its place.
    Connect(LocalId, Box<Connect>),
    /// A packet of the client.
    Client(LocalId, Packet),
    /// What the client sent cannot be taken; nothing after it can be read.
    Malformed(LocalId, ReasonCode, String),
    /// The client's connection is gone without a DISCONNECT.
    ClientGone(LocalId),
    /// TCP and TLS of a link are made.
    Dialed(LinkId),
    /// They are not.
    NotDialed(LinkId, Failure),
    /// A packet of the broker.
    Upstream(LinkId, Packet),
    /// A link is gone.
    LinkGone(LinkId, Loss),
    /// A message of the agent's, for the link with this identity and no other.
    Publish { token: Token, on: SlotId, topic: Text, payload: Bytes },
    /// Nothing but time.
    Tick,
    /// The end: links are ended in good order.
    Stop,
}

/// How a link was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The broker closed it.
    Closed,
    /// The broker says that it does not take our certificate: under TLS 1.3 that comes after the handshake.
    Refused(String),
    /// It sent what cannot be taken: what MQTT 5 calls that, and which packet it was.
    Malformed(ReasonCode, String),
    /// It broke.
    Broken(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make TCP and TLS with this identity, after a wait.
    Dial(LinkId, SlotId),
    /// Send on a link.
    Send(LinkId, Packet),
    /// Send what waits, then close. Nothing of this link is told any more.
    Close(LinkId),
    /// Send to the client.
    ToClient(LocalId, Packet),
    /// Send what waits, then close. Nothing of this client is told any more.
    CloseClient(LocalId),
    /// Tell whoever wants to know.
    Report(Report),
}

/// What is worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// A client is served.
    Serving { slot: SlotId, session_present: bool },
    /// A client was not taken.
    Turned { why: String },
    /// The identity that was asked for is in use: the client's link has moved to it, or there is none to move.
    Settled { slot: SlotId, moved: Option<Resumed> },
    /// It is not: the client's link is on the one before, or on its way back to it.
    Unsettled { slot: SlotId, failure: Failure },
    /// A link was lost; the client is held.
    Lost { why: String },
    /// It is served again.
    Recovered { slot: SlotId, resumed: Resumed },
    /// An attempt to connect has failed.
    Failed { slot: SlotId, failure: Failure },
    /// The broker takes less than the client was told.
    Narrowed { what: Vec<&'static str> },
    /// So much waits that the client is read no further.
    Full { waiting: usize },
    /// The client was disconnected for breaking the rules.
    Expelled { why: String },
    /// The client has gone, or was closed, why.
    Ended { why: String },
    /// What became of a message of the agent's.
    Published(Token, Result<(), Unpublished>),
}

/// How a client was served again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// How long it was held.
    pub(crate) held: Duration,
    /// Whether the broker still had its session.
    pub(crate) session_present: bool,
    /// Packets sent again.
    pub(crate) repeated: usize,
    /// Subscriptions made again.
    pub(crate) resubscribed: usize,
}

/// Why a message of the agent's was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unpublished {
    /// There is no link with that identity, or it is changing hands.
    NoLink,
    /// The link was lost before the answer.
    Lost,
    /// The broker refused it.
    Refused(ReasonCode),
}

/// The local client.
#[derive(Debug)]
struct Client {
    id: LocalId,
    connect: Connect,
    /// The client id that it gave, or that it was given.
    name: Text,
    stage: Standing,
    /// What the broker offered when this client was taken.
    offer: Option<Offer>,
    /// When it was last heard of.
    heard: Time,
}

/// How far a client has come.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// It waits for its CONNACK.
    Asking,
    Served,
    /// It has gone; what it left is still being sent.
    Leaving {
        how: Farewell,
        since: Time,
    },
}

/// The link that the broker has accepted for the client.
#[derive(Debug)]
struct Serving {
    id: LinkId,
    slot: SlotId,
    since: Time,
    keep_alive: KeepAlive,
    offer: Offer,
    session_present: bool,
    /// How many subscriptions were made again.
    restored: usize,
    /// Subscriptions that are being made again: the identifiers whose SUBACKs are awaited, and until when.
    restoring: Vec<fleetkey_mqtt::PacketId>,
    restore_until: Time,
}

/// One data session; see the module.
#[derive(Debug)]
pub(crate) struct Relay {
    settings: Settings,
    now: Time,
    /// The identity to serve with.
    target: Option<SlotId>,
    /// The identity to move to.
    wanted: Option<SlotId>,
    memory: Memory,
    client: Option<Client>,
    /// A client that came before the one before had gone entirely.
    newcomer: Option<(LocalId, Box<Connect>)>,
    serving: Option<Serving>,
    next: Option<Next>,
    parted: Option<Parted>,
    hold: Option<Hold>,
    upward: Upward,
    pace: Pace,
    downward: Downward,
    /// Links lost in a row on which nothing was answered.
    fruitless: u32,
    /// Attempts in a row that failed.
    failures: u32,
    last_link: u64,
    /// The broker leaves unread what it is sent.
    link_congested: bool,
    /// It was told that the client is read no further.
    told_full: bool,
    random: u64,
    stopped: bool,
    actions: VecDeque<Action>,
}

impl Relay {
    /// A relay without client and identity. Only the spread of waits hangs on `seed`.
    pub(crate) fn new(settings: Settings, seed: u64) -> Self {
        Self {
            upward: Upward::new(settings.queue),
            pace: Pace::new(settings.rate),
            downward: Downward::new(DOWNWARD.max(usize::from(settings.window))),
            settings,
            now: Time::ZERO,
            target: None,
            wanted: None,
            memory: Memory::new(),
            client: None,
            newcomer: None,
            serving: None,
            next: None,
            parted: None,
            hold: None,
            fruitless: 0,
            failures: 0,
            last_link: 0,
            link_congested: false,
            told_full: false,
            random: seed,
            stopped: false,
            actions: VecDeque::new(),
        }
    }

    /// Takes note of what has happened. Time never goes back.
    pub(crate) fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Identity(slot) => self.on_identity(slot),
            Input::Connect(id, connect) => self.on_connect(id, connect),
            Input::Client(id, packet) => self.on_client_packet(id, packet),
            Input::Malformed(id, reason, why) => self.on_malformed(id, reason, &why),
            Input::ClientGone(id) => self.on_client_gone(id),
            Input::Dialed(id) => self.on_dialed(id),
            Input::NotDialed(id, failure) => self.on_not_dialed(id, failure),
            Input::Upstream(id, packet) => self.on_link_packet(id, packet),
            Input::LinkGone(id, loss) => self.on_link_gone(id, &loss),
            Input::Publish { token, on, topic, payload } => self.on_publish(token, on, topic, payload),
            Input::Tick => {}
            Input::Stop => self.stop(),
        }
        self.settle();
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to come again at the latest.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let next = self.next.as_ref().and_then(|next| self.due(next));
        let parted = self.parted.as_ref().map(|parted| parted.until);
        let hold = self.hold.as_ref().map(|hold| hold.since + self.settings.max_hold);
        let link = self.serving.as_ref().and_then(|serving| serving.keep_alive.deadline());
        let restored =
            self.serving.as_ref().filter(|one| !one.restoring.is_empty()).map(|one| one.restore_until);
        let ours = [self.pace_deadline(), self.client_deadline()];
        [next, parted, hold, link, restored].into_iter().chain(ours).flatten().min()
    }

    /// Whether the client may be read: it is being served, and there is room for what it says.
    pub(crate) fn wants_client(&self) -> bool {
        let served = self.client.as_ref().is_some_and(|client| client.stage == Standing::Served);
        served && self.upward.has_room()
    }

    /// The client whose place it is.
    pub(crate) fn client(&self) -> Option<LocalId> {
        self.client.as_ref().map(|client| client.id)
    }

    /// The link that serves it.
    pub(crate) fn link(&self) -> Option<LinkId> {
        self.serving.as_ref().map(|serving| serving.id)
    }

    /// Whether the client leaves unread what it is sent, so that QoS 0 messages for it are dropped; and whether the
    /// broker does, so that the client has to wait.
    pub(crate) fn congested(&mut self, client: bool, link: bool) {
        self.downward.congested = client;
        self.link_congested = link;
    }

    /// Whether a client is there, or has not gone entirely.
    #[cfg(test)]
    pub(crate) fn has_client(&self) -> bool {
        self.client.is_some() || self.newcomer.is_some()
    }

    /// Whether it has stopped, and nothing is left to do.
    #[cfg(test)]
    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped && self.actions.is_empty()
    }

    /// The state of the moment.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let client = self.client.as_ref();
        Snapshot {
            client: client.map(|client| client.name.to_string()),
            version: client.map(|client| client.connect.version),
            serving: self.serving.as_ref().map(|serving| serving.slot),
            held_since: self.hold.as_ref().map(|hold| hold.since),
            waiting_up: self.upward.depth().0,
            unanswered_up: self.upward.depth().1,
            waiting_down: self.downward.depth().0,
            unanswered_down: self.downward.depth().1,
            subscriptions: self.memory.subscriptions.count(),
            dropped_up: self.upward.dropped,
            dropped_down: self.downward.dropped,
            swallowed: self.downward.swallowed,
        }
    }

    /// Follows up on what has happened, until nothing more follows from it.
    fn settle(&mut self) {
        while !self.stopped && (self.expire() || self.leave() || self.welcome() || self.progress()) {}
        self.pump();
        self.watch_room();
    }

    /// Tells that the client is read no further, once until there is room in plenty.
    fn watch_room(&mut self) {
        if self.upward.is_half_empty() {
            self.told_full = false;
        } else if !self.upward.has_room() && !std::mem::replace(&mut self.told_full, true) {
            self.report(Report::Full { waiting: self.upward.depth().0 });
        }
    }

    fn send(&mut self, link: LinkId, packet: Packet) {
        let now = self.now;
        if let Some(serving) = self.serving.as_mut().filter(|serving| serving.id == link) {
            serving.keep_alive.sent(now);
        }
        self.act(Action::Send(link, packet));
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    fn report(&mut self, report: Report) {
        self.act(Action::Report(report));
    }

    fn on_publish(&mut self, token: Token, on: SlotId, topic: Text, payload: Bytes) {
        let right =
            self.open_link().is_some() && self.serving.as_ref().is_some_and(|serving| serving.slot == on);
        let leaving = self.next.as_ref().is_some_and(Next::is_move);
        if !right || leaving {
            return self.report(Report::Published(token, Err(Unpublished::NoLink)));
        }
        let publish = Publish { qos: QoS::AtLeastOnce, ..Publish::new(topic, payload) };
        self.upward.push_agent(token, publish);
    }

    /// Tells the agent that messages of its own have gone with their link.
    fn give_up(&mut self, tokens: Vec<Token>) {
        for token in tokens {
            self.report(Report::Published(token, Err(Unpublished::Lost)));
        }
    }

    /// The next of a sequence that looks random (SplitMix64).
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// The state of a relay, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The client id that the client gave.
    pub(crate) client: Option<String>,
    pub(crate) version: Option<fleetkey_mqtt::Version>,
    pub(crate) serving: Option<SlotId>,
    pub(crate) held_since: Option<Time>,
    pub(crate) waiting_up: usize,
    pub(crate) unanswered_up: usize,
    pub(crate) waiting_down: usize,
    pub(crate) unanswered_down: usize,
    pub(crate) subscriptions: usize,
    pub(crate) dropped_up: u64,
    pub(crate) dropped_down: u64,
    pub(crate) swallowed: u64,
}
