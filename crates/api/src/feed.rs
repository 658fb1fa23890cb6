//! What happens, as a numbered stream: whoever lost the connection asks for what came after the last number seen.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

/// How many events are kept for those who come back.
const KEPT: usize = 1024;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedEvent {
    /// One more than the one before; from 1.
    pub id: u64,
    /// What kind it is, for example `retired`.
    pub kind: &'static str,
    /// What happened.
    pub data: Value,
}

/// The stream. It never waits for anybody: who is too slow is told what was missed.
#[derive(Debug)]
pub struct Feed {
    events: Mutex<VecDeque<FeedEvent>>,
    latest: watch::Sender<u64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { events: Mutex::default(), latest: watch::channel(0).0 }
    }
}

/// What came after a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Since {
    /// The events, oldest first.
    pub events: Vec<FeedEvent>,
    /// Some of them are not kept any more: whoever shows a state must ask for it anew.
    pub missed: bool,
}

impl Feed {
    /// Adds an event.
    pub fn push(&self, kind: &'static str, data: Value) {
        let mut events = self.lock();
        let id = *self.latest.borrow() + 1;
        events.push_back(FeedEvent { id, kind, data });
        if events.len() > KEPT {
            events.pop_front();
        }
        self.latest.send_replace(id);
    }

    /// What came after the event of this number. A number that was never given out, as after a restart, has missed all.
    pub fn since(&self, id: u64) -> Since {
        let events = self.lock();
        let latest = *self.latest.borrow();
        let oldest = events.front().map_or(latest + 1, |event| event.id);
        let missed = id > latest || id + 1 < oldest;
        let from = if id > latest { 0 } else { id };
        Since { events: events.iter().filter(|event| event.id > from).cloned().collect(), missed }
    }

    /// The number of the latest event, and word of each new one.
    pub fn latest(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<FeedEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(since: &Since) -> Vec<u64> {
        since.events.iter().map(|event| event.id).collect()
    }

    #[test]
    fn who_comes_back_gets_what_was_missed_and_is_told_when_it_is_not_all() {
        let feed = Feed::default();
        for n in 0..3 {
            feed.push("x", Value::from(n));
        }
        let since = feed.since(1);
        assert_eq!((ids(&since), since.missed), (vec![2, 3], false));
        assert_eq!((ids(&feed.since(3)), feed.since(3).missed), (vec![], false));
        let stranger = feed.since(99);
        assert_eq!((ids(&stranger), stranger.missed), (vec![1, 2, 3], true), "the numbers of another run");
        (0..KEPT).for_each(|n| feed.push("x", Value::from(n)));
        assert!(feed.since(1).missed && !feed.since(3).missed);
        assert_eq!(feed.since(0).events.len(), KEPT);
    }
}
