//! How many of something one party may have at once: whoever takes all that they may have keeps nobody else out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Those that are taken, by who has them. Clones share them.
#[derive(Debug)]
pub(crate) struct Seats<K: Ord> {
    each: usize,
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat<K: Ord> {
    all: Seats<K>,
    of: K,
}

impl<K: Ord> Seats<K> {
    /// So many for each.
    pub(crate) fn new(each: usize) -> Self {
        Self { each, taken: Arc::default() }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<K, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> Seats<K> {
    /// One for this party, if it has not had all that one may have.
    pub(crate) fn take(&self, of: K) -> Option<Seat<K>> {
        let mut all = self.all();
        let taken = all.entry(of.clone()).or_default();
        (*taken < self.each).then(|| {
            *taken += 1;
            Seat { all: self.clone(), of }
        })
    }
}

impl<K: Ord> Clone for Seats<K> {
    fn clone(&self) -> Self {
        Self { each: self.each, taken: self.taken.clone() }
    }
}

impl<K: Ord> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut all = self.all.all();
        if let Some(taken) = all.get_mut(&self.of) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_party_leaves_room_for_others_and_what_is_given_back_is_free_again() {
        let seats = Seats::new(3);
        let mut taken: Vec<_> = (0..3).map(|_| seats.take("one").unwrap()).collect();
        assert!(seats.take("one").is_none());
        assert!(seats.take("other").is_some());
        taken.pop();
        assert!(seats.take("one").is_some());
        taken.clear();
        assert!(seats.all().is_empty(), "who has gone is forgotten");
    }
}
