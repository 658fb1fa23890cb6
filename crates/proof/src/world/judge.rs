//! I1, after every change of a disk or of the account, and what is not held against a device.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;

use super::World;
use crate::device::Device;
use crate::disk::{Crash, Side};
use crate::invariants;
use crate::moment::{Kept, Moment};
use crate::schedule::{Fault, Whose};

/// A day of refusals may have begun so long before an operator took the identity, by a refusal for another reason; and
/// a leap of the clock may count for as much.
const SLACK: Duration = Duration::from_secs(3600 + 600);
/// Between two recoveries.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is known when a moment is judged.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// What each device's disk would keep.
    kept: Vec<Kept>,
    /// The identities that would do.
    account: Vec<CertificateId>,
    /// Those of them that are ACTIVE.
    active: Vec<CertificateId>,
    /// The thing has had an identity: from the first RegisterThing that was accepted on there must be one.
    begun: bool,
    /// The disk itself, or a quarrel that people know of, took the only identity; until there is one that serves again.
    lost: bool,
    /// The identity in use that the disk lost: it serves from memory, until the account retires it.
    serves: Option<CertificateId>,
    /// The same, when nothing else was left.
    in_memory: Option<CertificateId>,
    /// When an operator took the last identity; until there is one again.
    taken_at: Option<Timestamp>,
    /// What was ACTIVE then all the same: no disk held it any more.
    out_of_reach: Vec<CertificateId>,
    /// When the disk lost something, nothing was left.
    disk_took: bool,
    /// What was staged when an operator ordered it away: that need not carry the device any more.
    ordered_away: Option<CertificateId>,
    /// When an operator took the last identity in use, another one was on the disk that only had to be tried.
    spare: bool,
    /// The devices that have committed to an identity.
    held: BTreeSet<usize>,
}

impl<D: Device> World<D> {
    /// What a power cut would leave of a device now.
    pub(super) fn look_at(&self, index: usize) {
        if let Some(node) = self.nodes.get(index) {
            self.env.director.look(node.home.number, &node.home.disk, D::identities);
        }
    }

    /// Judges all that has happened since the last time, in its order.
    pub(super) fn judge(&mut self) {
        for moment in self.env.director.take_moments() {
            let is_cut = moment == Moment::Cut;
            match moment {
                Moment::Disk { device, kept } => {
                    if self.judge.kept.len() <= device {
                        self.judge.kept.resize_with(device + 1, Kept::default);
                    }
                    if let Some(place) = self.judge.kept.get_mut(device) {
                        *place = kept;
                    }
                }
                Moment::Account { would_do, active } => {
                    self.judge.begun |= !would_do.is_empty();
                    (self.judge.account, self.judge.active) = (would_do, active);
                }
                // What served from memory serves no more.
                Moment::Cut => (self.judge.serves, self.judge.in_memory) = (None, None),
            }
            if is_cut || !self.env.patient {
                self.judge_identities();
            }
        }
    }

    /// A device has committed to an identity.
    pub(super) fn holds_one(&mut self, device: usize) {
        self.judge.held.insert(device);
    }

    /// Whether it ever has.
    pub(super) fn has_held(&self, device: usize) -> bool {
        self.judge.held.contains(&device)
    }

    /// Whether an operator or the disk itself took all that the device had.
    pub(super) fn lost_everything(&self) -> bool {
        let waived = !self.env.cloud.waived.is_empty();
        (waived && !self.judge.spare) || self.judge.disk_took
    }

