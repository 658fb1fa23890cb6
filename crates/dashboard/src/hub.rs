//! What has changed, for the pages that are open: a bounded ring of numbered notices.
//!
//! A notice says which device changed and how, never what it is now: pages read that themselves. So nothing is lost
//! with a notice that fell out of the ring; whoever asks for one is told to read everything again. Each reader has a
//! position of its own in the one ring, so that a slow one costs no memory and delays nobody.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fleetkey_model::name::ThingName;
use tokio::sync::watch;

/// How many notices are kept.
const KEPT: usize = 1024;

/// What happened to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// One after the other, from 1.
    pub id: u64,
    /// Which device, if it is about one.
    pub thing: Option<ThingName>,
    /// What, one word: `rotation`, `link`, `certificate`, `fleet`.
    pub kind: &'static str,
}

/// What a reader that stands after some notice gets next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// These, in their order; none when nothing has happened.
    Notices(Vec<Notice>),
    /// Some have been dropped since: read everything again, and go on after this one.
    Missed(u64),
}

/// The ring.
#[derive(Debug)]
pub struct Hub {
    ring: Mutex<Ring>,
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    notices: VecDeque<Notice>,
    last: u64,
}

impl Hub {
    /// An empty one.
    pub fn new() -> Self {
        Self { ring: Mutex::default(), last: watch::Sender::new(0) }
    }

    /// Tells all readers. Never waits.
    pub fn tell(&self, kind: &'static str, thing: Option<ThingName>) {
        let id = {
            let mut ring = self.ring();
            ring.last += 1;
            let id = ring.last;
            ring.notices.push_back(Notice { id, thing, kind });
            if ring.notices.len() > KEPT {
                ring.notices.pop_front();
            }
            id
        };
        self.last.send_modify(|last| *last = (*last).max(id));
    }

    /// The number of the last notice; 0 before the first.
    pub fn last(&self) -> u64 {
        self.ring().last
    }

    /// What comes after the notice `id`, at most `limit`. A number that was never given, as from another run of this
    /// program, counts as missed.
    pub fn after(&self, id: u64, limit: usize) -> Next {
        let ring = self.ring();
        let oldest = ring.notices.front().map_or(ring.last + 1, |notice| notice.id);
        if id > ring.last || id.saturating_add(1) < oldest {
            return Next::Missed(ring.last);
        }
        let skipped = usize::try_from(id + 1 - oldest).unwrap_or(usize::MAX);
        Next::Notices(ring.notices.iter().skip(skipped).take(limit).cloned().collect())
    }

    /// Wakes whenever a notice was added: the value is its number.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(next: Next) -> Vec<u64> {
        match next {
            Next::Notices(notices) => notices.iter().map(|notice| notice.id).collect(),
            Next::Missed(last) => panic!("missed, now {last}"),
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_stopped() {
        let hub = Hub::new();
        assert!(ids(hub.after(0, 9)).is_empty());
        (0..3).for_each(|_| hub.tell("fleet", None));
        assert_eq!(ids(hub.after(0, 9)), [1, 2, 3]);
        assert_eq!(ids(hub.after(2, 9)), [3]);
        assert_eq!(ids(hub.after(0, 2)), [1, 2]);
        assert!(ids(hub.after(3, 9)).is_empty());
    }

    #[test]
    fn one_that_is_too_far_behind_or_comes_from_another_run_is_told_so() {
        let hub = Hub::new();
        (0..KEPT + 10).for_each(|_| hub.tell("fleet", None));
        let last = u64::try_from(KEPT + 10).unwrap();
        assert_eq!(hub.after(9, 9), Next::Missed(last));
        assert_eq!(ids(hub.after(10, 2)), [11, 12]);
        assert_eq!(hub.after(last + 1, 9), Next::Missed(last));
        assert_eq!(hub.after(u64::MAX, 9), Next::Missed(last));
        assert_eq!(hub.ring().notices.len(), KEPT);
    }
}
