//! A disk that fills up by itself, block by block: nothing is torn, and what must not be lost finds room.

use fleetkey_agent::store::{FaultKind, Store, StoreFault};
use fleetkey_lifecycle::SlotId;
use fleetkey_proof::disk::{Crash, SimDisk};

use super::operations::{NOW, ONE, TWO, complete, issued, record};
use super::state::{State, open};

const BLOCK: u64 = 4096;

fn prepared() -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    complete(&store, ONE);
    store.write_record(&record(ONE)).unwrap();
    store.export(ONE).unwrap();
    store.make_key(TWO).unwrap();
    disk
}

/// Runs `act` with room for so many blocks; gives its outcome and the disk after a crash.
fn with_room(
    blocks: u64,
    act: impl Fn(&Store) -> Result<(), StoreFault>,
) -> (Result<(), StoreFault>, SimDisk) {
    let disk = prepared();
    let store = open(&disk).unwrap();
    disk.set_capacity(Some(disk.used() + blocks * BLOCK));
    let done = act(&store);
    assert_eq!(disk.violations(), Vec::<String>::new());
    disk.crash(Crash::LoseAll);
    (done, disk)
}

fn is_full(done: &Result<(), StoreFault>) -> bool {
    done.as_ref().is_err_and(|fault| fault.kind == FaultKind::Full)
}

#[test]
fn a_record_and_an_issued_certificate_find_room_on_a_full_disk() {
    for blocks in 0..6 {
        let (done, disk) = with_room(blocks, |store| store.write_record(&record(TWO)));
        assert_eq!((done, State::of(&disk).record), (Ok(()), Ok(Some(record(TWO)))), "{blocks} blocks");
        let store_it = |store: &Store| store.store_certificate(TWO, &issued(store, TWO, 0)?, NOW).map(|_| ());
        let (done, disk) = with_room(blocks, store_it);
        assert_eq!(done, Ok(()), "{blocks} blocks");
        assert!(State::of(&disk).slots[1].is_complete());
    }
}

#[test]
fn a_rotation_that_passed_its_preflight_fits_to_the_end() {
    let rotation = |store: &Store| {
        store.preflight()?;
        store.make_key(TWO)?;
        store.store_certificate(TWO, &issued(store, TWO, 0)?, NOW)?;
        store.write_record(&record(TWO))?;
        store.export(TWO).map(drop)
    };
    let mut began = 0;
    for blocks in 0..40 {
        let (done, disk) = with_room(blocks, rotation);
        let record_found = State::of(&disk).record;
        match done {
            Ok(()) => began += 1,
            Err(fault) => {
                assert_eq!((fault.kind, began), (FaultKind::Full, 0), "{blocks} blocks: {fault}");
                assert_eq!(record_found, Ok(Some(record(ONE))), "refused before it began");
            }
        }
    }
    assert!(began > 0);
}

#[test]
fn a_key_or_an_export_that_finds_no_room_leaves_what_was_there() {
    let before = State::of(&prepared());
    let unchanged = |(done, disk): (Result<(), StoreFault>, SimDisk)| {
        assert!(is_full(&done), "{done:?}");
        assert_eq!(State::of(&disk), before);
    };
    unchanged(with_room(0, |store| store.make_key(SlotId(3)).map(|_| ())));
    unchanged(with_room(0, |store| store.preflight()));
}
