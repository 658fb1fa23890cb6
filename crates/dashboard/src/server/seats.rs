//! How many connections one address may have at once: a stranger who opens them and says nothing keeps nobody else out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::access::bucket;

/// So many for one address, which may be that of a proxy with many browsers behind it; of IPv6 for a /64.
const EACH: usize = 128;

/// Those that are taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Arc<Mutex<BTreeMap<u128, usize>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    all: Seats,
    of: u128,
}

impl Seats {
    /// One for `peer`, if it has not had all that one may have.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Seat> {
        let of = bucket(peer);
        let mut all = self.all();
        let taken = all.entry(of).or_default();
        (*taken < EACH).then(|| {
            *taken += 1;
            Seat { all: self.clone(), of }
        })
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u128, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
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
    fn one_address_leaves_room_for_others_and_what_is_given_back_is_free_again() {
        let (seats, address) = (Seats::default(), |text: &str| text.parse::<IpAddr>().unwrap());
        let mut taken: Vec<Seat> = (0..EACH).map(|_| seats.take(address("2001:db8::1")).unwrap()).collect();
        assert!(seats.take(address("2001:db8::2")).is_none(), "the same subscriber");
        assert!(seats.take(address("192.0.2.1")).is_some());
        taken.pop();
        assert!(seats.take(address("2001:db8::2")).is_some());
        taken.clear();
        assert!(seats.all().is_empty(), "who has gone is forgotten");
    }
}
