//! Controls: the harness catches what is known to lose devices, each with a schedule that can be run again.

use fleetkey_proof::controls::{BackupFile, Demo, Staged, catch};

#[test]
fn the_demos_algorithm_is_caught() {
    let found = catch::<Demo>(|_| {}).unwrap().expect("two renames and a revocation lose a device");
    println!("demo: {found}");
    assert_eq!(found.outcome.violation.unwrap().invariant, "I1");
}

#[test]
fn the_backup_file_algorithm_is_caught() {
    let found = catch::<BackupFile>(|_| {}).unwrap().expect("a backup that exists need not be whole");
    println!("backup-file: {found}");
    assert_eq!(found.outcome.violation.unwrap().invariant, "I1");
}

#[test]
fn retiring_on_presence_is_caught_and_retiring_on_the_attested_commit_is_not() {
    let hasty = catch::<Staged>(|world| world.env.cloud.retires_on_presence = true).unwrap();
    let found = hasty.expect("the verifying connection comes before the commit");
    println!("retire-on-presence: {found}");
    assert_eq!(found.outcome.violation.unwrap().invariant, "I1");
    let patient = catch::<Staged>(|_| {}).unwrap();
    assert_eq!(patient.map(|found| found.to_string()), None);
}
