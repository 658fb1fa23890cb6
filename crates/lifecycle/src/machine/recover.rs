//! Taking up the disk's state: what to do with a record that is missing or refers to what is not there.
//!
//! Nothing is deleted here; slots that no record explains are kept until an identity is committed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec;

use fleetkey_model::time::Timestamp;

use super::verify::Purpose;
use super::{Awaiting, Machine, Step};
use crate::action::Action;
use crate::event::Event;
use crate::record::{Authority, Hold, Phase, RECORD_VERSION, Reason, Record, Rotation};
use crate::slot::{SlotFacts, SlotId};
use crate::status::Notice;

/// The record to go on with, and whether it is to be made durable first: the disk's needed mending. It follows
/// from the disk alone, so that it holds even while it cannot be written; the next start finds the same.
pub(super) fn record(
    found: Option<Record>,
    slots: &BTreeMap<SlotId, SlotFacts>,
    unread: &BTreeSet<SlotId>,
    time_floor: Timestamp,
) -> (Record, bool) {
    let Some(mut record) = found else {
        return without_record(slots, time_floor);
    };
    record.time_floor = record.time_floor.max(time_floor);
    let mut mended = record.clone();
    mended.v = RECORD_VERSION;
    mend_rotation(&mut mended, slots, unread);
    let unused = slots.keys().chain(unread).max().map_or(1, |last| last.0.saturating_add(1));
    mended.next_slot = mended.next_slot.max(unused);
    let unsaved = mended != record;
    (mended, unsaved)
}

/// The state file is gone: the slots say who we are. A slot without a token was registered; the newest such slot is
/// the best guess, and the broker has the last word on it (the ladder tries the others). A newer one with a token
/// may have been registered: it is taken up where that is found out. Where all have their tokens still, so may the
/// others: they are tried beside it ([`Machine::try_another`]).
fn without_record(slots: &BTreeMap<SlotId, SlotFacts>, time_floor: Timestamp) -> (Record, bool) {
    // NotBefore came over a validated link: time was at least that.
    let known = slots.values().filter_map(|slot| Some(slot.certificate.as_ref()?.not_before)).max();
    let time_floor = time_floor.max(known.unwrap_or_default());
    let fresh = Record::fresh(time_floor);
    let mut rebuilt = fresh.clone();
    let complete = || slots.values().rev().filter(|slot| slot.is_complete());
    if let Some(newest) = complete().find(|slot| !slot.has_token) {
        rebuilt.current = Some(newest.id);
        rebuilt.current_since = newest.certificate.as_ref().map_or(time_floor, |facts| facts.not_before);
    }
    let candidate = complete().find(|slot| slot.has_token).filter(|slot| Some(slot.id) > rebuilt.current);
    rebuilt.rotation = candidate.and_then(|slot| taken_up(slot, rebuilt.current));
    rebuilt.next_slot = slots.keys().next_back().map_or(1, |last| last.0.saturating_add(1));
    let unsaved = rebuilt != fresh;
    (rebuilt, unsaved)
}

/// A rotation that no record tells of, where it can only be further than thought, never less far: its token counts
/// as stale, so that the candidate is tried before anything is asked for again.
fn taken_up(slot: &SlotFacts, current: Option<SlotId>) -> Option<Rotation> {
    let certificate = slot.certificate.as_ref()?;
    Some(Rotation {
        id: format!("taken-up-{}", slot.id),
        reason: if current.is_some() { Reason::Age } else { Reason::Provision },
        slot: slot.id,
        authority: current.map_or(Authority::Claim, Authority::Current),
        started_at: certificate.not_before,
        hold: Hold::Never,
        phase: Phase::Registering { certificate: certificate.id, token_until: Timestamp::default() },
    })
}

impl Machine {
    /// The candidate of a device without an identity was refused: what else is on the disk is tried before it is again.
    pub(super) fn look_for_others(&mut self) {
        let record = &self.durable;
        if record.current.is_none() {
            let known = |slot: &SlotId| record.refers_to(*slot) || record.doomed.contains(slot);
            let complete = self.slots.values().filter(|slot| slot.is_complete()).map(|slot| slot.id);
            self.others = complete.filter(|slot| !known(slot)).collect();
        }
    }

    /// The newest of them.
    pub(super) fn try_another(&mut self) -> Option<Step> {
        let slot = self.others.pop()?;
        let thing = self.config.thing();
        Some((Action::Verify { slot, thing }, Awaiting::Verify(Purpose::Found(slot))))
    }

    /// It is accepted: the device is that one, and what it thought to be its first certificate is the next.
    pub(super) fn on_another(&mut self, slot: SlotId, outcome: &Event) {
        let is_accepted = matches!(outcome, Event::Verified { .. }) && self.durable.current.is_none();
        let Some(rotation) = self.durable.rotation.clone().filter(|_| is_accepted) else { return };
        self.others.clear();
        let certificate = self.slots.get(&slot).and_then(|slot| slot.certificate.as_ref());
        let since = certificate.map_or(self.now, |certificate| certificate.not_before);
        self.stage(vec![Notice::FellBack { from: rotation.slot, to: slot }], |record| {
            record.current = Some(slot);
            record.current_since = since;
            record.rotation =
                Some(Rotation { reason: Reason::Age, authority: Authority::Current(slot), ..rotation });
        });
    }
}

/// A phase that claims more than its slot holds goes back to what the slot supports, with the same key. A certificate
/// in a slot that does not read is not gone: it may be registered, and is tried once it reads.
fn mend_rotation(record: &mut Record, slots: &BTreeMap<SlotId, SlotFacts>, unread: &BTreeSet<SlotId>) {
    let Some(rotation) = &mut record.rotation else {
        return;
    };
    if unread.contains(&rotation.slot) && rotation.phase.has_certificate() {
        return;
    }
    let slot = slots.get(&rotation.slot);
    let has_key = slot.is_some_and(|slot| slot.public_key.is_some());
    let is_complete = slot.is_some_and(SlotFacts::is_complete);
    rotation.phase = match &rotation.phase {
        Phase::MakingKey if has_key => Phase::KeyReady,
        Phase::KeyReady | Phase::Requested if !has_key => Phase::MakingKey,
        Phase::CertStored { .. }
        | Phase::Registering { .. }
        | Phase::Verifying { .. }
        | Phase::Staged { .. }
            if !is_complete =>
        {
            if has_key {
                Phase::Requested
            } else {
                Phase::MakingKey
            }
        }
        as_it_is => as_it_is.clone(),
    };
}
