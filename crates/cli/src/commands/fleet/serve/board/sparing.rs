//! What is worked out from all rows: kept, and worked out anew now and then, not at every look.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fleetkey_dashboard::hub::Hub;

/// It may take one part of so many of the time.
const SHARE: u32 = 20;
/// What takes no longer than this is worked out while the page waits; the rest beside it.
const BRIEF: Duration = Duration::from_millis(5);

/// A result, and what it took.
#[derive(Debug)]
pub(super) struct Sparing<T>(Arc<Mutex<Slot<T>>>);

#[derive(Debug)]
struct Slot<T> {
    kept: Option<Kept<T>>,
    /// Somebody works it out already.
    busy: bool,
}

#[derive(Debug)]
struct Kept<T> {
    value: T,
    /// When it was begun to be worked out.
    at: Instant,
    took: Duration,
    /// Until then it is good enough.
    good: Instant,
}

impl<T> Default for Sparing<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Slot { kept: None, busy: false })))
    }
}

impl<T: Clone + PartialEq + Send + 'static> Sparing<T> {
    /// The same as [`Self::look`], and never older than `most`: for who is asked once, and not told when there is news.
    pub(super) fn recent(
        &self,
        most: Duration,
        hub: &Arc<Hub>,
        work_out: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let mut slot = lock(&self.0);
        // Whoever is at it already began with what was there then.
        slot.kept = slot.kept.take().filter(|kept| kept.at.elapsed() < most);
        drop(slot);
        self.look(hub, work_out)
    }

    /// The result. What is quick, or was never worked out, is worked out at once unless it is good enough still. The rest is
    /// shown as it was; `hub` is told if it has become another.
    pub(super) fn look(&self, hub: &Arc<Hub>, work_out: impl FnOnce() -> T + Send + 'static) -> T {
        let mut slot = lock(&self.0);
        if let Some(kept) = &slot.kept {
            if slot.busy || instant() < kept.good {
                return kept.value.clone();
            }
            if kept.took > BRIEF {
                let value = kept.value.clone();
                slot.busy = true;
                drop(slot);
                let (turn, hub) = (Turn(self.0.clone()), hub.clone());
                tokio::task::spawn_blocking(move || turn.renew(&hub, Kept::new(work_out)));
                return value;
            }
        }
        // Under the lock: whoever else looks needs it, too.
        let kept = Kept::new(work_out);
        let value = kept.value.clone();
        slot.kept = Some(kept);
        value
    }
}

impl<T> Kept<T> {
    fn new(work_out: impl FnOnce() -> T) -> Self {
        let begun = instant();
        let value = work_out();
        let took = begun.elapsed();
        Self { value, at: begun, took, good: begun + took * (SHARE + 1) }
    }
}

/// Whose turn it is to work it out, to the end, whatever that is: after a panic, or when the runtime is gone before it
/// began, the next who looks has it worked out.
struct Turn<T>(Arc<Mutex<Slot<T>>>);

impl<T: PartialEq> Turn<T> {
    fn renew(self, hub: &Hub, kept: Kept<T>) {
        let mut slot = lock(&self.0);
        let is_news = slot.kept.as_ref().is_none_or(|before| before.value != kept.value);
        slot.kept = Some(kept);
        drop(slot);
        drop(self);
        if is_news {
            hub.tell("fleet", None);
        }
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        lock(&self.0).busy = false;
    }
}

#[expect(clippy::disallowed_methods, reason = "how long something takes, whatever the wall clock does")]
fn instant() -> Instant {
    Instant::now()
}

fn lock<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// So long that nobody is to wait for it twice: a page is answered with what was, and told of what is.
    #[tokio::test]
    async fn what_takes_long_is_shown_as_it_was_until_it_was_worked_out_beside_the_pages() {
        let (sparing, hub) = (Sparing::default(), Arc::new(Hub::new()));
        let slow = Kept { value: 1, at: instant(), took: BRIEF * 2, good: instant() };
        lock(&sparing.0).kept = Some(slow);
        let (go_on, wait) = mpsc::channel();
        let shown = sparing.look(&hub, move || {
            let () = wait.recv().unwrap();
            2
        });
        assert_eq!((shown, sparing.look(&hub, || 3)), (1, 1), "one works it out, and nobody waits");
        go_on.send(()).unwrap();
        let told = async {
            while hub.last() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
        let slot = lock(&sparing.0);
        assert_eq!((slot.kept.as_ref().map(|kept| kept.value), slot.busy), (Some(2), false));
    }

    /// Whoever works it out may fail; the next who looks has it worked out again, beside the pages.
    #[tokio::test]
    async fn after_a_panic_the_next_who_looks_has_it_worked_out_again() {
        let (sparing, hub) = (Sparing::default(), Arc::new(Hub::new()));
        let slow = Kept { value: 1, at: instant(), took: BRIEF * 2, good: instant() };
        lock(&sparing.0).kept = Some(slow);
        assert_eq!(sparing.look(&hub, || panic!("one row was odd")), 1);
        let renewed = async {
            while hub.last() == 0 {
                let _shown = sparing.look(&hub, || 2);
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), renewed).await.unwrap();
        assert_eq!(lock(&sparing.0).kept.as_ref().map(|kept| kept.value), Some(2));
    }

    #[tokio::test]
    async fn what_is_quick_is_worked_out_at_once_and_kept_as_long_as_it_is_good() {
        let (sparing, hub) = (Sparing::default(), Arc::new(Hub::new()));
        assert_eq!(sparing.look(&hub, || 1), 1);
        let quick = |value, good| Kept { value, at: instant(), took: Duration::ZERO, good };
        lock(&sparing.0).kept = Some(quick(1, instant()));
        assert_eq!(sparing.look(&hub, || 2), 2);
        lock(&sparing.0).kept = Some(quick(2, instant() + Duration::from_secs(3600)));
        assert_eq!(sparing.look(&hub, || 3), 2);
        assert_eq!(hub.last(), 0, "whoever looked has seen it");
    }

    #[tokio::test]
    async fn what_is_too_old_is_worked_out_at_once_however_long_that_takes() {
        let (sparing, hub) = (Sparing::default(), Arc::new(Hub::new()));
        let good = instant() + Duration::from_secs(3600);
        lock(&sparing.0).kept = Some(Kept { value: 1, at: instant(), took: BRIEF * 2, good });
        assert_eq!(sparing.recent(Duration::from_secs(3600), &hub, || 2), 1);
        assert_eq!(sparing.recent(Duration::ZERO, &hub, || 3), 3);
    }
}
