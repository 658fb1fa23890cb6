//! A disk that cannot be read, and slots that do not match: neither costs a key.

use fleetkey_proof::disk::{Errno, Fault, Op, SimDisk};

use super::operations::{ONE, TWO, complete, record};
use super::state::{State, open, root};

/// A disk with all there is: two slots, a record, an export.
fn lived_in() -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    complete(&store, ONE);
    complete(&store, TWO);
    store.write_record(&record(ONE)).unwrap();
    store.export(ONE).unwrap();
    disk
}

#[test]
fn a_disk_that_cannot_be_read_is_an_error_and_no_verdict_on_a_slot() {
    let before = State::of(&lived_in());
    for (op, at_least) in [(Op::Read, 8), (Op::List, 4)] {
        let mut calls = 0;
        loop {
            let disk = lived_in();
            disk.fail(Fault::once(calls, Errno::Io).of(op));
            let read = open(&disk).and_then(|store| store.scan());
            if !disk.faults().is_empty() {
                break;
            }
            assert_eq!(State::of(&disk), before, "{op} {calls}");
            // The ballast is no identity: one that does not read is made anew.
            if let Ok(scan) = read {
                assert_eq!((scan.slots, scan.aside), (before.slots.clone(), vec![]), "{op} {calls}");
            }
            calls += 1;
        }
        assert!(calls >= at_least, "{calls} calls of {op}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_not_taken_for_a_lost_one() {
    let disk = lived_in();
    let store = open(&disk).unwrap();
    disk.fail(Fault::once(0, Errno::Io).of(Op::Read));
    assert!(store.read_record().is_err());
    assert_eq!(store.read_record().unwrap(), Some(record(ONE)));
}

#[test]
fn a_slot_that_does_not_match_is_put_aside_whole_wherever_the_power_goes() {
    let mismatched = || {
        let disk = lived_in();
        let other = disk.peek(&root().join("slots/2/key.pem")).unwrap();
        disk.plant(&root().join("slots/1/key.pem"), &other);
        disk
    };
    let files = |disk: &SimDisk| {
        let paths = disk.paths().into_iter();
        let slots = paths.filter(|path| path.starts_with(root().join("slots")));
        let mut files: Vec<Vec<u8>> = slots.filter_map(|path| disk.peek(&path)).collect();
        files.sort();
        files
    };
    let all = files(&mismatched());
    for call in 0..8 {
        let disk = mismatched();
        let store = open(&disk).unwrap();
        disk.cut_power(call);
        let _ = store.scan();
        for crash in disk.crashes() {
            let after = disk.clone();
            after.crash(crash);
            assert_eq!(files(&after), all, "cut at {call}, {crash}");
            let slots = State::of(&after).slots;
            assert_eq!(slots.iter().map(|slot| slot.id).collect::<Vec<_>>(), [TWO], "cut at {call}, {crash}");
        }
    }
}
