//! Signs of life of whoever holds a thing's live client id, heard in this run of the controller.
//!
//! Not durable on purpose: what was heard before a restart says nothing of today. Losing a sign only delays the
//! sweep, never hastens it.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;

/// The latest sign of life in the live session.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Option<Beat>);

#[derive(Debug, Clone)]
struct Beat {
    principal: CertificateId,
    /// By the broker's clock.
    at: Timestamp,
    /// It connected, and its end was not heard although it would have been.
    open: bool,
}

impl Pulse {
    /// A connection began.
    pub(super) const fn connected(&mut self, principal: CertificateId, at: Timestamp) {
        self.0 = Some(Beat { principal, at, open: true });
    }

    /// The broker attested a message: it was connected then. Whether it still is, only its beginning tells.
    pub(super) fn attested(&mut self, principal: CertificateId, at: Timestamp) {
        match &mut self.0 {
            Some(beat) if beat.at > at => {}
            Some(beat) if beat.principal == principal => beat.at = at,
            other => *other = Some(Beat { principal, at, open: false }),
        }
    }

    /// Whether it was heard since `moment`: who holds the live session since then is known.
    pub(super) fn heard_since(&self, moment: Timestamp) -> bool {
        self.0.as_ref().is_some_and(|beat| beat.at >= moment)
    }

    /// The connection ended, or its end may have been missed.
    pub(super) const fn lost(&mut self) {
        if let Some(beat) = &mut self.0 {
            beat.open = false;
        }
    }

    /// Whether a certificate holds the live session now, as far as one can hear.
    pub(super) fn beats(&self, certificate: &CertificateId) -> bool {
        self.0.as_ref().is_some_and(|beat| beat.open && beat.principal == *certificate)
    }

    /// Whether a certificate was the last to hold the live session and gave a sign of life at `moment` or later, or
    /// will have given one at `moment` if nothing changes until then.
    pub(super) fn shows(&self, certificate: &CertificateId, moment: Timestamp) -> bool {
        self.0.as_ref().is_some_and(|beat| beat.principal == *certificate && (beat.open || beat.at >= moment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn an_open_session_lives_on_and_a_closed_one_lived_until_its_last_sign() {
        let [old, new] = [b"old", b"new"].map(|der| CertificateId::of_der(der));
        let mut pulse = Pulse::default();
        assert!(!pulse.shows(&old, at(0)), "silence proves nothing");
        pulse.connected(old, at(5));
        assert!(pulse.shows(&old, at(1000)) && pulse.beats(&old) && !pulse.shows(&new, at(0)));
        pulse.lost();
        assert!(pulse.shows(&old, at(5)) && !pulse.shows(&old, at(6)) && !pulse.beats(&old));
        pulse.attested(old, at(8));
        assert!(pulse.shows(&old, at(8)) && !pulse.beats(&old));
        pulse.attested(new, at(7));
        assert!(pulse.shows(&old, at(8)), "news that are late change nothing");
        pulse.attested(new, at(9));
        assert!(pulse.shows(&new, at(9)) && !pulse.shows(&old, at(0)));
    }
}
