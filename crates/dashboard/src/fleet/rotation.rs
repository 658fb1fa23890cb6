//! A rotation as people follow it: eight phases on a strip, and the two certificates it is about.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

/// How far a rotation is. Each phase implies all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// A trigger has fired; nothing has been asked of the cloud.
    Due,
    /// The candidate's key and request are durable on the device.
    Key,
    /// The candidate's certificate is durable on the device.
    Issued,
    /// The certificate is attached to the thing.
    Registered,
    /// The candidate has passed TLS, CONNACK, SUBACK and an echo.
    Verified,
    /// The candidate is the device's identity: the one point of no return.
    Committed,
    /// Real traffic runs on it, the old certificate is kept.
    Soak,
    /// The old certificate can no longer connect.
    Retired,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 8] = [
        Self::Due,
        Self::Key,
        Self::Issued,
        Self::Registered,
        Self::Verified,
        Self::Committed,
        Self::Soak,
        Self::Retired,
    ];

    /// Its name on the strip.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Key => "key",
            Self::Issued => "issued",
            Self::Registered => "registered",
            Self::Verified => "verified",
            Self::Committed => "committed",
            Self::Soak => "soak",
            Self::Retired => "retired",
        }
    }

    /// What it means, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Due => "A trigger has fired. Nothing has been asked of the cloud.",
            Self::Key => "A new key and its request are synced to the device's disk.",
            Self::Issued => "The new certificate is on the device's disk.",
            Self::Registered => "The new certificate is attached to the thing.",
            Self::Verified => {
                "The new certificate connected, subscribed and got an echo, beside the live session."
            }
            Self::Committed => "The new certificate is the device's identity.",
            Self::Soak => "Traffic runs on the new certificate; the old one is kept in case.",
            Self::Retired => "The old certificate can no longer connect.",
        }
    }
}

/// How a rotation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    UnderWay,
    /// It goes on, but a step failed and waits to be tried again.
    Waiting(String),
    /// The controller holds the retirement until an operator decides.
    Frozen(String),
    /// It was given up; the old identity serves on.
    RolledBack(String),
    /// It is complete.
    Done,
}

impl Outcome {
    /// Whether nothing more comes.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::RolledBack(_) | Self::Done)
    }

    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::UnderWay => "under way",
            Self::Waiting(_) => "waiting",
            Self::Frozen(_) => "frozen",
            Self::RolledBack(_) => "rolled back",
            Self::Done => "done",
        }
    }

    /// Why, where there is something to say.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Waiting(why) | Self::Frozen(why) | Self::RolledBack(why) => Some(why),
            Self::UnderWay | Self::Done => None,
        }
    }
}

/// A phase that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub phase: Phase,
    /// When it was seen.
    pub at: Timestamp,
}

/// One rotation of one device; its first provisioning counts as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The device.
    pub thing: ThingName,
    /// The rotation's id, as in the device's audit log.
    pub id: String,
    /// Why it was started: `age`, `command`, …
    pub reason: String,
    /// The certificate before, if there was one.
    pub old: Option<CertificateId>,
    /// The certificate after, once it is issued.
    pub new: Option<CertificateId>,
    /// The phases that were seen, in their order; one that was passed between two looks is missing.
    pub steps: Vec<Step>,
    /// How it stands.
    pub outcome: Outcome,
}

impl Rotation {
    /// One that has just begun.
    pub fn begun(
        thing: ThingName,
        id: String,
        reason: String,
        old: Option<CertificateId>,
        at: Timestamp,
    ) -> Self {
        let steps = vec![Step { phase: Phase::Due, at }];
        Self { thing, id, reason, old, new: None, steps, outcome: Outcome::UnderWay }
    }

    /// How far it is.
    pub fn reached(&self) -> Phase {
        self.steps.last().map_or(Phase::Due, |step| step.phase)
    }

    /// Notes a phase. One that is behind what is known already changes nothing: events may come late.
    pub fn reach(&mut self, phase: Phase, at: Timestamp) -> bool {
        if self.outcome.is_over() || phase <= self.reached() {
            return false;
        }
        self.steps.push(Step { phase, at });
        self.outcome = if phase == Phase::Retired { Outcome::Done } else { Outcome::UnderWay };
        true
    }

    /// When a phase was seen; `None` for one that is still to come or was passed unseen.
    pub fn at(&self, phase: Phase) -> Option<Timestamp> {
        self.steps.iter().find(|step| step.phase == phase).map(|step| step.at)
    }

    /// When it began.
    pub fn started(&self) -> Option<Timestamp> {
        self.steps.first().map(|step| step.at)
    }

    /// When something was last seen of it.
    pub fn latest(&self) -> Option<Timestamp> {
        self.steps.last().map(|step| step.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation() -> Rotation {
        let thing = ThingName::new("pump-1").unwrap();
        Rotation::begun(thing, "r1".into(), "age".into(), None, Timestamp::from_secs(1))
    }

    #[test]
    fn a_phase_implies_all_before_it_and_a_late_one_changes_nothing() {
        let mut rotation = rotation();
        assert!(rotation.reach(Phase::Verified, Timestamp::from_secs(2)));
        assert!(!rotation.reach(Phase::Key, Timestamp::from_secs(3)), "that was passed");
        assert_eq!(rotation.reached(), Phase::Verified);
        assert_eq!(rotation.at(Phase::Key), None);
    }

    #[test]
    fn the_last_phase_ends_it_and_nothing_follows() {
        let mut rotation = rotation();
        rotation.outcome = Outcome::Waiting("the broker is away".into());
        assert!(rotation.reach(Phase::Retired, Timestamp::from_secs(9)));
        assert_eq!(rotation.outcome, Outcome::Done);
        let mut given_up = self::rotation();
        given_up.outcome = Outcome::RolledBack("refused".into());
        assert!(!given_up.reach(Phase::Committed, Timestamp::from_secs(2)));
    }
}
