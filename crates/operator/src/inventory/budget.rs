//! How fast an API may be called: a token bucket each, at a share of the account's quota, so that the devices' own calls
//! are never starved. A throttle halves the rate; what is answered raises it again (AIMD).

use std::collections::BTreeMap;
use std::time::Duration;

use fleetkey_model::time::Timestamp;

/// AWS's defaults (Service Quotas, AWS IoT Core), calls a second.
const QUOTAS: [(&str, f64); 4] = [
    ("ListCertificates", 10.0),
    ("ListThings", 10.0),
    ("ListPrincipalThings", 10.0),
    ("DescribeCertificate", 10.0),
];
/// For what is not in the table.
const OTHER: f64 = 10.0;
/// The least, calls a second: something must get through to find out that it does again.
const LEAST: f64 = 0.1;
/// How many answers bring a halved rate back to where it was.
const RECOVERY: f64 = 60.0;

/// What may be called now.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    share: f64,
    buckets: BTreeMap<&'static str, Bucket>,
}

#[derive(Debug, Clone, PartialEq)]
struct Bucket {
    ceiling: f64,
    rate: f64,
    /// When the next call may be made.
    next: Timestamp,
}

impl Budget {
    /// A share of every quota, between 0.01 and 1.
    pub fn of(share: f64) -> Self {
        let share = if share.is_finite() { share.clamp(0.01, 1.0) } else { 0.5 };
        Self { share, buckets: BTreeMap::new() }
    }

    /// Takes a call out of the budget; how long to wait before it is made.
    pub fn take(&mut self, now: Timestamp, api: &'static str) -> Duration {
        let bucket = self.bucket(api);
        let at = bucket.next.max(now);
        bucket.next = at + Duration::from_secs_f64(1.0 / bucket.rate);
        at.since(now)
    }

    /// The account had room for it.
    pub fn answered(&mut self, api: &'static str) {
        let bucket = self.bucket(api);
        bucket.rate = (bucket.rate + bucket.ceiling / RECOVERY).min(bucket.ceiling);
    }

    /// It had not: half as fast from now on, and nothing for two seconds.
    pub fn throttled(&mut self, now: Timestamp, api: &'static str) {
        let bucket = self.bucket(api);
        bucket.rate = (bucket.rate / 2.0).max(LEAST);
        bucket.next = bucket.next.max(now + Duration::from_secs(2));
    }

    /// Calls a second at present.
    pub fn rate(&mut self, api: &'static str) -> f64 {
        self.bucket(api).rate
    }

    fn bucket(&mut self, api: &'static str) -> &mut Bucket {
        let share = self.share;
        self.buckets.entry(api).or_insert_with(|| {
            let quota = QUOTAS.iter().find(|(name, _)| *name == api).map_or(OTHER, |(_, quota)| *quota);
            let ceiling = quota * share;
            Bucket { ceiling, rate: ceiling, next: Timestamp::default() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "ListCertificates";

    #[test]
    fn half_of_ten_a_second_is_five() {
        let mut budget = Budget::of(0.5);
        let now = Timestamp::from_secs(1);
        let waits: Vec<_> = (0..4).map(|_| budget.take(now, API).as_millis()).collect();
        assert_eq!(waits, [0, 200, 400, 600]);
        assert_eq!(budget.take(now + Duration::from_secs(60), API), Duration::ZERO, "nothing is saved up");
    }

    #[test]
    fn a_throttle_halves_the_rate_and_answers_bring_it_back() {
        let mut budget = Budget::of(0.5);
        let now = Timestamp::from_secs(1);
        budget.throttled(now, API);
        assert!(budget.take(now, API) >= Duration::from_secs(2));
        assert!((budget.rate(API) - 2.5).abs() < 1e-9);
        (0..100).for_each(|_| budget.answered(API));
        assert!((budget.rate(API) - 5.0).abs() < 1e-9, "never above the share");
        (0..100).for_each(|_| budget.throttled(now, API));
        assert!((budget.rate(API) - LEAST).abs() < 1e-9);
    }

    #[test]
    fn a_share_that_is_none_is_brought_to_sense() {
        assert_eq!(Budget::of(f64::NAN), Budget::of(0.5));
        assert_eq!(Budget::of(7.0), Budget::of(1.0));
    }
}
