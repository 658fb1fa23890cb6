//! What must hold, each by its name: I1 to I6 of `fleetkey-lifecycle`, and bounds.
//!
//! Judged on what the disk would hold after a crash of this moment ([`Image`]) and on the registry; never on what
//! the machine says of itself. Not here: what must come about when faults end ([`crate::world`]).

use std::time::Duration;

use fleetkey_lifecycle::config::Verdict;
use fleetkey_lifecycle::record::Phase;
use fleetkey_lifecycle::{Config, Machine, Notice, Record, SlotId};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;

use crate::cloud::Cloud;
use crate::device::{Facts, Home, Ship};
use crate::disk::{Crash, Side};
use crate::env::Env;
use crate::image::Image;
use crate::watch::Watch;

/// The largest record in bytes.
const MAX_RECORD: usize = 4096;
/// More slots than this are a leak: the committed, its predecessor, a candidate, and as many as may be doomed.
const MOST_SLOTS: usize = 24;

/// So often the disk must have failed before a key is given up.
const MANY_MISREAD: u32 = 8;

/// I1: one of `identities`, which a crash of this moment would leave, is one of those that the `account` says would do.
pub fn i1_an_accepted_identity_survives(
    crash: Crash,
    identities: &[CertificateId],
    account: &[CertificateId],
    cloud: &Cloud,
    watch: &mut Watch,
) {
    if !identities.iter().any(|id| account.contains(id)) {
        let shown: Vec<String> = identities.iter().map(|id| cloud.describe(id)).collect();
        watch.fail("I1", || format!("a crash ({crash}) would leave no accepted identity, only {shown:?}"));
    }
}

/// What a crash of this moment would leave: if it loses all that was not synced, and if it loses nothing.
fn images(home: &Home) -> impl Iterator<Item = (Crash, Image)> {
    let both = [(Crash::LoseAll, Side::Durable), (Crash::KeepAll, Side::Seen)];
    let different = if home.disk.pending() == 0 { 1 } else { 2 };
    both.into_iter().take(different).map(|(crash, side)| (crash, Image::of(&home.disk.view(side))))
}

/// I2 before CreateCertificateFromCsr: the key is durable in the slot that the record names, whatever a crash keeps.
pub fn i2_certificate_asked_for(slot: SlotId, home: &Home, watch: &mut Watch) {
    for (crash, image) in images(home) {
        // A write that failed at its last step may be kept all the same: then the disk is ahead, never behind.
        let recognised = phase_of(&image, slot).is_some_and(|phase| match crash {
            Crash::LoseAll => matches!(phase, Phase::Requested),
            _ => !matches!(phase, Phase::MakingKey | Phase::KeyReady),
        });
        if !recognised || !image.keys.contains(&slot) {
            watch.fail("I2", || {
                format!("a certificate is asked for slot {slot}, which a restart ({crash}) would not know")
            });
        }
    }
}

/// I2 before RegisterThing: key and certificate are durable in the slot that the record names, whatever a crash keeps.
pub fn i2_registration_asked_for(slot: SlotId, home: &Home, watch: &mut Watch) {
    for (crash, image) in images(home) {
        let recognised = phase_of(&image, slot).is_some_and(|phase| match crash {
            Crash::LoseAll => matches!(phase, Phase::Registering { .. }),
            _ => phase.may_be_registered(),
        });
        if !recognised || image.certificate(slot).is_none() {
            watch.fail("I2", || format!("slot {slot} is registered, and a restart ({crash}) would not know"));
        }
    }
}

/// A recovery begins: it was decided on a day after the last one, unless somebody set the clock or the disk forgot.
pub fn recoveries_are_a_day_apart(device: usize, decided: Timestamp, spacing: Duration, watch: &mut Watch) {
    let before = watch.recoveries.insert(device, decided);
    let excused = watch.clock_sets > 0 || watch.damaged;
    if let Some(before) = before.filter(|before| !excused && decided.since(*before) < spacing) {
        watch.fail("bounds", || format!("a recovery after {:?}", decided.since(before)));
    }
}

