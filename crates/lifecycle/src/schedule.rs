//! When a certificate is due: by age or by expiry, whichever comes first, spread over a window by thing name.
//!
//! Certificates that AWS issues all end in 2049, so age is the trigger that matters.

use core::time::Duration;

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::record::Reason;
use crate::slot::SlotCertificate;

/// The triggers that time pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The oldest that an identity may become, counted from its commit.
    pub age: Duration,
    /// Devices rotate up to this much earlier than `age`, each at its own fixed offset.
    pub jitter: Duration,
    /// A certificate is renewed this long before it ends, but never before two thirds of its life are over.
    pub expiry_margin: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self {
            age: Duration::from_secs(30 * DAY),
            jitter: Duration::from_secs(DAY),
            expiry_margin: Duration::from_secs(30 * DAY),
        }
    }
}

impl Schedule {
    /// When the identity committed at `since` is due, and why.
    pub fn due(
        &self,
        thing: &ThingName,
        since: Timestamp,
        certificate: Option<&SlotCertificate>,
    ) -> (Timestamp, Reason) {
        let offset = self.offset(thing);
        let by_age = (since + self.age.saturating_sub(offset), Reason::Age);
        let Some(certificate) = certificate else {
            return by_age;
        };
        let by_expiry = (self.expiry(thing, since, certificate), Reason::Expiry);
        if by_expiry.0 < by_age.0 { by_expiry } else { by_age }
    }

    /// When the certificate, committed at `since`, is to be renewed because it ends.
    pub fn expiry(&self, thing: &ThingName, since: Timestamp, certificate: &SlotCertificate) -> Timestamp {
        let offset = self.offset(thing);
        // Issuers date back: of a short term, what counts is the part that is left when it begins to serve.
        let start = if since < certificate.not_after {
            since.max(certificate.not_before)
        } else {
            certificate.not_before
        };
        let life = certificate.not_after.since(start);
        let margin = self.expiry_margin.min(life / 3);
        // A clock in the far future sees every certificate expired; half a term apart is often enough then.
        let earliest = since + self.age.min(life) / 2;
        (certificate.not_after - margin - offset.min(margin)).max(earliest)
    }

    /// This device's place in the window: the same after every restart.
    fn offset(&self, thing: &ThingName) -> Duration {
        let window = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        if window == 0 {
            return Duration::ZERO;
        }
        let digest = Sha256::digest(thing.as_str().as_bytes());
        let seed = digest.iter().take(8).fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        Duration::from_millis(seed % window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;
    use fleetkey_model::certificate::CertificateId;

    fn certificate(not_before: u64, not_after: u64) -> SlotCertificate {
        SlotCertificate {
            id: CertificateId::of_der(b""),
            public_key: Vec::new(),
            not_before: Timestamp::from_secs(not_before),
            not_after: Timestamp::from_secs(not_after),
        }
    }

    const NO_JITTER: Schedule = Schedule {
        age: Duration::from_secs(1000),
        jitter: Duration::ZERO,
        expiry_margin: Duration::from_secs(100),
    };

    #[test]
    fn a_certificate_that_ends_in_2049_is_due_by_age() {
        let thing = ThingName::new("a").unwrap();
        let far = certificate(0, Timestamp::AWS_CERTIFICATE_END.as_secs());
        let due = NO_JITTER.due(&thing, Timestamp::from_secs(50), Some(&far));
        assert_eq!(due, (Timestamp::from_secs(1050), Reason::Age));
    }

    #[test]
    fn a_short_certificate_is_due_before_it_ends_but_not_in_its_first_two_thirds() {
        let thing = ThingName::new("a").unwrap();
        let short = certificate(0, 90);
        let due = NO_JITTER.due(&thing, Timestamp::from_secs(0), Some(&short));
        assert_eq!(due, (Timestamp::from_secs(60), Reason::Expiry));
    }

    #[test]
    fn a_term_shorter_than_its_issuer_dates_back_is_due_before_it_ends() {
        let thing = ThingName::new("a").unwrap();
        let dated_back = certificate(880, 1060);
        let due = NO_JITTER.due(&thing, Timestamp::from_secs(1000), Some(&dated_back));
        assert_eq!(due, (Timestamp::from_secs(1040), Reason::Expiry));
    }

    #[test]
    fn a_clock_beyond_every_certificate_does_not_rotate_without_end() {
        let thing = ThingName::new("a").unwrap();
        let ended = certificate(0, 5_000);
        let now = Timestamp::from_secs(9_000);
        assert!(NO_JITTER.due(&thing, now, Some(&ended)).0 > now);
    }

    #[test]
    fn a_fleet_spreads_over_the_window_and_nobody_is_late() {
        let schedule = Schedule { jitter: Duration::from_secs(100), ..NO_JITTER };
        let due = |n: u32| {
            let thing = ThingName::new(format!("device-{n}")).unwrap();
            schedule.due(&thing, Timestamp::from_secs(0), None).0.as_secs()
        };
        let mut quarters = [0u32; 4];
        for n in 0..400 {
            assert!((900..=1000).contains(&due(n)));
            assert_eq!(due(n), due(n), "the offset is fixed");
            quarters[((due(n) - 900) / 26).min(3) as usize] += 1;
        }
        assert!(quarters.iter().all(|&count| count > 50), "{quarters:?}");
    }
}
