//! Controls: the harness catches what is known to lose devices, each with a schedule that can be run again.
//!
//! In a fair trial a control makes durable all that it writes, so that what is caught is its algorithm and not a missing
//! fsync; without that, as the originals are written, it is caught once more.

use fleetkey_proof::controls::{BackupFile, Caught, Demo, Staged, catches, fairly};
use fleetkey_proof::watch::Violation;
use fleetkey_proof::world::World;

/// The schedule of a control that was caught where its fault struck at this call, and what it breaks.
fn at_call<'a>(caught: &'a [Caught], fault: &str, call: &str) -> Option<(&'a Caught, &'a Violation)> {
    let struck = |caught: &&Caught| caught.strike.contains(fault) && caught.strike.ends_with(call);
    let found = caught.iter().find(struck)?;
    Some((found, found.found.outcome.violation.as_ref()?))
}

fn gets_through_in_peace(caught: &[Caught]) -> bool {
    caught.iter().all(|caught| !caught.found.schedule.faults.is_empty())
}

#[test]
fn the_demo_is_caught_between_its_two_renames_and_between_revocation_and_first_connection() {
    let caught = catches::<Demo>(fairly).unwrap();
    let (torn, broken) = at_call(&caught, "cut=lose", "Disk(Rename) /state/device.key.pem").unwrap();
    println!("{}\n  {}", torn.found, torn.strike.trim());
    assert_eq!(broken.invariant, "I1");
    let (revoked, broken) = at_call(&caught, "cut=lose", "Connect").unwrap();
    println!("{}\n  {}", revoked.found, revoked.strike.trim());
    assert_eq!(broken.invariant, "I1");
    assert!(broken.what.contains("ACTIVE"), "the new one was never accepted: {}", broken.what);
    assert!(gets_through_in_peace(&caught));
}

#[test]
fn the_backup_file_algorithm_copies_an_empty_backup_over_the_only_key() {
    let caught = catches::<BackupFile>(fairly).unwrap();
    let (emptied, broken) = at_call(&caught, "cut=keep", "Disk(Write) /state/device.key.pem.bak").unwrap();
    println!("{}\n  {}", emptied.found, emptied.strike.trim());
    assert_eq!(broken.invariant, "I1");
    assert!(gets_through_in_peace(&caught));
}

#[test]
fn without_a_sync_both_lose_the_device_to_a_power_cut_at_the_end_as_well() {
    let cuts = |caught: Vec<Caught>| caught.iter().filter(|one| one.strike.contains("cut=lose")).count();
    let demo = catches::<Demo>(|world| world.env.patient = true).unwrap();
    assert!(cuts(demo) > cuts(catches::<Demo>(fairly).unwrap()));
    let backup_file = catches::<BackupFile>(|world| world.env.patient = true).unwrap();
    assert!(cuts(backup_file) > cuts(catches::<BackupFile>(fairly).unwrap()));
}

#[test]
fn retiring_on_presence_is_caught_without_any_fault_and_retiring_on_the_attested_commit_is_not() {
    let hasty = |world: &mut World<Staged>| world.env.cloud.retires_on_presence = true;
    let caught = catches::<Staged>(hasty).unwrap();
    let first = caught.first().expect("the verifying connection comes before the commit");
    println!("{}", first.found);
    assert!(first.found.schedule.faults.is_empty(), "{}", first.found);
    assert_eq!(first.found.outcome.violation.as_ref().unwrap().invariant, "I1");
    let patient: Vec<String> =
        catches::<Staged>(|_| {}).unwrap().iter().map(|caught| caught.found.to_string()).collect();
    assert_eq!(patient, Vec::<String>::new());
}
