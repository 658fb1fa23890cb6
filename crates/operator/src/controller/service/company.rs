//! What the controller's connections have in common: how each of them is, and by which filters they hear.
//!
//! The first connection decides: where its policy does not allow the shared subscriptions, it hears alone, by the plain
//! filters, and the others do not begin.

use fleetkey_mqtt::{QoS, SubscribeFilter, Text};
use tokio::sync::watch;

use super::Connections;
use crate::controller::hearing::{HEARD, NEWS, shared};

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not come to anything yet, nor failed.
    Coming,
    /// Its subscriptions are granted.
    Hearing,
    /// It failed, or was lost, or is not needed.
    Away,
}

/// By which filters the controller hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// The first connection has not found out yet.
    Undecided,
    /// Several connections share the subscriptions.
    Together,
    /// One hears everything.
    Alone,
}

/// How each connection is, the first one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing(Vec<Phase>);

impl Standing {
    /// How many there are, and how many of them hear.
    pub(super) fn connections(&self) -> Connections {
        let hearing = self.0.iter().filter(|phase| **phase == Phase::Hearing).count();
        Connections { hearing, wanted: self.0.len() }
    }

    /// Whether something is heard and nothing more is to be waited for: each connection hears, or has failed at least once.
    pub(super) fn is_settled(&self) -> bool {
        self.connections().hearing > 0 && !self.0.contains(&Phase::Coming)
    }

    /// Whether the connection at a place hears.
    pub(super) fn hears(&self, place: usize) -> bool {
        self.0.get(place) == Some(&Phase::Hearing)
    }

    /// The place of a connection that hears, from `place` on and round.
    pub(super) fn hearing_from(&self, place: usize) -> Option<usize> {
        let places = (place..self.0.len()).chain(0..place.min(self.0.len()));
        places.into_iter().find(|place| self.hears(*place))
    }
}

/// What the connections tell each other.
#[derive(Debug)]
pub(super) struct Company {
    standing: watch::Sender<Standing>,
    manner: watch::Sender<Manner>,
}

impl Company {
    /// Of so many connections. One hears alone.
    pub(super) fn of(connections: usize) -> Self {
        let manner = if connections > 1 { Manner::Undecided } else { Manner::Alone };
        let standing = Standing(vec![Phase::Coming; connections]);
        Self { standing: watch::Sender::new(standing), manner: watch::Sender::new(manner) }
    }

    /// How each connection is, now and later.
    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Notes how a connection is; how it was.
    pub(super) fn note(&self, place: usize, phase: Phase) -> Phase {
        let mut before = Phase::Coming;
        self.standing.send_modify(|standing| {
            if let Some(own) = standing.0.get_mut(place) {
                before = std::mem::replace(own, phase);
            }
        });
        before
    }

    /// By which filters the controller hears.
    pub(super) fn manner(&self) -> Manner {
        *self.manner.borrow()
    }

    /// The first connection has found out by which.
    pub(super) fn decide(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    /// Waits until the first connection has found out by which.
    pub(super) async fn decided(&self) -> Manner {
        let mut manner = self.manner.subscribe();
        let decided = manner.wait_for(|manner| *manner != Manner::Undecided).await;
        decided.map_or(Manner::Alone, |manner| *manner)
    }
}

impl Manner {
    /// What to subscribe to.
    pub(super) fn filters(self) -> Vec<SubscribeFilter> {
        self.names().into_iter().map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce)).collect()
    }

    /// What a session of an earlier controller may be subscribed to, and shall not be.
    pub(super) fn others(self) -> Vec<Text> {
        let other = match self {
            Self::Alone => Self::Together,
            Self::Undecided | Self::Together => Self::Alone,
        };
        other.names().into_iter().chain([other.name(NEWS)]).collect()
    }

    /// What to subscribe to besides, where that is allowed.
    pub(super) fn news(self) -> SubscribeFilter {
        SubscribeFilter::new(self.name(NEWS), QoS::AtLeastOnce)
    }

    fn names(self) -> Vec<Text> {
        HEARD.map(|filter| self.name(filter)).into()
    }

    fn name(self, filter: &str) -> Text {
        match self {
            Self::Alone => Text::from(filter),
            Self::Undecided | Self::Together => Text::from(shared(filter)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_settled_when_one_hears_and_each_other_has_failed_or_hears() {
        let company = Company::of(3);
        assert_eq!(company.note(0, Phase::Hearing), Phase::Coming);
        assert_eq!(company.note(1, Phase::Away), Phase::Coming);
        let standing = company.standing();
        assert!(!standing.borrow().is_settled());
        company.note(2, Phase::Hearing);
        assert!(standing.borrow().is_settled());
        assert_eq!(standing.borrow().connections(), Connections { hearing: 2, wanted: 3 });
        assert_eq!(company.note(0, Phase::Away), Phase::Hearing);
        company.note(2, Phase::Away);
        assert!(!standing.borrow().is_settled(), "nobody hears");
        assert_eq!(company.note(9, Phase::Hearing), Phase::Coming);
    }

    #[test]
    fn those_that_hear_take_turns() {
        let company = Company::of(4);
        company.note(1, Phase::Hearing);
        company.note(3, Phase::Hearing);
        let standing = company.standing();
        let turns = [0, 1, 2, 3, 4, 99].map(|place| standing.borrow().hearing_from(place));
        assert_eq!(turns, [Some(1), Some(1), Some(3), Some(3), Some(1), Some(1)]);
        assert_eq!(Company::of(2).standing().borrow().hearing_from(0), None);
    }
}
