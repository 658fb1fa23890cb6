//! When devices rotate: by the very schedule of the machine that runs on them, which spreads a fleet by its things' names.
//!
//! What a device is set to is not told to the account, so it is said here again, by flags.

use std::time::Duration;

use fleetkey_lifecycle::schedule::Schedule;
use fleetkey_lifecycle::slot::SlotCertificate;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

/// What the fleet's devices are set to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm(Schedule);

impl Rhythm {
    /// Of devices whose certificates become so old, less up to `jitter`.
    pub(super) fn new(age: Duration, jitter: Duration) -> Self {
        Self(Schedule { age, jitter, ..Schedule::default() })
    }

    /// The oldest that a certificate may become.
    pub(super) const fn age(&self) -> Duration {
        self.0.age
    }

    /// So old a certificate is that its device must have missed its rotation, the soak that follows it included.
    pub(super) fn overdue(&self) -> Duration {
        self.0.age.saturating_mul(2)
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
        self.0.due(thing, created, certificate.as_ref()).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
