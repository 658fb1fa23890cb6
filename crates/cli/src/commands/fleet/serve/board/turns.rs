//! Whose turn it is to work on the account among those who were asked by pages, the API and campaigns at the same time: one
//! after the other, and whoever stops a leak waits for nobody who does not.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// How urgent a piece of work is, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// What has leaked is stopped: every second counts.
    Panic,
    /// A certificate is taken out of use.
    Ending,
    /// Everything else.
    Usual,
}

impl Urgency {
    /// In the order in which lines are waited for.
    const ALL: [Self; 3] = [Self::Panic, Self::Ending, Self::Usual];
}

/// A line for each urgency. Whoever is at the head of one begins once all are through who were in a more urgent one
/// before. Of a less urgent one the first may be at work still: for that, and no other, the fleet directory is waited for.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Turns {
    panic: Line,
    ending: Line,
    usual: Line,
}

type Line = Arc<Mutex<()>>;

/// Somebody's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _head: OwnedMutexGuard<()>,
}

impl Turns {
    /// Waits for one.
    pub(super) async fn take(&self, urgency: Urgency) -> Turn {
        let head = self.line(urgency).clone().lock_owned().await;
        for more in Urgency::ALL.into_iter().take_while(|other| *other != urgency) {
            drop(self.line(more).lock().await);
        }
        Turn { _head: head }
    }

    const fn line(&self, urgency: Urgency) -> &Line {
        match urgency {
            Urgency::Panic => &self.panic,
            Urgency::Ending => &self.ending,
            Urgency::Usual => &self.usual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// Whether its turn comes at once.
    fn at_once(turns: &Turns, urgency: Urgency) -> Option<Turn> {
        match pin!(turns.take(urgency)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_panic_waits_for_no_order_and_an_order_for_the_panic_that_came_before_it() {
        let turns = Turns::default();
        let order = at_once(&turns, Urgency::Usual).unwrap();
        assert!(at_once(&turns, Urgency::Usual).is_none(), "one after the other");
        let ending = at_once(&turns, Urgency::Ending).unwrap();
        let panic = at_once(&turns, Urgency::Panic).unwrap();
        drop((order, ending));
        for urgency in Urgency::ALL {
            assert!(at_once(&turns, urgency).is_none(), "{urgency:?}");
        }
        drop(panic);
        assert!(at_once(&turns, Urgency::Usual).is_some());
    }

    #[tokio::test]
    async fn a_hundred_orders_that_wait_hold_no_panic_up() {
        let turns = Turns::default();
        let first = turns.take(Urgency::Usual).await;
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let turns = turns.clone();
                tokio::spawn(async move { drop(turns.take(Urgency::Usual).await) })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(at_once(&turns, Urgency::Panic).is_some());
        drop(first);
        for waited in waiting {
            waited.await.unwrap();
        }
    }
}
