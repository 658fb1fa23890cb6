//! How a link to the broker comes about, takes the session over, and is lost.
//!
//! One link at a time is being made, whatever for ([`Why`]). CONNECT waits for three things: the broker takes one a
//! second; the link before has been ended, and the broker has closed it, so that nothing is taken over and no will is
//! published; and, in a move, what was on the way has been answered or had its time.

use std::time::Duration;

use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::event::{FailureKind, Tier};
use fleetkey_mqtt::{Disconnect, Packet, ReasonCode};

use super::handshake::{purging_connect, upstream_connect};
use super::keep_alive::Due;
use super::memory::Wanted;
use super::{Action, LinkId, Loss, Relay, Report, Standing, Time};
use crate::connect::is_passing;
use crate::tls::Failure;

/// The upper bound of the wait after the first failed attempt, doubled from there on.
const BASE: Duration = Duration::from_millis(500);

/// A link that is being made.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) id: LinkId,
    pub(super) slot: SlotId,
    pub(super) why: Why,
    stage: Stage,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The first of a client, which waits for its CONNACK.
    First,
    /// To empty the session, before a client is served or after it has gone.
    Purge { for_client: bool },
    /// In place of one that was lost.
    Recover,
    /// In place of one that serves, with another identity.
    Move,
}

/// How far it has come.
#[derive(Debug)]
enum Stage {
    Waiting {
        until: Time,
    },
    /// TCP and TLS are being made.
    Dialing,
    /// CONNECT may go out as soon as nothing speaks against it.
    Ready,
    /// The client is held; the link that serves still owes answers, or the client does.
    Draining {
        until: Time,
    },
    /// CONNECT is out. Whether the session was in doubt before it.
    Connecting {
        until: Time,
        in_doubt: bool,
    },
}

/// A link on which DISCONNECT is out and which the broker has not closed yet. What it still brings is taken.
#[derive(Debug)]
pub(super) struct Parted {
    pub(super) id: LinkId,
    pub(super) until: Time,
}

/// The client is held: nothing of what it says goes up.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) since: Time,
}

impl Next {
    pub(super) fn is_move(&self) -> bool {
        self.why == Why::Move
    }

    /// Whether it is to tidy up after a client, and the broker knows nothing of it yet.
    pub(super) fn is_idle_purge(&self) -> bool {
        self.why == Why::Purge { for_client: false } && self.is_unsent()
    }

    /// Whether the broker knows nothing of it yet.
    pub(super) fn is_unsent(&self) -> bool {
        !matches!(self.stage, Stage::Connecting { .. })
    }

    pub(super) fn was_in_doubt(&self) -> bool {
        matches!(self.stage, Stage::Connecting { in_doubt: true, .. })
    }
}

impl Relay {
    /// Another identity is to serve.
    pub(super) fn on_identity(&mut self, slot: SlotId) {
        let served =
            self.client.as_ref().is_some_and(|client| !matches!(client.stage, Standing::Leaving { .. }));
        if self.target.is_none() || !served {
            self.target = Some(slot);
            self.wanted = None;
            return self.report(Report::Settled { slot, moved: None });
        }
        if self.wanted == Some(slot) {
            return;
        }
        self.call_off_unsent();
        if self.serving.as_ref().is_some_and(|serving| serving.slot == slot) {
            self.target = Some(slot);
            self.wanted = None;
            return self.report(Report::Settled { slot, moved: None });
        }
        self.wanted = Some(slot);
        let unserved =
            self.client.as_ref().is_some_and(|one| one.stage == Standing::Served) && self.serving.is_none();
        if unserved && self.next.is_none() {
            self.begin(Why::Move, slot, Duration::ZERO);
        }
    }

    /// Another identity than the one that a link is being made with: it is of no use, unless CONNECT is out or a
    /// client waits for it.
    fn call_off_unsent(&mut self) {
        let useless = |next: &Next| matches!(next.why, Why::Move | Why::Recover) && next.is_unsent();
        if self.next.as_ref().is_some_and(useless) {
            self.call_off();
        }
    }

    /// Gives the link up that is being made. Where another serves, the client is held no longer.
    pub(super) fn call_off(&mut self) {
        if let Some(next) = self.next.take() {
            self.abandon(&next);
        }
        if self.serving.as_ref().is_some_and(|serving| serving.restoring.is_empty()) {
            self.hold = None;
        }
    }

    /// Closes a link that is being made. If CONNECT is out, the broker may have accepted by now, will and all.
    fn abandon(&mut self, next: &Next) {
        if !next.is_unsent() {
            self.note_connect();
            let farewell = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
            self.act(Action::Send(next.id, Packet::Disconnect(farewell)));
        }
        self.act(Action::Close(next.id));
    }