/// So many recoveries as days have passed, and one more for each start, each time that somebody set the clock and each
/// time that the disk forgot: each of them may hide when the last one was.
pub fn recoveries_are_few(device: usize, now: Timestamp, spacing: Duration, watch: &mut Watch) {
    let began = *watch.began.get_or_insert(now);
    let begun = watch.recovered.entry(device).or_default();
    *begun += 1;
    let days = now.since(began).as_millis() / spacing.as_millis().max(1);
    let starts = watch.starts.get(&device).copied().unwrap_or_default();
    let most = 1 + days + u128::from(starts) + u128::from(watch.clock_sets) + u128::from(watch.damages);
    let begun = *begun;
    if u128::from(begun) > most {
        watch.fail("bounds", || format!("{begun} recoveries in {days} days"));
    }
}

fn phase_of(image: &Image, slot: SlotId) -> Option<&Phase> {
    let rotation = image.record.as_ref()?.rotation.as_ref()?;
    (rotation.slot == slot).then_some(&rotation.phase)
}

/// I3: a rotation is given up only after a refusal of the request itself, a differential verdict, or the order of
/// whoever had it staged. Judged by what the device is about to make durable, not by what it says: a rotation that is
/// gone while it was not committed.
pub fn i3_given_up_for_a_reason(facts: &Facts, after: &Record, config: &Config, watch: &mut Watch) {
    let Some(before) = &facts.confirmed else { return };
    let Some(rotation) = &before.rotation else { return };
    let goes_on = after.rotation.as_ref().is_some_and(|other| other.slot == rotation.slot);
    if goes_on || after.current == Some(rotation.slot) {
        return;
    }
    let judged = is_enough(&facts.refusals, config.verdict);
    // A rotation that hangs on an identity which is refused, as all others are, makes room for recovery.
    let stranded = facts.unreadable || is_enough(&facts.nothing_accepted, config.verdict);
    // What the disk does not give is of no use to anybody.
    let misread = facts.no_key >= MANY_MISREAD || is_enough(&facts.misread, config.verdict);
    // And it ends with the identity that asked for it, when another one takes over.
    let fell_back = after.current != before.current && is_enough(&facts.current_refused, config.fall_back());
    let excused = facts.reconsidered || facts.given_back || misread;
    if facts.grounds.is_none() && !excused && !judged && !stranded && !fell_back {
        watch.fail("I3", || format!("{:?} was given up without a refusal", rotation.reason));
    }
}

/// Whether these refusals are as many, over as long, as a verdict takes: by steps from one to the next, none of which
/// counts for more than half of it, nor for less than nothing when a clock jumped back.
fn is_enough(refusals: &[Timestamp], verdict: Verdict) -> bool {
    let steps = refusals.iter().zip(refusals.iter().skip(1));
    let span: Duration = steps.map(|(one, next)| next.since(*one).min(verdict.over / 2)).sum();
    refusals.len() >= verdict.refusals as usize && span >= verdict.over
}

/// I4: traffic runs only on an identity that no crash can take: the live session moves to one that is committed, a
/// verification by takeover to a candidate that is at least durable.
pub fn i4_traffic_only_with_a_durable_slot(
    slot: SlotId,
    committed: bool,
    home: &Home,
    facts: &Facts,
    watch: &mut Watch,
) {
    // A session that goes on from memory may come back with what the disk has lost; moving to it reads it first.
    if watch.damaged && !committed {
        return;
    }
    for (crash, image) in images(home) {
        let is_current = image.record.as_ref().is_none_or(|record| match crash {
            Crash::LoseAll if facts.on_disk.len() == 1 => record.current == Some(slot),
            // A commit whose write failed at its last step may be kept: what serves until then is its predecessor.
            _ => record.refers_to(slot),
        });
        if image.certificate(slot).is_none() || (committed && !is_current) {
            watch.fail("I4", || format!("traffic on slot {slot}, which a crash ({crash}) would lose"));
        }
    }
}

/// I4: what is older is asked to be retired only on a connection with the durably committed identity.
pub fn i4_retire_only_after_a_durable_commit(
    target: Option<(SlotId, CertificateId)>,
    home: &Home,
    watch: &mut Watch,
) {
    for (crash, image) in images(home) {
        if image.current().is_none() || image.current() != target.map(|(_, certificate)| certificate) {
            let current = image.current();
            watch.fail("I4", || {
                format!("retirement on {target:?}, after a crash ({crash}) it is {current:?}")
            });
        }
    }
}

