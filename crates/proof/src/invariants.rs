//! What must hold, each by its name: I1 to I6 of `fleetkey-lifecycle`, and bounds.
//!
//! Judged on what the disk would hold after a crash of this moment ([`Image`]) and on the registry; never on what
//! the machine says of itself. Not here: what must come about when faults end ([`crate::world`]).

use std::time::Duration;

use fleetkey_lifecycle::config::Verdict;
use fleetkey_lifecycle::record::{Authority, Phase};
use fleetkey_lifecycle::{Machine, Notice, Record, SlotId};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;

use crate::cloud::Cloud;
use crate::device::{Facts, Home, Ship};
use crate::disk::Crash;
use crate::env::Env;
use crate::image::Image;
use crate::watch::Watch;

/// The largest record in bytes.
const MAX_RECORD: usize = 4096;
/// More slots than this are a leak: the committed, its predecessor, a candidate, and as many as may be doomed.
const MOST_SLOTS: usize = 24;

/// I1: one of `identities`, which a crash of this moment would leave, is accepted by the broker and was not asked
/// to be retired. What an operator killed counts as accepted: no device can help that.
pub fn i1_an_accepted_identity_survives(
    crash: Crash,
    identities: &[CertificateId],
    cloud: &Cloud,
    home: &Home,
    watch: &mut Watch,
) {
    let rightful =
        |id: &CertificateId| cloud.is_rightful(id, &home.thing) && !is_asked_to_be_retired(id, cloud, watch);
    if !identities.iter().any(rightful) {
        let shown: Vec<String> = identities.iter().map(|id| cloud.describe(id)).collect();
        watch.fail("I1", || format!("a crash ({crash}) would leave no accepted identity, only {shown:?}"));
    }
}

/// Whether the device has asked for what is older than one of its identities to be retired, and this is.
fn is_asked_to_be_retired(id: &CertificateId, cloud: &Cloud, watch: &Watch) -> bool {
    let created = |id: &CertificateId| cloud.registry.certificate(id).map(|record| record.created_at);
    watch.retired_by.iter().any(|by| created(by) > created(id))
}

/// I2 before CreateCertificateFromCsr: the key is durable in the slot that the durable record names.
pub fn i2_certificate_asked_for(
    slot: SlotId,
    authority: Authority,
    home: &Home,
    now: Timestamp,
    watch: &mut Watch,
) {
    let image = Image::after(&home.disk, Crash::LoseAll);
    let recognised = phase_of(&image, slot).is_some_and(|phase| matches!(phase, Phase::Requested));
    if !recognised || !image.keys.contains(&slot) {
        watch
            .fail("I2", || format!("a certificate is asked for slot {slot}, which a restart would not know"));
    }
    if authority == Authority::Recovery {
        watch.recoveries.push(now);
    }
}

/// I2 before RegisterThing: key and certificate are durable in the slot that the durable record names.
pub fn i2_registration_asked_for(slot: SlotId, home: &Home, watch: &mut Watch) {
    let image = Image::after(&home.disk, Crash::LoseAll);
    let recognised = phase_of(&image, slot).is_some_and(|phase| matches!(phase, Phase::Registering { .. }));
    if !recognised || image.certificate(slot).is_none() {
        watch.fail("I2", || format!("slot {slot} is registered, and a restart would not know"));
    }
}

fn phase_of(image: &Image, slot: SlotId) -> Option<&Phase> {
    let rotation = image.record.as_ref()?.rotation.as_ref()?;
    (rotation.slot == slot).then_some(&rotation.phase)
}

/// I3: a rotation is given up only after a refusal of the request itself, or a differential verdict.
pub fn i3_given_up_for_a_reason(facts: &Facts, verdict: Verdict, why: &str, watch: &mut Watch) {
    // A clock that jumped back makes the time count from there.
    let (first, last) = (facts.refusals.iter().min(), facts.refusals.last());
    let span = last.zip(first).map_or(Duration::ZERO, |(last, first)| last.since(*first));
    let judged = facts.refusals.len() >= verdict.refusals as usize && span >= verdict.over;
    // A rotation that hangs on an identity which is refused makes room for recovery.
    let stranded = facts.current_refused >= verdict.refusals;
    if facts.grounds.is_none() && !facts.reconsidered && !judged && !stranded {
        watch.fail("I3", || format!("a rotation was given up without a refusal: {why}"));
    }
}

