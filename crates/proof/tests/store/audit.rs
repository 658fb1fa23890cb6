//! The audit log: whatever happens to the disk, the chain holds after the next start and no entry that was
//! acknowledged is missing from it.

use std::sync::Arc;

use fleetkey_agent::store::{AuditEntries, AuditEntry, AuditLog, StoreFault, read_entries};
use fleetkey_proof::disk::{Errno, Fault, SimDisk};
use serde_json::{Value, json};

use super::operations::NOW;
use super::state::{open, root};

fn log(disk: &SimDisk) -> AuditLog {
    open(disk).unwrap();
    AuditLog::new(Arc::new(disk.share()), root())
}

fn enter(log: &mut AuditLog, event: Value) -> Result<(), StoreFault> {
    log.append(&AuditEntry { at: NOW, id: None, event })
}

fn entries(disk: &SimDisk) -> AuditEntries {
    read_entries(disk, root()).unwrap()
}

fn has(entries: &AuditEntries, event: &str) -> bool {
    entries.lines.iter().any(|line| line.contains(&format!("\"{event}\"")))
}

/// After a start and one more entry: an unbroken chain that begins as before and holds what it must.
fn check(disk: &SimDisk, before: &AuditEntries, acknowledged: bool, told: &str) {
    enter(&mut log(disk), json!("next")).unwrap();
    let found = entries(disk);
    assert_eq!((&found.breaks, found.torn), (&vec![], false), "{told}");
    assert_eq!(found.lines.get(..before.lines.len()), Some(&before.lines[..]), "{told}");
    assert!(has(&found, "next") && (has(&found, "entry") || !acknowledged), "{told}");
}

/// Enters one event on copies of `disk`, each cut off or refused at another call.
fn explore(disk: &SimDisk) {
    disk.settle();
    let before = entries(disk);
    let count = {
        let copy = disk.clone();
        let mut log = log(&copy);
        let begun = copy.changes();
        enter(&mut log, json!("entry")).unwrap();
        copy.changes() - begun
    };
    for call in 0..=count {
        let copy = disk.clone();
        let mut log = log(&copy);
        copy.cut_power(call);
        let done = enter(&mut log, json!("entry"));
        for crash in copy.crashes() {
            let after = copy.clone();
            after.crash(crash);
            check(&after, &before, done.is_ok(), &format!("cut at {call}, {crash}"));
        }
    }
    for call in 0..count {
        for errno in [Errno::NoSpace, Errno::ReadOnly, Errno::Io] {
            refuse(disk, &before, Fault::once(call, errno));
            refuse(disk, &before, Fault::lasting(call, errno));
        }
    }
}

fn refuse(disk: &SimDisk, before: &AuditEntries, fault: Fault) {
    let copy = disk.clone();
    let mut log = log(&copy);
    copy.fail(fault);
    let done = enter(&mut log, json!("entry"));
    for crash in copy.crashes() {
        let after = copy.clone();
        after.crash(crash);
        after.lift();
        check(&after, before, done.is_ok(), &format!("{fault}, then {crash}"));
    }
    copy.lift();
    enter(&mut log, json!("later")).unwrap();
    let found = entries(&copy);
    assert_eq!((&found.breaks, found.torn), (&vec![], false), "{fault}");
    assert!(has(&found, "later") && (done.is_ok() || has(&found, "audit_lost")), "{fault}: {found:?}");
    for crash in copy.crashes() {
        let after = copy.clone();
        after.crash(crash);
        assert!(has(&entries(&after), "later"), "{fault}, entered again, then {crash}");
    }
    assert_eq!(copy.violations(), Vec::<String>::new(), "{fault}");
}

#[test]
fn the_first_entry_begins_a_chain_or_none() {
    explore(&SimDisk::new());
}

#[test]
fn an_entry_is_added_whole_or_cut_off_and_those_before_it_stay() {
    let disk = SimDisk::new();
    let mut log = log(&disk);
    enter(&mut log, json!("first")).unwrap();
    enter(&mut log, json!("second")).unwrap();
    explore(&disk);
}

#[test]
fn a_log_that_is_full_goes_on_in_another_file_without_a_break() {
    let disk = SimDisk::new();
    let mut log = log(&disk);
    let long = || vec!["x".repeat(512); 32];
    for number in 0..63 {
        enter(&mut log, json!([number, long()])).unwrap();
    }
    while disk.peek(&root().join("audit.log")).unwrap().len() < 1024 * 1024 {
        enter(&mut log, json!([disk.changes(), "filler"])).unwrap();
    }
    explore(&disk);
    enter(&mut log, json!("rolled")).unwrap();
    assert!(disk.peek(&root().join("audit.1.log")).is_some());
}
