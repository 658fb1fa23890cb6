//! When devices rotate: by the very schedule of the machine that runs on them, which spreads a fleet by its things' names.
//!
//! What a device is set to is not told to the account, so it is said here again, by flags.

use std::time::Duration;

use fleetkey_lifecycle::schedule::Schedule;
use fleetkey_lifecycle::slot::SlotCertificate;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::Thresholds;

/// What the fleet's devices are set to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    schedule: Schedule,
    /// Nobody is to be provisioned these days.
    is_season_over: bool,
}

impl Rhythm {
    /// Of devices whose certificates become so old, less up to `jitter`.
    pub(super) fn new(age: Duration, jitter: Duration) -> Self {
        let schedule = Schedule { age, jitter, ..Schedule::default() };
        Self { schedule, is_season_over: false }
    }

    /// The same of a fleet to which devices come, or (`true`) to which none are to come these days.
    pub(super) const fn season_over(self, is_over: bool) -> Self {
        Self { is_season_over: is_over, ..self }
    }

    /// The oldest that a certificate may become.
    pub(super) const fn age(&self) -> Duration {
        self.schedule.age
    }

    /// When what is seen of such devices is a finding: at twice the age at which it rotates a device must have missed its
    /// rotation, the soak that follows it included.
    pub(super) fn thresholds(&self) -> Thresholds {
        let Self { schedule, is_season_over } = self;
        let aged_after = schedule.age.saturating_mul(2);
        Thresholds { aged_after, claims_expected: !is_season_over, ..Thresholds::default() }
    }

    /// When a thing's certificate is due that was registered then, and ends then if that is known. The device counts from
    /// its commit, which follows registration within seconds; nobody tells when.
    pub(super) fn due(&self, thing: &ThingName, created: Timestamp, end: Option<Timestamp>) -> Timestamp {
        let certificate = end.map(|not_after| SlotCertificate {
            id: CertificateId::of_der(&[]),
            public_key: Vec::new(),
            not_before: created,
            not_after,
        });
        self.schedule.due(thing, created, certificate.as_ref()).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::certificate::CertificateStatus::Active;
    use fleetkey_operator::control_plane::CertificateSummary;
    use fleetkey_operator::inventory::{ListedThing, Rule, Store, findings};

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn it_is_what_the_device_itself_goes_by() {
        let (rhythm, created) = (Rhythm::new(30 * DAY, DAY), Timestamp::from_secs(1_000_000));
        let own = Schedule { age: 30 * DAY, jitter: DAY, ..Schedule::default() };
        for name in ["press-1", "press-2", "oven"] {
            let thing = ThingName::new(name).unwrap();
            let due = rhythm.due(&thing, created, Some(Timestamp::AWS_CERTIFICATE_END));
            assert_eq!(due, own.due(&thing, created, None).0, "{name}");
            assert!(due <= created + 30 * DAY && due > created + 29 * DAY, "{name}");
        }
        let thing = ThingName::new("press-1").unwrap();
        let short = rhythm.due(&thing, created, Some(created + 10 * DAY));
        assert!(short < created + 10 * DAY, "one that ends earlier is renewed before");
    }
    /// With thirty days a device that rotated on time, at whichever offset, is far from being one.
    #[test]
    fn a_certificate_is_aged_at_twice_the_age_at_which_it_is_due() {
        let thing = ThingName::new("press-1").unwrap();
        let (id, created_at) = (CertificateId::of_der(b"x"), Timestamp::from_secs(1_000_000));
        let mut store = Store::default();
        store.listed(created_at, &thing, &[CertificateSummary { id, status: Active, created_at }]);
        store.listed_things(
            created_at,
            &[ListedThing { name: thing.clone(), newest: Some(id), recovered: None }],
        );
        let thresholds = Rhythm::new(30 * DAY, DAY).thresholds();
        let aged = |at| findings(&store, at, &thresholds).iter().any(|found| found.rule == Rule::Aged);
        let twice = created_at + 60 * DAY;
        assert!(!aged(created_at + 31 * DAY) && !aged(twice - Duration::from_millis(1)) && aged(twice));
    }
    #[test]
    fn a_claim_in_use_is_looked_for_where_the_season_is_said_to_be_over() {
        let rhythm = Rhythm::new(30 * DAY, DAY);
        assert!(
            rhythm.thresholds().claims_expected && !rhythm.season_over(true).thresholds().claims_expected
        );
        assert_eq!(rhythm.season_over(true).age(), rhythm.age());
    }
}
