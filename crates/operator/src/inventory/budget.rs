//! How fast an API may be called: a token bucket each, at a share of the account's quota, so that the devices' own calls
//! are never starved. A throttle halves the rate; what is answered raises it again (AIMD). The quotas are AWS's defaults
//! until the account has told its own ([`Quotas`]).

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
/// What the name of a quota on a call's rate ends with (Service Quotas, `iotcore`): `ListThings API TPS`.
const RATE: &str = " API TPS";
/// What provisioning a device takes of Fleet Provisioning, and AWS's defaults, calls a second (as above).
const PROVISIONING: [(&str, f64); 2] = [
    ("Fleet Provisioning CreateCertificateFromCsr MQTT", 20.0),
    ("Fleet Provisioning RegisterThing MQTT", 10.0),
];

/// How many calls a second the account takes, by operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quotas(BTreeMap<String, f64>);

impl Quotas {
    /// Reads quotas of AWS IoT Core by their names; those that are on no call's rate, and values that are none, are left
    /// out.
    pub fn of(named: impl IntoIterator<Item = (String, f64)>) -> Self {
        let rates = named.into_iter().filter_map(|(name, value)| {
            let is_provisioning = |call: &str| PROVISIONING.iter().any(|(known, _)| *known == call);
            let call = name.strip_suffix(RATE).filter(|call| !call.contains(' ') || is_provisioning(call))?;
            (value.is_finite() && value > 0.0).then(|| (call.to_owned(), value))
        });
        Self(rates.collect())
    }

    /// How many devices a second it provisions, over MQTT: the least of what that takes, by AWS's defaults where it has not
    /// told.
    pub fn provisionings(&self) -> f64 {
        let rates = PROVISIONING.iter().map(|(call, usual)| self.of_call(call).unwrap_or(*usual));
        rates.fold(f64::INFINITY, f64::min)
    }

    /// How many calls a second it takes of this operation, if it has told.
    pub fn of_call(&self, api: &str) -> Option<f64> {
        self.0.get(api).copied()
    }
}

/// What may be called now.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    share: f64,
    quotas: Quotas,
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
        Self { share, quotas: Quotas::default(), buckets: BTreeMap::new() }
    }

    /// From now on by what the account has told. A rate whose quota is as it was goes on as it is.
    pub fn learn(&mut self, quotas: Quotas) {
        self.quotas = quotas;
        for (api, bucket) in &mut self.buckets {
            let ceiling = self.quotas.of_call(api).unwrap_or_else(|| default_of(api)) * self.share;
            // It was made by this very product.
            if ceiling.to_bits() != bucket.ceiling.to_bits() {
                (bucket.ceiling, bucket.rate) = (ceiling, ceiling);
            }
        }
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
        let Self { share, quotas, buckets } = self;
        buckets.entry(api).or_insert_with(|| {
            let ceiling = quotas.of_call(api).unwrap_or_else(|| default_of(api)) * *share;
            Bucket { ceiling, rate: ceiling, next: Timestamp::default() }
        })
    }
}

fn default_of(api: &str) -> f64 {
    QUOTAS.iter().find(|(name, _)| *name == api).map_or(OTHER, |(_, quota)| *quota)
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
    fn what_the_account_tells_takes_the_place_of_the_defaults() {
        let told = [
            ("ListCertificates API TPS", 100.0),
            ("ListThings API TPS", 0.0),
            ("ListPrincipalThings API TPS", f64::NAN),
            ("Fleet Provisioning RegisterThing MQTT API TPS", 99.0),
            ("Publish requests per second per connection", 100.0),
        ];
        let quotas = Quotas::of(told.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!((quotas.of_call(API), quotas.of_call("RegisterThing")), (Some(100.0), None));
        let mut budget = Budget::of(0.5);
        let now = Timestamp::from_secs(1);
        assert_eq!(budget.take(now, API), Duration::ZERO);
        budget.learn(quotas.clone());
        let rates = [API, "ListThings", "ListPrincipalThings"].map(|api| budget.rate(api));
        assert_eq!(rates.map(|rate| rate.round() as u32), [50, 5, 5], "what is no rate leaves the default");
        budget.throttled(now, API);
        budget.learn(quotas);
        assert!((budget.rate(API) - 25.0).abs() < 1e-9, "a throttle is not forgotten for the same quota");
        budget.learn(Quotas::of([("ListCertificates API TPS".to_owned(), 20.0)]));
        assert!((budget.rate(API) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_provisioned_is_the_least_of_what_that_takes() {
        let register = "Fleet Provisioning RegisterThing MQTT API TPS";
        let create = "Fleet Provisioning CreateCertificateFromCsr MQTT API TPS";
        for (told, least) in [
            (vec![], 10),
            (vec![(register, 5.0)], 5),
            (vec![(register, 50.0)], 20),
            (vec![(register, 50.0), (create, 100.0)], 50),
            (vec![("RegisterThing API TPS", 1.0)], 10),
        ] {
            let quotas = Quotas::of(told.into_iter().map(|(name, value)| (name.to_owned(), value)));
            assert_eq!(quotas.provisionings().round() as u32, least);
        }
    }

    #[test]
    fn a_share_that_is_none_is_brought_to_sense() {
        assert_eq!(Budget::of(f64::NAN), Budget::of(0.5));
        assert_eq!(Budget::of(7.0), Budget::of(1.0));
    }
}
