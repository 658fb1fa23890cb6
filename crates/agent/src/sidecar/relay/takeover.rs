//! A link that the broker has accepted takes the session over; one that it has not, or that is lost, is made again.

use std::time::Duration;

use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::event::{FailureKind, Tier};
use fleetkey_mqtt::{ConnAck, Disconnect, Packet, PacketId, ReasonCode};

use super::ending::Upstream;
use super::handshake::{Offer, client_connack};
use super::keep_alive::KeepAlive;
use super::links::{Hold, Next, Why};
use super::memory::{Held, Wanted};
use super::{Action, Loss, Relay, Report, Resumed, Serving, Standing};
use crate::tls::Failure;

/// A link that has lasted this long was a good one.
const PROVEN: Duration = Duration::from_secs(5);
/// So many links in a row that end before anything is answered end the client's connection too: it, or what it sends,
/// is what the broker does not take.
const FRUITLESS: u32 = 3;

impl Relay {
    /// The broker has accepted.
    pub(super) fn accepted(&mut self, next: &Next, ack: &ConnAck) {
        self.note_connect();
        match next.why {
            Why::Purge { for_client } => self.purged(next, for_client),
            Why::First => self.accepted_first(next, ack),
            Why::Recover | Why::Move => self.take_over(next, ack),
        }
    }

    fn purged(&mut self, next: &Next, for_client: bool) {
        self.memory.held = Held::Nothing;
        self.memory.in_doubt = false;
        let farewell = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        self.act(Action::Send(next.id, Packet::Disconnect(farewell)));
        self.wait_for_close(next.id);
        if for_client && self.client.is_some() {
            self.begin_first(self.target.unwrap_or(next.slot));
        }
    }

    /// The client gets its CONNACK. A session that nobody knew of, where there must be none, is emptied first.
    fn accepted_first(&mut self, next: &Next, ack: &ConnAck) {
        let Some(client) = &self.client else {
            return self.act(Action::Close(next.id));
        };
        if ack.session_present && self.memory.must_be_empty(Wanted::of(&client.connect), self.now) {
            self.memory.held = Held::Leftovers;
            let farewell = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
            self.act(Action::Send(next.id, Packet::Disconnect(farewell)));
            self.wait_for_close(next.id);
            return self.begin_first(next.slot);
        }
        let present = ack.session_present && !next.was_in_doubt();
        self.memory.begin(present);
        let (id, offer) = (client.id, Offer::of(ack));
        let answer = client_connack(ack, present, (&client.connect, &client.name), &self.settings);
        self.serve(next, present, offer);
        self.act(Action::ToClient(id, Packet::ConnAck(answer)));
        if let Some(client) = &mut self.client {
            client.stage = Standing::Served;
            client.offer = Some(offer);
            client.heard = self.now;
        }
        self.report(Report::Serving { slot: next.slot, session_present: present });
        if self.wanted == Some(next.slot) {
            self.settled(next.slot, None);
        }
    }

    /// The session goes on on this link, at once or after its subscriptions have been made again.
    fn take_over(&mut self, next: &Next, ack: &ConnAck) {
        let offer = Offer::of(ack);
        let told = self.client.as_ref().and_then(|client| client.offer);
        let narrower = told.map(|told| offer.narrower_than(&told)).unwrap_or_default();
        if !narrower.is_empty() {
            self.report(Report::Narrowed { what: narrower });
        }
        let present = ack.session_present && !next.was_in_doubt();
        self.serve(next, present, offer);
        self.downward.link_changed(present);
        if present {
            self.resume();
        } else if self.memory.subscriptions.are_known() {
            self.restore();
        } else {
            // Told the truth it connects again, learns that its session is gone, and subscribes itself.
            let why = "the broker has lost a session that was there before us, with subscriptions that only it knew";
            self.close(ReasonCode::SERVER_BUSY, why);
        }
    }

    fn serve(&mut self, next: &Next, session_present: bool, offer: Offer) {
        self.failures = 0;
        let seconds = offer.keep_alive.unwrap_or(self.settings.keep_alive);
        self.serving = Some(Serving {
            id: next.id,
            slot: next.slot,
            since: self.now,
            keep_alive: KeepAlive::new(seconds, self.settings.ping_timeout, self.now),
            offer,
            session_present,
            restored: 0,
            restoring: Vec::new(),
            restore_until: self.now + self.settings.connect,
        });
    }