    /// The first link for a client that asks.
    pub(super) fn begin_first(&mut self, slot: SlotId) {
        let Some(client) = &self.client else { return };
        let purge = self.memory.needs_purge(Wanted::of(&client.connect), self.now);
        let why = if purge { Why::Purge { for_client: true } } else { Why::First };
        self.begin(why, slot, Duration::ZERO);
    }

    pub(super) fn begin(&mut self, why: Why, slot: SlotId, wait: Duration) {
        if self.stopped {
            return;
        }
        self.last_link += 1;
        let stage = Stage::Waiting { until: self.now + wait };
        self.next = Some(Next { id: LinkId(self.last_link), slot, why, stage });
    }

    /// In place of a link that is lost: with the identity that is wanted, else with the one there was.
    pub(super) fn begin_again(&mut self) {
        let wait = self.backoff();
        match (self.wanted, self.target) {
            (Some(wanted), _) => self.begin(Why::Move, wanted, wait),
            (None, Some(target)) => self.begin(Why::Recover, target, wait),
            (None, None) => {}
        }
    }

    /// The wait before the next attempt: none before the first, then exponential with full jitter.
    fn backoff(&mut self) -> Duration {
        let Some(doublings) = self.failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let ceiling = BASE.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX));
        let ceiling = u64::try_from(ceiling.min(self.settings.reconnect_cap).as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.random() % ceiling.saturating_add(1))
    }

    /// The next step of the link that is being made, if it can be done now. Whether it was.
    pub(super) fn progress(&mut self) -> bool {
        let Some(next) = &self.next else {
            return self.begin_move();
        };
        let (id, slot) = (next.id, next.slot);
        match next.stage {
            Stage::Waiting { until } if until <= self.now => {
                self.enter(Stage::Dialing);
                self.act(Action::Dial(id, slot));
                true
            }
            Stage::Ready => self.take_turn(),
            Stage::Draining { until } => {
                let quiet = self.upward.in_flight() == 0 && self.downward.is_acknowledged();
                let drained = self.serving.is_none() || quiet || until <= self.now;
                if drained {
                    self.part(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION));
                    self.enter(Stage::Ready);
                }
                drained
            }
            Stage::Waiting { .. } | Stage::Dialing | Stage::Connecting { .. } => false,
        }
    }

    /// Begins the move that is wanted, once the client is served and nothing else is under way.
    fn begin_move(&mut self) -> bool {
        let serves = self.serving.is_some() && self.hold.is_none();
        let served = self.client.as_ref().is_some_and(|client| client.stage == Standing::Served);
        match self.wanted.filter(|_| serves && served) {
            Some(wanted) => {
                self.begin(Why::Move, wanted, Duration::ZERO);
                !self.stopped
            }
            None => false,
        }
    }

    /// TLS stands. Whether something could be done.
    fn take_turn(&mut self) -> bool {
        if self.now < self.memory.next_connect(&self.settings) {
            return false;
        }
        if self.serving.is_some() {
            self.hold.get_or_insert(Hold { since: self.now });
            let until = self.now + self.settings.drain;
            self.enter(Stage::Draining { until });
            return true;
        }
        if self.parted.is_some() {
            return false;
        }
        self.connect();
        true
    }

    fn connect(&mut self) {
        let Some(next) = &self.next else { return };
        let id = next.id;
        let packet = match (next.why, &self.client) {
            (Why::Purge { .. }, _) => purging_connect(&self.settings),
            (_, None) => return self.call_off(),
            (Why::First, Some(client)) => {
                let empty = self.memory.must_be_empty(Wanted::of(&client.connect), self.now);
                let clean_start = empty && client.connect.version == fleetkey_mqtt::Version::V5;
                upstream_connect(&client.connect, clean_start, &self.settings)
            }
            (Why::Recover | Why::Move, Some(client)) => {
                upstream_connect(&client.connect, false, &self.settings)
            }
        };
        self.note_connect();
        let until = self.now + self.settings.connect;
        let in_doubt = std::mem::replace(&mut self.memory.in_doubt, true);
        self.enter(Stage::Connecting { until, in_doubt });
        self.act(Action::Send(id, Packet::Connect(Box::new(packet))));
    }

    /// A CONNECT has gone out, or its answer has come: the broker counts from somewhere in between.
    pub(super) fn note_connect(&mut self) {
        self.memory.last_connect = Some(self.now);
    }

    /// Ends the link that serves in good order; the broker publishes no will.
    pub(super) fn part(&mut self, farewell: Disconnect) {
        let Some(serving) = self.serving.take() else { return };
        self.act(Action::Send(serving.id, Packet::Disconnect(farewell)));
        self.wait_for_close(serving.id);
        let given_up = self.upward.link_gone();
        self.give_up(given_up);
    }

    pub(super) fn wait_for_close(&mut self, id: LinkId) {
        let until = self.now + self.settings.part;
        if let Some(before) = self.parted.replace(Parted { id, until }) {
            self.act(Action::Close(before.id));
        }
    }

    pub(super) fn on_dialed(&mut self, id: LinkId) {
        match self.next.as_ref() {
            Some(next) if next.id == id && matches!(next.stage, Stage::Dialing) => self.enter(Stage::Ready),
            _ => {}
        }
    }

    pub(super) fn on_not_dialed(&mut self, id: LinkId, failure: Failure) {
        if let Some(next) = self.next.take_if(|next| next.id == id) {
            self.attempt_failed(&next, failure);
        }
    }

    pub(super) fn on_connecting_packet(&mut self, packet: Packet) {
        let Some(next) = self.next.take() else { return };
        let failure = match packet {
            Packet::ConnAck(ack) if !next.is_unsent() && !ack.reason.is_error() => {
                return self.accepted(&next, &ack);
            }
            Packet::ConnAck(ack) if is_passing(ack.reason) => {
                Failure::unreachable(Tier::Connack, format!("CONNACK: {}", ack.reason))
            }
            Packet::ConnAck(ack) => Failure::refused(Tier::Connack, format!("CONNACK: {}", ack.reason)),
            other => Failure::unreachable(Tier::Connack, format!("{} in place of CONNACK", other.kind())),
        };
        if failure.kind == FailureKind::Refused {
            // The broker has touched no session.
            self.memory.in_doubt = next.was_in_doubt();
        }
        self.act(Action::Close(next.id));
        self.attempt_failed(&next, failure);
    }

    pub(super) fn on_link_gone(&mut self, id: LinkId, loss: &Loss) {
        if let Some(next) = self.next.take_if(|next| next.id == id) {
            self.attempt_failed(&next, judge(loss, !next.is_unsent()));
        } else if self.parted.as_ref().is_some_and(|parted| parted.id == id) {
            self.parted = None;
        } else if self.serving.as_ref().is_some_and(|serving| serving.id == id) {
            self.lost(loss);
        }
    }

    /// Whatever time alone has brought about. Whether there was something.
    pub(super) fn expire(&mut self) -> bool {
        let now = self.now;
        if let Some(parted) = self.parted.take_if(|parted| parted.until <= now) {
            self.act(Action::Close(parted.id));
            return true;
        }
        let late = |next: &Next| matches!(next.stage, Stage::Connecting { until, .. } if until <= now);
        if let Some(next) = self.next.take_if(|next| late(next)) {
            self.abandon(&next);
            self.attempt_failed(&next, Failure::unreachable(Tier::Connack, "no CONNACK in time"));
            return true;
        }
        self.expire_serving() || self.expire_client()
    }

    fn expire_serving(&mut self) -> bool {
        let Some(serving) = &mut self.serving else {
            return false;
        };
        let id = serving.id;
        if !serving.restoring.is_empty() && serving.restore_until <= self.now {
            self.not_restored(ReasonCode::UNSPECIFIED_ERROR, "no SUBACK in time");
            return true;
        }
        match serving.keep_alive.due(self.now) {
            Due::Nothing => false,
            Due::Ping => {
                serving.keep_alive.pinged(self.now);
                self.act(Action::Send(id, Packet::PingReq));
                true
            }
            Due::Dead => {
                self.break_off(id, "the broker does not answer");
                true
            }
        }
    }

    /// When the link that is being made needs us again.
    pub(super) fn due(&self, next: &Next) -> Option<Time> {
        match next.stage {
            Stage::Waiting { until } | Stage::Draining { until } | Stage::Connecting { until, .. } => {
                Some(until)
            }
            Stage::Ready => Some(self.memory.next_connect(&self.settings)).filter(|at| *at > self.now),
            Stage::Dialing => None,
        }
    }

    fn enter(&mut self, stage: Stage) {
        if let Some(next) = &mut self.next {
            next.stage = stage;
        }
    }
}

impl core::fmt::Display for Loss {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Closed => f.write_str("the broker closed the connection"),
            Self::Refused(why) | Self::Malformed(_, why) | Self::Broken(why) => f.write_str(why),
        }
    }
}

/// A broker that closes instead of answering CONNECT has said no: AWS's usual refusal (Developer Guide, mqtt).
fn judge(loss: &Loss, sent: bool) -> Failure {
    let why = loss.to_string();
    match loss {
        Loss::Refused(_) => Failure::refused(Tier::Tls, why),
        Loss::Closed if sent => Failure::refused(Tier::Connack, why),
        Loss::Closed | Loss::Malformed(..) | Loss::Broken(_) => Failure::unreachable(Tier::Connack, why),
    }
}
