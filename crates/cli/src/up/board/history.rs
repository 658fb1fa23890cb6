//! What the agents tell becomes rotations and a timeline.

use fleetkey_agent::AgentEvent;
use fleetkey_dashboard::fleet::{Outcome, Phase, Rotation};
use fleetkey_lifecycle::Status;
use fleetkey_lifecycle::record::Reason;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::{Board, Change, PAST, State, push, words};

impl Board {
    /// Takes an event in.
    pub(super) fn happened(&self, thing: &ThingName, event: &AgentEvent) {
        let now = self.account.now();
        let mut state = self.state();
        state.take(thing, event, now);
        if let AgentEvent::Retired { certificates, .. } = event {
            for certificate in certificates {
                let what = format!("certificate {certificate}");
                let change = Change {
                    who: "controller",
                    action: "retire",
                    what,
                    why: "",
                    thing: Some(thing),
                    failed: false,
                };
                state.enter(now, change);
            }
        }
        if let Some((tone, words, for_all)) = words::incident(event) {
            state.note(thing, now, tone, words, for_all);
        }
        drop(state);
        self.hub.tell(kind(event), Some(thing.clone()));
    }

    /// Takes a state in, for the phases that no event tells of.
    pub(super) fn stands(&self, thing: &ThingName, status: &Status) {
        let now = self.account.now();
        let mut state = self.state();
        if let (Some(id), Some(phase)) = (&status.rotation, words::phase(status.state)) {
            state.begin(thing, id, status.reason, now);
            state.with(thing, id, |rotation| {
                rotation.reach(phase, now);
            });
        }
        // A first certificate leaves nothing to retire: from its commit on the device is at no rotation.
        if let (None, true, Some(certificate)) = (&status.rotation, status.connected, status.certificate)
            && let Some(rotation) = state.members.get_mut(thing).and_then(|entry| entry.rotation.as_mut())
        {
            lives(rotation, certificate, now);
        }
        drop(state);
        self.hub.tell("rotation", Some(thing.clone()));
    }
}

impl State {
    fn take(&mut self, thing: &ThingName, event: &AgentEvent, now: Timestamp) {
        match event {
            AgentEvent::RotationStarted { id, reason } => self.begin(thing, id, Some(*reason), now),
            AgentEvent::LinkUp { .. } => self.down(thing, None),
            AgentEvent::LinkDown { .. } => self.down(thing, Some(now)),
            AgentEvent::Committed { reason, .. } if *reason != Reason::Provision => self.rotated += 1,
            AgentEvent::RolledBack { .. } => self.failed += 1,
            _ => {}
        }
        if let Some(id) = event.id() {
            self.with(thing, id, |rotation| advance(rotation, event, now));
        }
    }

    /// A rotation begins, unless it is known already.
    fn begin(&mut self, thing: &ThingName, id: &str, reason: Option<Reason>, now: Timestamp) {
        let Some(entry) = self.members.get_mut(thing) else {
            return;
        };
        if entry.rotation.as_ref().is_some_and(|rotation| rotation.id == id) {
            return;
        }
        let old = entry.statuses.borrow().certificate;
        let reason = reason.map_or("unknown", words::reason).to_owned();
        let begun = Rotation::begun(thing.clone(), id.to_owned(), reason, old, now);
        if let Some(before) = entry.rotation.replace(begun) {
            push(&mut self.past, before, PAST);
        }
    }

    fn with(&mut self, thing: &ThingName, id: &str, act: impl FnOnce(&mut Rotation)) {
        let rotation = self.members.get_mut(thing).and_then(|entry| entry.rotation.as_mut());
        if let Some(rotation) = rotation.filter(|rotation| rotation.id == id) {
            act(rotation);
        }
    }

    fn down(&mut self, thing: &ThingName, since: Option<Timestamp>) {
        if let Some(entry) = self.members.get_mut(thing) {
            entry.down = since;
        }
    }
}