    /// I1, for a device that is alone. Of two with one identity, or beside a thief, one may lose it: then
    /// somebody must have been told.
    pub(super) fn judge_identities(&mut self) {
        let excused = self.is_told() || (self.env.watch.away && self.is_contested());
        if !self.judge.begun || excused || self.env.watch.violation().is_some() {
            return;
        }
        let parties = if self.is_contested() { self.judge.kept.len() } else { 1 };
        let kept = || self.judge.kept.iter().take(parties);
        let durable: Vec<CertificateId> = kept().flat_map(|kept| kept.durable.iter().copied()).collect();
        let seen: Vec<CertificateId> = kept().flat_map(|kept| kept.seen.iter().copied()).collect();
        if [&durable, &seen].iter().all(|ids| ids.iter().any(|id| self.judge.active.contains(id))) {
            self.judge.taken_at = None;
        }
        self.forget_what_was_taken();
        let in_memory = self.judge.in_memory.is_some_and(|id| self.judge.account.contains(&id));
        if in_memory || self.is_given_up_for_a_recovery() {
            return;
        }
        if self.judge.lost {
            return;
        }
        for (crash, ids) in [(Crash::LoseAll, durable), (Crash::KeepAll, seen)] {
            let (account, cloud) = (&self.judge.account, &self.env.cloud);
            invariants::i1_an_accepted_identity_survives(crash, &ids, account, cloud, &mut self.env.watch);
        }
    }

    /// What an operator took is not kept for ever: after a day of refusals it may give way to a recovery. One that was
    /// never committed, as far as the disk knows, may give way to another first attempt as well: the device cannot know
    /// that it was ever registered.
    fn is_given_up_for_a_recovery(&self) -> bool {
        let Judge { account, active, out_of_reach, .. } = &self.judge;
        let serves_nobody = |id: &CertificateId| !active.contains(id) || out_of_reach.contains(id);
        let only_taken = !account.is_empty() && account.iter().all(serves_nobody);
        let slack = SLACK * (1 + self.env.watch.clock_sets);
        let a_day_ago = self.judge.taken_at.is_some_and(|at| self.env.now.since(at) + slack >= DAY);
        let device = self.nodes.first().and_then(|node| node.device.as_ref());
        let committed = device.is_some_and(|device| device.certificate(Whose::Current).is_some());
        only_taken && a_day_ago && !(self.env.schedule.sealed && committed)
    }

    /// Once there is an identity again that serves, what was taken before excuses nothing any more: neither does what
    /// an operator took stand in for it, nor does a person have to help a device that loses it. A twin that has not committed
    /// may not know that its copy was registered, so that copy is none.
    fn forget_what_was_taken(&mut self) {
        let Judge { account, active, kept, held, .. } = &self.judge;
        let twins = if held.iter().any(|device| *device != 0) { kept.len() } else { 1 };
        let (cloud, ordered_away) = (&self.env.cloud, self.ordered_away());
        let is_good = |id: &CertificateId| {
            let is_taken = cloud.waived.contains(id) || Some(*id) == ordered_away;
            account.contains(id) && active.contains(id) && cloud.would_do(id) && !is_taken
        };
        let parties = if self.is_contested() { twins } else { 1 };
        let kept = || kept.iter().take(parties);
        let durable = kept().any(|kept| kept.durable.iter().any(is_good));
        let seen = kept().any(|kept| kept.seen.iter().any(is_good));
        if durable && seen {
            (self.judge.disk_took, self.judge.lost) = (false, false);
            self.env.cloud.forget_all_waived();
        }
    }

    /// People know that somebody else took what the device had: from here on it must come to an identity again.
    pub(super) fn forgive_the_loss(&mut self) {
        self.judge();
        self.judge.spare = false;
        self.judge.lost = true;
    }

    /// A person has given back what was taken: the device has to find that it is accepted.
    pub(super) fn has_given_back(&mut self) {
        self.judge.lost = true;
        self.judge();
    }

    /// The identities that would do and that no crash of this moment can take, whatever an operator does to `but`.
    pub(super) fn survivors(&self, but: Option<CertificateId>) -> BTreeSet<CertificateId> {
        let Some(node) = self.nodes.first() else { return BTreeSet::new() };
        let rightful = self.env.cloud.rightful(&node.home.thing);
        let killed = &self.env.cloud.killed;
        let mut found = BTreeSet::new();
        for node in &self.nodes {
            let durable = D::identities(&node.home.disk.view(Side::Durable));
            let seen = D::identities(&node.home.disk.view(Side::Seen));
            found.extend(seen.into_iter().filter(|id| durable.contains(id)));
        }
        let ordered_away = self.ordered_away();
        let is_left = |id: &CertificateId| Some(*id) != but && Some(*id) != ordered_away;
        found.retain(|id| rightful.contains(id) && !killed.contains(id) && is_left(id));
        found
    }

