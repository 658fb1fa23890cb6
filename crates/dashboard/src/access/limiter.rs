//! How often somebody may fail to come in: a bucket of ten attempts that fills by one every six seconds.
//!
//! A bucket an address, so that a stranger who guesses locks out nobody else; of IPv6 one a /64, which is what one
//! subscriber has. An attempt is taken before the secret is compared and given back when it was right, so that many at
//! once cannot slip through together.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetkey_model::time::Timestamp;

const ATTEMPTS: u32 = 10;
const REFILL: Duration = Duration::from_secs(6);
/// Buckets that are kept; with as many strangers at once, those who are new wait.
const BUCKETS: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Limiter {
    used: Mutex<BTreeMap<u128, Used>>,
}

#[derive(Debug, Default)]
struct Used {
    attempts: u32,
    /// Up to here the bucket has been refilled.
    since: Timestamp,
}

impl Limiter {
    /// Takes an attempt of `peer`.
    ///
    /// # Errors
    /// How long to wait when there is none left.
    pub(super) fn take(&self, peer: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let mut all = self.used();
        if all.len() >= BUCKETS && !all.contains_key(&bucket(peer)) {
            all.values_mut().for_each(|used| used.refill(now));
            all.retain(|_, used| used.attempts > 0);
            if all.len() >= BUCKETS {
                return Err(REFILL);
            }
        }
        let used = all.entry(bucket(peer)).or_default();
        used.refill(now);
        if used.attempts >= ATTEMPTS {
            return Err(REFILL.saturating_sub(now.since(used.since)));
        }
        used.attempts += 1;
        Ok(())
    }

    /// Gives an attempt back: it was no failure.
    pub(super) fn give_back(&self, peer: IpAddr) {
        if let Some(used) = self.used().get_mut(&bucket(peer)) {
            used.attempts = used.attempts.saturating_sub(1);
        }
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<u128, Used>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bucket of an address: what one subscriber has is one.
pub(crate) fn bucket(peer: IpAddr) -> u128 {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

impl Used {
    fn refill(&mut self, now: Timestamp) {
        // A clock that went back must not lock anybody out.
        if self.attempts == 0 || now < self.since {
            self.since = now;
            return;
        }
        while self.attempts > 0 && now.since(self.since) >= REFILL {
            self.attempts -= 1;
            self.since = self.since + REFILL;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn after_ten_failures_one_waits_and_then_has_one_more() {
        let limiter = Limiter::default();
        let start = Timestamp::from_secs(1_000);
        for _ in 0..ATTEMPTS {
            assert_eq!(limiter.take(HERE, start), Ok(()));
        }
        assert_eq!(limiter.take(HERE, start + Duration::from_secs(2)), Err(Duration::from_secs(4)));
        assert_eq!(limiter.take(HERE, start + REFILL), Ok(()));
        assert!(limiter.take(HERE, start + REFILL).is_err());
    }

    #[test]
    fn a_success_costs_nothing_and_time_going_back_locks_nobody_out() {
        let limiter = Limiter::default();
        let start = Timestamp::from_secs(1_000);
        for _ in 0..100 {
            assert_eq!(limiter.take(HERE, start), Ok(()));
            limiter.give_back(HERE);
        }
        for _ in 0..ATTEMPTS {
            assert_eq!(limiter.take(HERE, start), Ok(()));
        }
        let earlier = Timestamp::from_secs(1);
        assert!(limiter.take(HERE, earlier).is_err());
        assert_eq!(limiter.take(HERE, earlier + REFILL), Ok(()));
    }

    #[test]
    fn who_guesses_locks_out_only_who_shares_the_address() {
        let (limiter, now) = (Limiter::default(), Timestamp::from_secs(1_000));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 0..ATTEMPTS {
            assert_eq!(limiter.take(address("2001:db8::1"), now), Ok(()));
            assert_eq!(limiter.take(address("192.0.2.1"), now), Ok(()));
        }
        for same in ["2001:db8::ffff", "192.0.2.1", "::ffff:192.0.2.1"] {
            assert!(limiter.take(address(same), now).is_err(), "{same}");
        }
        for other in ["2001:db8:0:1::1", "192.0.2.2"] {
            assert_eq!(limiter.take(address(other), now), Ok(()), "{other}");
        }
    }

    #[test]
    fn buckets_that_are_full_again_make_room() {
        let (limiter, now) = (Limiter::default(), Timestamp::from_secs(1_000));
        let nth = |n: usize| IpAddr::V4(u32::try_from(n).unwrap().into());
        (0..BUCKETS).for_each(|n| limiter.take(nth(n), now).unwrap());
        assert_eq!(limiter.take(nth(BUCKETS), now), Err(REFILL));
        assert_eq!(limiter.take(nth(BUCKETS), now + REFILL), Ok(()));
    }
}