/// I4: the live session moves only to a committed identity that is durable.
pub fn i4_traffic_only_with_a_durable_slot(slot: SlotId, home: &Home, watch: &mut Watch) {
    let image = Image::after(&home.disk, Crash::LoseAll);
    let committed = image.record.as_ref().and_then(|record| record.current) == Some(slot);
    let without_record = image.record.is_none();
    if image.certificate(slot).is_none() || !(committed || without_record) {
        watch.fail("I4", || format!("traffic on slot {slot}, which a crash would lose"));
    }
}

/// I4: what is older is asked to be retired only on a connection with the durably committed identity.
pub fn i4_retire_only_after_a_durable_commit(
    target: Option<(SlotId, CertificateId)>,
    home: &Home,
    watch: &mut Watch,
) {
    let image = Image::after(&home.disk, Crash::LoseAll);
    if image.current().is_none() || image.current() != target.map(|(_, certificate)| certificate) {
        watch.fail("I4", || {
            format!("retirement is asked for on {target:?}, durable is {:?}", image.current())
        });
    }
}

/// I5: who the device is after a start follows from what the disk holds.
pub fn i5_identity_at_start(machine: &Machine, home: &Home, watch: &mut Watch) {
    let image = Image::of(&home.disk);
    let current = machine.record().current;
    let as_found = match &image.record {
        Some(record) => current == record.current,
        None => current.is_none_or(|slot| image.certificate(slot).is_some()),
    };
    if !as_found {
        watch.fail("I5", || format!("started as slot {current:?}, the disk says {:?}", image.record));
    }
}

/// I5 and I6 and the bounds, after everything that changed the disk or the registry.
pub(crate) fn after_every_event(ship: &mut Ship, env: &mut Env, home: &Home) {
    let mut images = vec![(Crash::KeepAll, Image::of(&home.disk))];
    if home.disk.pending() > 0 {
        images.push((Crash::LoseAll, Image::after(&home.disk, Crash::LoseAll)));
    }
    for (crash, image) in &images {
        i6_memory_follows_the_disk(&ship.facts, image, *crash, &mut env.watch);
    }
    let record = ship.machine().record().clone();
    i5_current_changes_by_a_commit(&mut ship.facts, &record, &mut env.watch);
    bounds(&record, images.last().map_or(0, |(_, image)| image.slots), &mut env.watch);
    if let Some(what) = home.disk.violations().into_iter().next() {
        env.watch.fail("write primitive", || what);
    }
}

/// I6: what the disk would read back is what the machine was told is durable, or what it tried to write since.
fn i6_memory_follows_the_disk(facts: &Facts, image: &Image, crash: Crash, watch: &mut Watch) {
    if !facts.on_disk.contains(&image.record) {
        watch.fail("I6", || format!("after a crash ({crash}) the disk would say {:?}", image.record));
    }
}

/// I5: `current` changes only to a slot that has passed a verification in this process.
fn i5_current_changes_by_a_commit(facts: &mut Facts, record: &Record, watch: &mut Watch) {
    let before = facts.current.replace(record.current);
    let changed = before.is_some_and(|before| before != record.current);
    if changed && !record.current.is_some_and(|slot| facts.verified.contains(&slot)) {
        watch.fail("I5", || format!("current went from {before:?} to {:?} without proof", record.current));
    }
}

fn bounds(record: &Record, slots: usize, watch: &mut Watch) {
    let length = serde_json::to_string(record).map_or(usize::MAX, |text| text.len());
    if length > MAX_RECORD {
        watch.fail("bounds", || format!("the record has {length} bytes"));
    }
    if slots > MOST_SLOTS {
        watch.fail("bounds", || format!("{slots} slots are on the disk"));
    }
}

/// No key and no token in what people are told.
pub fn secrets_stay_secret(notice: &Notice, cloud: &Cloud, watch: &mut Watch) {
    let text = format!("{notice:?}");
    if text.contains("PRIVATE KEY") || cloud.tokens().any(|token| text.contains(&token)) {
        watch.fail("secrets", || "a notice holds a secret".into());
    }
}