    /// Makes the subscriptions again. The client has its SUBACKs.
    fn restore(&mut self) {
        let mut requests = self.memory.subscriptions.again(self.settings.filters_per_subscribe);
        let mut id = PacketId::FIRST;
        for request in &mut requests {
            id = self.upward.free_id(id);
            request.packet_id = id;
            id = id.next();
        }
        let restored = self.memory.subscriptions.count();
        let Some(serving) = &mut self.serving else { return };
        let link = serving.id;
        serving.restored = restored;
        serving.restoring = requests.iter().map(|request| request.packet_id).collect();
        if requests.is_empty() {
            return self.resume();
        }
        for request in requests {
            self.send(link, Packet::Subscribe(request));
        }
    }

    /// The client is held no longer.
    pub(super) fn resume(&mut self) {
        let Some(serving) = &self.serving else { return };
        let slot = serving.slot;
        self.memory.in_doubt = false;
        let resumed = Resumed {
            held: self.hold.take().map_or(Duration::ZERO, |hold| self.now.saturating_sub(hold.since)),
            session_present: serving.session_present,
            repeated: self.upward.depth().1,
            resubscribed: serving.restored,
        };
        if self.wanted == Some(slot) {
            self.settled(slot, Some(resumed));
        } else {
            self.report(Report::Recovered { slot, resumed });
        }
    }

    pub(super) fn settled(&mut self, slot: SlotId, moved: Option<Resumed>) {
        self.target = Some(slot);
        self.wanted = None;
        self.report(Report::Settled { slot, moved });
    }

    /// A subscription of the client's could not be made again: a new identity will not do then, and where there is no
    /// other the client must know.
    pub(super) fn not_restored(&mut self, reason: ReasonCode, why: &str) {
        let slot = self.serving.as_ref().map(|serving| serving.slot);
        if slot.is_none() || slot != self.wanted {
            return self.close(reason_of_end(reason), why);
        }
        self.part(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION));
        self.unsettled(Failure::refused(Tier::Suback, why));
        self.begin_again();
    }

    fn unsettled(&mut self, failure: Failure) {
        if let Some(slot) = self.wanted.take() {
            self.report(Report::Unsettled { slot, failure });
        }
    }

    /// The link that was being made has come to nothing.
    pub(super) fn attempt_failed(&mut self, next: &Next, failure: Failure) {
        if !next.is_unsent() {
            self.note_connect();
        }
        self.failures = self.failures.saturating_add(1);
        if matches!(self.client.as_ref().map(|client| &client.stage), Some(Standing::Leaving { .. })) {
            return self.end_session(Upstream::Gone, "the client has gone");
        }
        match next.why {
            Why::Purge { for_client: false } => {}
            Why::Purge { for_client: true } | Why::First => {
                let why = failure.to_string();
                self.turn_away(reason_of(&failure), &why);
            }
            Why::Move => {
                self.unsettled(failure);
                if self.serving.is_some() {
                    self.hold = None;
                } else {
                    self.failures = 0;
                    self.begin_again();
                }
            }
            Why::Recover => {
                self.report(Report::Failed { slot: next.slot, failure });
                self.begin_again();
            }
        }
    }

    /// The link that served is gone, for no doing of ours.
    pub(super) fn lost(&mut self, loss: &Loss) {
        let Some(serving) = self.serving.take() else { return };
        let given_up = self.upward.link_gone();
        self.give_up(given_up);
        let why = loss.to_string();
        let served = self.client.as_ref().is_some_and(|client| client.stage == Standing::Served);
        if !served {
            return self.end_session(Upstream::Gone, &why);
        }
        let proven = self.now.saturating_sub(serving.since) >= PROVEN;
        self.fruitless = if proven { 1 } else { self.fruitless + 1 };
        if self.fruitless >= FRUITLESS {
            let why = format!("the broker ends every link before it answers anything: {why}");
            return self.close(ReasonCode::UNSPECIFIED_ERROR, &why);
        }
        self.hold.get_or_insert(Hold { since: self.now });
        if !serving.restoring.is_empty() && self.wanted == Some(serving.slot) {
            self.unsettled(Failure::refused(Tier::Suback, why.clone()));
        }
        self.report(Report::Lost { why });
        if self.next.is_none() {
            self.begin_again();
        }
    }
}

/// What a client that cannot be served is told.
fn reason_of(failure: &Failure) -> ReasonCode {
    match failure.kind {
        FailureKind::Refused => ReasonCode::NOT_AUTHORIZED,
        FailureKind::Unreachable | FailureKind::Unreadable => ReasonCode::SERVER_UNAVAILABLE,
    }
}

/// A SUBACK's reason as DISCONNECT can say it.
fn reason_of_end(reason: ReasonCode) -> ReasonCode {
    if reason == ReasonCode::NOT_AUTHORIZED { reason } else { ReasonCode::UNSPECIFIED_ERROR }
}
