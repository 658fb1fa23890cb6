//! AWS's requests-a-second quotas of Fleet Provisioning, as a switch.

use std::sync::{Mutex, PoisonError};

use fleetkey_model::time::Timestamp;

use super::Refusal;
use crate::bucket::Bucket;

/// Requests a second that an account may make of each operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// CreateKeysAndCertificate.
    pub create_keys: u32,
    /// CreateCertificateFromCsr.
    pub create_from_csr: u32,
    /// RegisterThing.
    pub register: u32,
}

impl Rates {
    /// AWS's defaults (AWS IoT Core endpoints and quotas).
    pub const AWS: Self = Self { create_keys: 10, create_from_csr: 20, register: 10 };
}

/// One bucket an operation; a bucket holds one second's requests.
#[derive(Debug)]
pub(super) struct Throttle {
    rates: Option<Rates>,
    create_keys: Mutex<Bucket>,
    create_from_csr: Mutex<Bucket>,
    register: Mutex<Bucket>,
}

impl Throttle {
    pub(super) fn new(rates: Option<Rates>) -> Self {
        Self {
            rates,
            create_keys: Mutex::default(),
            create_from_csr: Mutex::default(),
            register: Mutex::default(),
        }
    }

    pub(super) fn create_keys(&self, now: Timestamp) -> Result<(), Refusal> {
        take(&self.create_keys, self.rates.map(|rates| rates.create_keys), now)
    }

    pub(super) fn create_from_csr(&self, now: Timestamp) -> Result<(), Refusal> {
        take(&self.create_from_csr, self.rates.map(|rates| rates.create_from_csr), now)
    }

    pub(super) fn register(&self, now: Timestamp) -> Result<(), Refusal> {
        take(&self.register, self.rates.map(|rates| rates.register), now)
    }
}

fn take(bucket: &Mutex<Bucket>, rate: Option<u32>, now: Timestamp) -> Result<(), Refusal> {
    let Some(rate) = rate else {
        return Ok(());
    };
    let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
    if bucket.take(rate, now) { Ok(()) } else { Err(Refusal::Throttled) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_the_quota_and_no_more() {
        let throttle = Throttle::new(Some(Rates::AWS));
        let now = Timestamp::from_secs(100);
        let taken = (0..50).filter(|_| throttle.create_keys(now).is_ok()).count();
        assert_eq!(taken, 10);
        let later = Timestamp::from_millis(100_250);
        let taken = (0..50).filter(|_| throttle.create_keys(later).is_ok()).count();
        assert_eq!(taken, 2);
        assert_eq!((0..50).filter(|_| throttle.create_from_csr(now).is_ok()).count(), 20);
    }

    #[test]
    fn without_rates_nothing_is_throttled() {
        let throttle = Throttle::new(None);
        assert!((0..1000).all(|_| throttle.register(Timestamp::from_secs(1)).is_ok()));
    }
}
