//! How a client's session ends: it says DISCONNECT, it dies, it breaks the rules, or we cannot serve it any longer.
//!
//! Only a client that dies (or is disconnected for its own doing) has its will published: its link is cut. In every
//! other case the link is ended with DISCONNECT, or there is none.

use fleetkey_mqtt::{ConnAck, Disconnect, Packet, Properties, Property, ReasonCode, Version};

use super::links::Why;
use super::memory::{Held, Wanted};
use super::{Action, Relay, Report, Standing, Time};

/// How a client has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Farewell {
    Said(Disconnect),
    Died,
}

/// How its link ends.
#[derive(Debug)]
pub(super) enum Upstream {
    /// With DISCONNECT.
    Said(Disconnect),
    /// Without: the broker publishes the will.
    Cut,
    /// There is none, or it is of no use.
    Gone,
}

impl Relay {
    /// The client has gone; what it left is sent first.
    pub(super) fn depart(&mut self, how: Farewell) {
        let since = self.now;
        if let Some(client) = &mut self.client {
            let id = client.id;
            client.stage = Standing::Leaving { how, since };
            self.act(Action::CloseClient(id));
        }
    }

    /// Ends the session of a client that has gone, once that can be done well. Whether it was.
    pub(super) fn leave(&mut self) -> bool {
        let Some(client) = &self.client else {
            return false;
        };
        let Standing::Leaving { how, since } = &client.stage else {
            return false;
        };
        let (how, overdue) = (how.clone(), *since + self.settings.max_hold <= self.now);
        let has_will = client.connect.will.is_some();
        let moving = self.next.as_ref().is_some_and(|next| next.is_move() && next.is_unsent());
        if moving && self.serving.is_some() {
            self.call_off();
            return true;
        }
        if self.hold.is_none() && self.serving.is_some() {
            return self.leave_served(how, overdue);
        }
        let worth_waiting = match how {
            // The broker publishes the will of a link that was lost; of one that we ended it takes another to have it.
            Farewell::Died => has_will && self.next.as_ref().is_some_and(|next| next.why == Why::Move),
            Farewell::Said(_) => !self.upward.is_flushed() || self.serving.is_some(),
        };
        let being_made = self.next.is_some() || self.serving.is_some();
        if worth_waiting && being_made && !overdue {
            return false;
        }
        self.end_session(Upstream::Gone, "the client has gone");
        true
    }

    fn leave_served(&mut self, how: Farewell, overdue: bool) -> bool {
        self.pump_up();
        match how {
            Farewell::Died => self.end_session(Upstream::Cut, "the client's connection is gone"),
            Farewell::Said(disconnect) if overdue || self.upward.is_flushed() => {
                self.end_session(Upstream::Said(disconnect), "the client has disconnected");
            }
            Farewell::Said(_) => return false,
        }
        true
    }

    /// Ends a client that we cannot serve any longer.
    pub(super) fn close(&mut self, reason: ReasonCode, why: &str) {
        self.say_goodbye(reason);
        let farewell = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        self.end_session(Upstream::Said(farewell), why);
    }

    /// Refuses a client.
    pub(super) fn turn_away(&mut self, reason: ReasonCode, why: &str) {
        let Some(client) = &self.client else { return };
        let id = client.id;
        self.act(Action::ToClient(id, Packet::ConnAck(ConnAck::refused(reason))));
        self.act(Action::CloseClient(id));
        self.report(Report::Turned { why: why.to_owned() });
        self.end_session(Upstream::Gone, why);
    }

    /// The client's place is free from now on.
    pub(super) fn end_session(&mut self, upstream: Upstream, why: &str) {
        let Some(client) = self.client.take() else { return };
        if self.next.as_ref().is_some_and(|next| next.why != (Why::Purge { for_client: false })) {
            self.call_off();
        }
        self.hold = None;
        self.fruitless = 0;
        let mut wanted = Wanted::of(&client.connect);
        let mut told = false;
        match upstream {
            Upstream::Said(disconnect) => {
                wanted.expiry = disconnect.properties.session_expiry().unwrap_or(wanted.expiry);
                told = self.serving.is_some();
                self.part(last_words(&disconnect, wanted));
            }
            Upstream::Cut | Upstream::Gone => {
                if let Some(serving) = self.serving.take() {
                    self.act(Action::Close(serving.id));
                }
            }
        }
        self.remember(&client.stage, wanted, told);
        let given_up = self.upward.clear();
        self.give_up(given_up);
        self.downward.clear();
        if client.stage != Standing::Asking {
            self.report(Report::Ended { why: why.to_owned() });
        }
        if let Some(slot) = self.wanted {
            self.settled(slot, None);
        }
        self.purge(wanted.version);
    }