fn advance(rotation: &mut Rotation, event: &AgentEvent, now: Timestamp) {
    match event {
        AgentEvent::Issued { certificate, .. } => {
            rotation.new = Some(*certificate);
            rotation.reach(Phase::Issued, now);
        }
        AgentEvent::Verified { .. } => {
            rotation.reach(Phase::Verified, now);
        }
        AgentEvent::Committed { certificate, .. } | AgentEvent::Provisioned { certificate, .. } => {
            rotation.new = Some(*certificate);
            rotation.reach(Phase::Committed, now);
            end_if_first(rotation);
        }
        AgentEvent::WentLive { .. } => {
            rotation.reach(Phase::Soak, now);
            end_if_first(rotation);
        }
        AgentEvent::Retired { .. } => {
            rotation.reach(Phase::Retired, now);
        }
        AgentEvent::Frozen { why, .. } => rotation.outcome = Outcome::Frozen(why.clone()),
        AgentEvent::RolledBack { why, .. } => rotation.outcome = Outcome::RolledBack(why.clone()),
        AgentEvent::Waiting { why, .. } | AgentEvent::Refused { why, .. } if !rotation.outcome.is_over() => {
            rotation.outcome = Outcome::Waiting(why.clone());
        }
        _ => {}
    }
}

/// The device is connected with this certificate, and at no rotation any more.
fn lives(rotation: &mut Rotation, certificate: CertificateId, now: Timestamp) {
    if rotation.old.is_none() && rotation.new == Some(certificate) && rotation.reached() >= Phase::Committed {
        rotation.reach(Phase::Soak, now);
        end_if_first(rotation);
    }
}

/// A first certificate has none before it to retire.
fn end_if_first(rotation: &mut Rotation) {
    if rotation.old.is_none() && rotation.reached() >= Phase::Soak {
        rotation.outcome = Outcome::Done;
    }
}

const fn kind(event: &AgentEvent) -> &'static str {
    match event {
        AgentEvent::LinkUp { .. }
        | AgentEvent::LinkDown { .. }
        | AgentEvent::LinkRefused { .. }
        | AgentEvent::Displaced => "link",
        _ => "rotation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_lifecycle::SlotId;

    const NOW: Timestamp = Timestamp::from_secs(100);

    fn rotation_of(old: Option<CertificateId>) -> Rotation {
        Rotation::begun(ThingName::new("a").unwrap(), "r1".into(), "age".into(), old, NOW)
    }

    #[test]
    fn a_first_certificate_is_done_when_it_is_live_and_a_later_one_when_the_old_is_retired() {
        let live = AgentEvent::WentLive { id: Some("r1".into()), slot: SlotId(1) };
        let (mut first, mut later) = (rotation_of(None), rotation_of(Some(CertificateId::of_der(b"old"))));
        for rotation in [&mut first, &mut later] {
            advance(rotation, &live, NOW);
        }
        assert_eq!((&first.outcome, &later.outcome), (&Outcome::Done, &Outcome::UnderWay));
        advance(&mut later, &AgentEvent::Retired { id: "r1".into(), certificates: Vec::new() }, NOW);
        assert_eq!(later.outcome, Outcome::Done);
    }

    /// The event that tells of it names no rotation: the first one is over with its commit.
    #[test]
    fn a_first_certificate_that_is_committed_is_done_once_the_device_is_connected_with_it() {
        let [first, other] = [b"first", b"other"].map(|der| CertificateId::of_der(der));
        let (mut rotation, id) = (rotation_of(None), "r1".to_owned());
        lives(&mut rotation, first, NOW);
        assert_eq!(rotation.outcome, Outcome::UnderWay, "not committed yet");
        advance(&mut rotation, &AgentEvent::Provisioned { id, certificate: first }, NOW);
        lives(&mut rotation, other, NOW);
        assert_eq!(rotation.outcome, Outcome::UnderWay);
        lives(&mut rotation, first, NOW);
        assert_eq!((&rotation.outcome, rotation.reached()), (&Outcome::Done, Phase::Soak));
        let mut later = rotation_of(Some(other));
        later.new = Some(first);
        lives(&mut later, first, NOW);
        assert_eq!(later.outcome, Outcome::UnderWay, "its old one is not retired");
    }

    #[test]
    fn one_that_was_given_up_stays_given_up() {
        let mut rotation = rotation_of(Some(CertificateId::of_der(b"old")));
        let given_up = AgentEvent::RolledBack { id: "r1".into(), why: "refused".into() };
        advance(&mut rotation, &given_up, NOW);
        let waiting = AgentEvent::Waiting { id: Some("r1".into()), why: "later".into(), until: NOW };
        advance(&mut rotation, &waiting, NOW);
        assert_eq!(rotation.outcome, Outcome::RolledBack("refused".into()));
    }
}
