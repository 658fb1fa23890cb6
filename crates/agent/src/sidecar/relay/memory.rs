//! What is remembered of a data session from one local connection to the next.

use std::collections::BTreeSet;

use fleetkey_mqtt::{PacketId, Version};

use super::subscriptions::Subscriptions;
use super::{Settings, Time};

/// What the broker holds under the client id while no client is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Nobody knows: we have just begun.
    Unknown,
    /// Nothing.
    Nothing,
    /// The client's session, which it may come back for until then.
    Session { until: Option<Time> },
    /// A session that the client believes to be over: its leftovers must reach nobody.
    Leftovers,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) held: Held,
    pub(super) subscriptions: Subscriptions,
    /// QoS 2 messages of the client that the broker has, and whose PUBREL has not come.
    pub(super) received: BTreeSet<PacketId>,
    /// A CONNECT has gone out, and we do not know yet that the session up there is the client's with all its
    /// subscriptions: it may have been begun anew behind our backs.
    pub(super) in_doubt: bool,
    /// When the last CONNECT went out, or was answered.
    pub(super) last_connect: Option<Time>,
}

/// How a client wants its session to begin and to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) version: Version,
    pub(super) clean_start: bool,
    /// Seconds that the session is to outlive the client's connection.
    pub(super) expiry: u32,
}

/// MQTT 5's number for ever.
pub(super) const FOR_EVER: u32 = u32::MAX;

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            held: Held::Unknown,
            subscriptions: Subscriptions::default(),
            received: BTreeSet::new(),
            in_doubt: false,
            last_connect: None,
        }
    }

    /// When the next CONNECT may go out: AWS takes one a second from a client id (quotas).
    pub(super) fn next_connect(&self, settings: &Settings) -> Time {
        self.last_connect.map_or(Time::ZERO, |last| last + settings.spacing)
    }

    /// Whether what the broker holds must not reach a client that begins so.
    pub(super) fn must_be_empty(&self, wanted: Wanted, now: Time) -> bool {
        let expired = matches!(self.held, Held::Session { until: Some(until) } if until <= now);
        wanted.clean_start || expired || self.held == Held::Leftovers
    }

    /// Whether a connection of its own is needed to empty it: MQTT 3.1.1 cannot ask for an empty session that stays.
    pub(super) fn needs_purge(&self, wanted: Wanted, now: Time) -> bool {
        wanted.version == Version::V311 && self.must_be_empty(wanted, now) && self.held != Held::Nothing
    }

    /// A session is served from now on; the broker had one or not.
    pub(super) fn begin(&mut self, session_present: bool) {
        match (session_present, self.held) {
            (false, _) => {
                self.subscriptions.begin();
                self.received.clear();
            }
            (true, Held::Session { .. }) => {}
            (true, _) => {
                self.subscriptions.are_unknown();
                self.received.clear();
            }
        }
        self.held = Held::Session { until: None };
        self.in_doubt = false;
    }

    /// The client has gone; `told` says whether the broker knows how long the session is to live.
    pub(super) fn end(&mut self, wanted: Wanted, told: bool, now: Time) {
        self.held = match (wanted.expiry, told && wanted.version == Version::V5) {
            (0, true) => Held::Nothing,
            (0, false) => Held::Leftovers,
            (FOR_EVER, _) => Held::Session { until: None },
            (seconds, _) => Held::Session { until: Some(now + Time::from_secs(seconds.into())) },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: Wanted = Wanted { version: Version::V311, clean_start: true, expiry: 0 };

    #[test]
    fn a_clean_client_of_3_1_1_costs_a_purge_unless_nothing_is_there() {
        let mut memory = Memory::new();
        assert!(memory.needs_purge(CLEAN, Time::ZERO));
        memory.held = Held::Nothing;
        assert!(!memory.needs_purge(CLEAN, Time::ZERO));
        memory.end(CLEAN, true, Time::ZERO);
        assert_eq!(memory.held, Held::Leftovers, "DISCONNECT of 3.1.1 ends no session");
        let five = Wanted { version: Version::V5, ..CLEAN };
        assert!(!memory.needs_purge(five, Time::ZERO) && memory.must_be_empty(five, Time::ZERO));
    }

    #[test]
    fn a_session_that_has_outlived_its_expiry_is_not_given_back() {
        let mut memory = Memory::new();
        let wanted = Wanted { version: Version::V5, clean_start: false, expiry: 60 };
        memory.end(wanted, false, Time::ZERO);
        assert!(!memory.must_be_empty(wanted, Time::from_secs(59)));
        assert!(memory.must_be_empty(wanted, Time::from_secs(60)));
    }

    #[test]
    fn subscriptions_of_a_session_that_was_there_before_us_are_not_known() {
        let mut memory = Memory::new();
        memory.begin(true);
        assert!(!memory.subscriptions.are_known());
        memory.begin(false);
        assert!(memory.subscriptions.are_known());
        memory.end(Wanted { version: Version::V5, clean_start: false, expiry: 60 }, true, Time::ZERO);
        memory.begin(true);
        assert!(memory.subscriptions.are_known());
    }
}