    fn remember(&mut self, stage: &Standing, wanted: Wanted, told: bool) {
        let now = self.now;
        match stage {
            // What CONNECT may have left up there belongs to nobody.
            Standing::Asking if wanted.expiry == 0 && self.memory.held != Held::Nothing => {
                self.memory.held = Held::Leftovers;
            }
            Standing::Asking if wanted.expiry == 0 => self.memory.held = Held::Unknown,
            Standing::Asking => {}
            Standing::Served | Standing::Leaving { .. } => self.memory.end(wanted, told, now),
        }
    }

    /// Empties the session of a client that wanted none: else what is published to it from now on would wait for the
    /// next. In MQTT 5 its DISCONNECT has said so, or its expiry will.
    fn purge(&mut self, version: Version) {
        let idle = self.newcomer.is_none() && self.next.is_none();
        if let Some(slot) = self.target
            && version == Version::V311
            && idle
            && self.memory.held == Held::Leftovers
        {
            self.begin(Why::Purge { for_client: false }, slot, Time::ZERO);
        }
    }

    /// Ends everything in good order. The client's connection is closed; its session up there is left as it wants it.
    pub(super) fn stop(&mut self) {
        if let Some((id, _)) = self.newcomer.take() {
            self.act(Action::CloseClient(id));
        }
        self.stopped = true;
        if self.client.is_some() {
            self.close(ReasonCode::SERVER_SHUTTING_DOWN, "the sidecar is stopping");
        }
        self.call_off();
    }

    /// What time alone has brought about for the client.
    pub(super) fn expire_client(&mut self) -> bool {
        let now = self.now;
        if self.hold.as_ref().is_some_and(|hold| hold.since + self.settings.max_hold <= now) {
            self.close(
                ReasonCode::SERVER_BUSY,
                "the broker was out of reach for longer than a client is held",
            );
            return true;
        }
        let reads = self.wants_client();
        let Some(client) = self.client.as_mut().filter(|client| client.stage == Standing::Served) else {
            return false;
        };
        if !reads {
            // What it may have said has not been read.
            client.heard = now;
            return false;
        }
        if silence(client.connect.keep_alive).is_none_or(|silence| client.heard + silence > now) {
            return false;
        }
        self.expel(ReasonCode::KEEP_ALIVE_TIMEOUT, "its keep-alive is over");
        true
    }

    /// When the client needs us again.
    pub(super) fn client_deadline(&self) -> Option<Time> {
        let client = self.client.as_ref()?;
        match &client.stage {
            Standing::Asking => None,
            Standing::Leaving { since, .. } => Some(*since + self.settings.max_hold),
            Standing::Served if !self.upward.has_room() => None,
            Standing::Served => silence(client.connect.keep_alive).map(|silence| client.heard + silence),
        }
    }
}

/// How long a client may be silent (MQTT 5 §3.1.2.10).
fn silence(keep_alive: u16) -> Option<Time> {
    (keep_alive > 0).then(|| Time::from_millis(u64::from(keep_alive) * 1500))
}

/// The client's DISCONNECT for the broker, which has to hear how long the session is to live: it was told more.
fn last_words(disconnect: &Disconnect, wanted: Wanted) -> Disconnect {
    if wanted.version == Version::V311 {
        return Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    }
    let is_expiry = |one: &Property| matches!(one, Property::SessionExpiryInterval(_));
    let mut properties: Properties =
        disconnect.properties.iter().filter(|one| !is_expiry(one)).cloned().collect();
    properties.push(Property::SessionExpiryInterval(wanted.expiry));
    Disconnect { reason: disconnect.reason, properties }
}