/// I4: what the device takes for retired was taken out of use. Of two certificates of one second neither is the older to
/// the controller: the registry tells no more of their age.
pub fn i4_retired_is_out_of_use(
    before: &CertificateId,
    current: Option<&CertificateId>,
    cloud: &Cloud,
    watch: &mut Watch,
) {
    let is_older = current.is_none_or(|current| cloud.created_in(before) != cloud.created_in(current));
    if cloud.is_active(before) && !cloud.was_out_of_use(before) && is_older {
        watch.fail("I4", || format!("taken for retired: {}", cloud.describe(before)));
    }
}

/// I5: who the device is after a start follows from what the disk holds.
pub fn i5_identity_at_start(machine: &Machine, home: &Home, watch: &mut Watch) {
    let image = Image::of(&home.disk.view(Side::Seen));
    let record = machine.record();
    let as_found = match &image.record {
        Some(found) => {
            // What is taken up from the disk may be mended, and never moved.
            (record.current, record.previous, &record.aftermath, &record.doomed, record.failures)
                == (found.current, found.previous, &found.aftermath, &found.doomed, found.failures)
                && record.rotation.as_ref().map(|rotation| rotation.slot)
                    == found.rotation.as_ref().map(|rotation| rotation.slot)
        }
        None => record.current.is_none_or(|slot| image.certificate(slot).is_some()),
    };
    if !as_found {
        watch.fail("I5", || format!("started as {record:?}, the disk says {:?}", image.record));
    }
}

/// I5 and I6 and the bounds, after everything that changed the disk or the registry.
pub(crate) fn after_every_event(ship: &mut Ship, env: &mut Env, home: &Home) {
    let mut slots = 0;
    for (crash, image) in images(home) {
        slots = slots.max(image.slots);
        i6_the_disk_is_where_memory_thinks(&ship.facts, &image, crash, &mut env.watch);
    }
    i6_memory_is_what_was_confirmed(ship, &mut env.watch);
    let current = ship.machine().record().current;
    i5_current_changes_by_a_commit(&mut ship.facts, current, &mut env.watch);
    if slots > MOST_SLOTS {
        env.watch.fail("bounds", || format!("{slots} slots are on the disk"));
    }
    if let Some(what) = home.disk.violations().into_iter().next() {
        env.watch.fail("write primitive", || what);
    }
}

/// I6: what the disk would read back is what the machine was told is durable, or what it tried to write since.
fn i6_the_disk_is_where_memory_thinks(facts: &Facts, image: &Image, crash: Crash, watch: &mut Watch) {
    if !facts.on_disk.contains(&image.record) {
        watch.fail("I6", || format!("after a crash ({crash}) the disk would say {:?}", image.record));
    }
}

/// I6: the machine decides by the record that was confirmed durable last, or found at its start, and by no other.
fn i6_memory_is_what_was_confirmed(ship: &Ship, watch: &mut Watch) {
    if ship.facts.confirmed.as_ref() != Some(ship.machine().record()) {
        let record = ship.machine().record();
        watch.fail("I6", || format!("in memory {record:?}, confirmed {:?}", ship.facts.confirmed));
    }
}

/// I5: `current` changes only to a slot that has passed a verification in this process.
fn i5_current_changes_by_a_commit(facts: &mut Facts, current: Option<SlotId>, watch: &mut Watch) {
    let before = facts.current.replace(current);
    let changed = before.is_some_and(|before| before != current);
    if changed && !current.is_some_and(|slot| facts.verified.contains(&slot)) {
        watch.fail("I5", || format!("current went from {before:?} to {current:?} without proof"));
    }
}

/// What is about to be written fits in its file.
pub fn the_record_is_small(record: &Record, watch: &mut Watch) {
    let length = serde_json::to_string(record).map_or(usize::MAX, |text| text.len());
    if length > MAX_RECORD {
        watch.fail("bounds", || format!("the record has {length} bytes"));
    }
}

/// No key and no token in what people are told.
pub fn secrets_stay_secret(notice: &Notice, cloud: &Cloud, watch: &mut Watch) {
    let text = format!("{notice:?}");
    if text.contains("PRIVATE KEY") || cloud.tokens().iter().any(|token| text.contains(token)) {
        watch.fail("secrets", || "a notice holds a secret".into());
    }
}
