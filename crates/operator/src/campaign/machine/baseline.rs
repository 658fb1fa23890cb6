//! What tells a new certificate from one that a device had before.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;

/// How far the account's clock, which says when a certificate was registered, may be from ours, which says when a campaign
/// was made. One that is further off is refused at every call (`RequestTimeTooSkewed`: 5 minutes, AWS IAM, Signature
/// Version 4).
const SKEW: Duration = Duration::from_secs(300);

/// What was there when a campaign was made: whatever was registered well before; and of what the clocks do not tell, those
/// certificates that were known when it was first looked after. Of who rotates by itself between the two, the new one is
/// among those: then the device is told all the same, which is better than one that is not told at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baseline {
    made: Timestamp,
    known: BTreeSet<CertificateId>,
}

impl Baseline {
    /// Of a campaign that was made then; of all certificates that are known of its devices, with when they were
    /// registered if that is known, those are kept that the clocks do not tell from new ones.
    pub fn new(made: Timestamp, known: impl IntoIterator<Item = (CertificateId, Option<Timestamp>)>) -> Self {
        let is_close = |at: Option<Timestamp>| at.is_none_or(|at| at + SKEW >= made && at <= made + SKEW);
        let known = known.into_iter().filter(|(_, at)| is_close(*at)).map(|(id, _)| id).collect();
        Self { made, known }
    }

    /// Whether a certificate that was registered then, by the account's clock, is one that came since.
    pub fn is_new(&self, id: &CertificateId, registered: Timestamp) -> bool {
        registered + SKEW >= self.made && !self.known.contains(id)
    }

    /// Those that the clocks do not tell from new ones.
    pub fn known(&self) -> impl Iterator<Item = CertificateId> {
        self.known.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_or_was_registered_well_before_is_not_new() {
        let [id, recent, unlisted, old] =
            ["new", "recent", "unlisted", "old"].map(|n| CertificateId::of_der(n.as_bytes()));
        let (made, at) = (Timestamp::from_secs(10_000), Timestamp::from_secs);
        let later = CertificateId::of_der(b"later");
        let had =
            [(recent, Some(at(9_900))), (unlisted, None), (old, Some(at(9_000))), (later, Some(at(11_000)))];
        let baseline = Baseline::new(made, had);
        assert_eq!(baseline.known().collect::<BTreeSet<_>>(), [recent, unlisted].into());
        // The account's clock is four minutes behind, or before.
        assert!(baseline.is_new(&id, at(9_760)) && baseline.is_new(&id, at(10_240)));
        assert!(!baseline.is_new(&recent, at(9_900)) && !baseline.is_new(&unlisted, at(10_000)));
        assert!(!baseline.is_new(&old, at(9_000)) && !baseline.is_new(&id, at(9_699)));
    }
}