    /// What an operator ordered away, unless it came into use all the same.
    fn ordered_away(&self) -> Option<CertificateId> {
        let device = self.nodes.first().and_then(|node| node.device.as_ref());
        let in_use = device.and_then(|device| device.certificate(Whose::Current));
        self.judge.ordered_away.filter(|id| Some(*id) != in_use)
    }

    /// An operator ends a certificate. If nothing else would do, what was killed counts as accepted from here on; as
    /// long as something does, that must carry the device.
    pub(super) fn kill(&mut self, part: Whose, status: CertificateStatus) {
        let id = self.nodes.first().and_then(|node| node.device.as_ref()?.certificate(part));
        let Some(id) = id.filter(|id| self.env.cloud.is_active(id)) else {
            return self.env.director.was_idle();
        };
        let is_last = self.survivors(Some(id)).is_empty();
        if is_last {
            self.judge.spare = self.has_a_spare(id);
            let killed = self.env.cloud.killed.clone();
            self.env.cloud.waive(killed.into_iter().chain([id]));
        }
        self.env.cloud.kill(self.env.now, &id, status);
        if is_last {
            // After it was seen: until then it was there.
            self.judge();
            self.judge.taken_at = Some(self.env.now);
            self.judge.in_memory = self.judge.serves.or(self.judge.in_memory);
            self.judge.out_of_reach.clone_from(&self.judge.active);
        }
    }

    /// Whether the disk holds a certificate that is ACTIVE and was only never tried: with it a device helps itself,
    /// unless it is told that it was not registered, or refused, or its disk fails.
    fn has_a_spare(&self, but: CertificateId) -> bool {
        let lies = |fault: Fault| {
            use Fault::{Closed, Disk, Late, Refuse, Reject, RejectDone, Stale, Thief, Twice, Wipe};
            matches!(
                fault,
                Closed(_)
                    | Disk(..)
                    | Late(_)
                    | Refuse
                    | Reject(_)
                    | RejectDone(_)
                    | Stale
                    | Thief(_)
                    | Twice(_)
                    | Wipe(_)
            )
        };
        let Some(node) = self.nodes.first() else { return false };
        let attached = self.env.cloud.active(&node.home.thing);
        let durable = D::identities(&node.home.disk.view(Side::Durable));
        let seen = D::identities(&node.home.disk.view(Side::Seen));
        let both = |id: &CertificateId| durable.contains(id) && seen.contains(id) && *id != but;
        attached.iter().any(both) && !self.env.schedule.faults.iter().any(|planned| lies(planned.fault))
    }

    /// An operator orders that what is staged be given up. Where the disk has lost what serves, nobody can obey and
    /// keep an identity on it.
    pub(super) fn order_the_staged_away(&mut self) {
        self.judge();
        let device = self.nodes.first().and_then(|node| node.device.as_ref());
        let device = device.filter(|device| device.is_in_steps());
        let staged = device.and_then(|device| device.certificate(Whose::Candidate));
        self.judge.ordered_away = staged.or(self.judge.ordered_away);
        if self.env.watch.damaged && self.survivors(None).is_empty() {
            self.judge.in_memory = self.judge.serves;
            (self.judge.lost, self.judge.disk_took) = (true, true);
        }
    }

    /// The disk lost something by itself. If no identity is left, the device is not to blame; and the one that `serves`
    /// goes on from memory then. As long as another one is left, that must carry the device; a twin's copy only if the
    /// twin has committed to it, for until then it may not know that it was registered.
    pub(super) fn forgive_the_disk(&mut self, serves: Option<CertificateId>) {
        self.judge();
        self.judge.serves = serves.or(self.judge.serves);
        let own = self
            .nodes
            .first()
            .map(|node| D::identities(&node.home.disk.view(Side::Seen)))
            .unwrap_or_default();
        let is_known =
            |id: &CertificateId| own.contains(id) || self.judge.held.iter().any(|device| *device != 0);
        if !self.survivors(None).iter().any(is_known) {
            self.judge.in_memory = self.judge.serves;
            (self.judge.lost, self.judge.disk_took) = (true, true);
        }
        self.judge.spare = false;
        self.look_at(0);
    }
}
