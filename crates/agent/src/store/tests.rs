//! What the store promises, on a real directory whose calls are recorded and can be made to fail.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use fleetkey_lifecycle::{Record, SlotId};
use fleetkey_model::time::Timestamp;

use super::testing::{Disk, Unplugged, issued, issued_for, store};
use super::*;
use crate::keys::{Fingerprint, P256Keys};

const SLOT: SlotId = SlotId(1);
const NOW: Timestamp = Timestamp::from_secs(1000);

fn complete(store: &Store, slot: SlotId) {
    store.make_key(slot).unwrap();
    store.store_certificate(slot, &issued(store, slot), NOW).unwrap();
}

#[test]
fn a_file_is_written_synced_renamed_and_its_directory_synced_in_this_order() {
    let disk = Disk::new();
    let store = store(&disk);
    store.write_record(&Record::fresh(NOW)).unwrap();
    assert_eq!(
        disk.calls(),
        [
            "create 600 .tmp-state.json-*",
            "write .tmp-state.json-*",
            "fsync .tmp-state.json-*",
            "rename state.json",
            "fsync .",
        ]
    );
}

#[test]
fn a_key_is_durable_before_its_request_is_made_and_nobody_else_can_read_it() {
    let disk = Disk::new();
    let store = store(&disk);
    store.make_key(SLOT).unwrap();
    let calls = disk.calls();
    let position = |call: &str| calls.iter().position(|made| made == call).unwrap();
    assert!(position("create 600 slots/1/.tmp-key.pem-*") > position("fsync slots"));
    assert!(position("rename slots/1/key.pem") < position("create 644 slots/1/.tmp-csr.pem-*"));
    let between = &calls[position("rename slots/1/key.pem")..position("create 644 slots/1/.tmp-csr.pem-*")];
    assert!(between.contains(&"fsync slots/1".to_owned()), "{calls:?}");
    let mode = std::fs::metadata(disk.root().join("slots/1/key.pem")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn making_a_key_again_keeps_the_key_and_the_request() {
    let disk = Disk::new();
    let store = store(&disk);
    let first = store.make_key(SLOT).unwrap();
    let request = store.signing_request(SLOT).unwrap();
    assert_eq!(store.make_key(SLOT).unwrap(), first);
    assert_eq!(store.signing_request(SLOT).unwrap(), request);
}

#[test]
fn a_slot_tells_what_it_is_by_its_content() {
    let disk = Disk::new();
    let store = store(&disk);
    let spki = store.make_key(SLOT).unwrap();
    complete(&store, SlotId(10));
    let scan = store.scan().unwrap();
    assert_eq!(scan.aside, []);
    let [first, second] = scan.slots.as_slice() else { panic!("{scan:?}") };
    assert_eq!(first.public_key.as_ref(), Some(&spki));
    assert!(first.certificate.is_none() && !first.has_token);
    assert!(second.is_complete() && second.has_token);
    store.drop_token(SlotId(10)).unwrap();
    assert!(!store.scan().unwrap().slots[1].has_token);
}

#[test]
fn a_certificate_for_another_key_is_not_stored() {
    let disk = Disk::new();
    let store = store(&disk);
    store.make_key(SLOT).unwrap();
    let other = P256Keys.public_key(&P256Keys.generate().unwrap()).unwrap();
    disk.calls();
    let fault = store.store_certificate(SLOT, &issued_for(&other), NOW).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Content);
    assert!(!disk.calls().iter().any(|call| call.starts_with("write")));
}

#[test]
fn a_slot_that_does_not_match_is_put_aside_and_never_used_or_deleted() {
    let disk = Disk::new();
    let store = store(&disk);
    complete(&store, SLOT);
    let stranger = P256Keys.generate().unwrap();
    std::fs::write(disk.root().join("slots/1/key.pem"), stranger.expose()).unwrap();
    assert!(store.identity(SLOT).is_err());
    let scan = store.scan().unwrap();
    assert_eq!(scan.slots, []);
    let aside = &scan.aside[0];
    assert!(aside.reason.contains("not for the slot's key"), "{}", aside.reason);
    assert_eq!(std::fs::read_to_string(aside.path.join("key.pem")).unwrap(), stranger.expose());
    assert_eq!(store.scan().unwrap(), Scan::default());
}

#[test]
fn a_torn_key_is_put_aside_and_a_torn_certificate_too() {
    for file in ["key.pem", "cert.json"] {
        let disk = Disk::new();
        let store = store(&disk);
        complete(&store, SLOT);
        std::fs::write(disk.root().join("slots/1").join(file), "-----BEGIN").unwrap();
        assert_eq!(store.scan().unwrap().aside.len(), 1, "{file}");
    }
}

#[test]
fn a_slot_without_its_key_is_the_rest_of_a_destroyed_one() {
    let disk = Disk::new();
    let store = store(&disk);
    complete(&store, SLOT);
    std::fs::remove_file(disk.root().join("slots/1/key.pem")).unwrap();
    let scan = store.scan().unwrap();
    assert_eq!((scan.slots[0].public_key.as_ref(), scan.aside.len()), (None, 0));
    store.destroy(SLOT).unwrap();
    assert_eq!(store.scan().unwrap(), Scan::default());
}

#[test]
fn a_token_of_another_certificate_counts_as_none() {
    let disk = Disk::new();
    let store = store(&disk);
    complete(&store, SLOT);
    let old = std::fs::read(disk.root().join("slots/1/cert.json")).unwrap();
    store.store_certificate(SLOT, &issued(&store, SLOT), NOW).unwrap();
    assert_eq!(store.token(SLOT).unwrap().unwrap().1, NOW);
    std::fs::write(disk.root().join("slots/1/cert.json"), old).unwrap();
    assert!(store.token(SLOT).unwrap().is_none());
    assert!(!store.scan().unwrap().slots[0].has_token);
}

#[test]
fn a_key_that_the_service_made_lands_before_its_certificate() {
    let disk = Disk::new();
    let store = store(&disk);
    store.reserve(SLOT).unwrap();
    let key = P256Keys.generate().unwrap();
    let mut issued = issued_for(&P256Keys.public_key(&key).unwrap());
    issued.private_key = Some(key.clone());
    let facts = store.store_certificate(SLOT, &issued, NOW).unwrap();
    let identity = store.identity(SLOT).unwrap();
    assert_eq!((identity.certificate.id, identity.key), (facts.id, key));
    assert!(store.scan().unwrap().slots[0].is_complete());
}

#[test]
fn the_key_goes_first_when_a_slot_is_destroyed_and_again_is_fine() {
    let disk = Disk::new();
    let store = store(&disk);
    complete(&store, SLOT);
    disk.calls();
    store.destroy(SLOT).unwrap();
    let calls = disk.calls();
    let unnamed = "slots/1/.tmp-key.pem-*";
    let [rename, wipe, remove] = ["rename", "wipe", "remove"].map(|call| format!("{call} {unnamed}"));
    assert_eq!(calls[..4], [rename, "fsync slots/1".into(), wipe, remove]);
    assert_eq!(calls.last().unwrap(), "fsync slots");
    store.destroy(SLOT).unwrap();
}

#[test]
fn what_was_in_a_destroyed_key_is_zeros_on_the_disk() {
    let disk = Disk::new();
    let store = store(&disk);
    complete(&store, SLOT);
    let key = disk.root().join("slots/1/key.pem");
    // Another name for the same blocks shows what becomes of them.
    let kept = disk.root().join("kept");
    std::fs::hard_link(&key, &kept).unwrap();
    let length = std::fs::read(&key).unwrap().len();
    store.destroy(SLOT).unwrap();
    assert_eq!(std::fs::read(&kept).unwrap(), vec![0; length]);
}

#[test]
fn a_key_whose_destruction_was_cut_short_or_cannot_be_overwritten_goes_all_the_same() {
    for (call, kind) in [("remove slots/1/.tmp-key", ErrorKind::Other), ("wipe", ErrorKind::StorageFull)] {
        let disk = Disk::new();
        let store = store(&disk);
        complete(&store, SLOT);
        disk.fail(call, kind);
        let destroyed = store.destroy(SLOT);
        assert_eq!(destroyed.is_err(), call.starts_with("remove"), "{destroyed:?}");
        let reopened = testing::store(&disk);
        assert!(!disk.root().join("slots/1/key.pem").exists());
        assert_eq!(reopened.scan().unwrap().aside, []);
        reopened.destroy(SLOT).unwrap();
        assert_eq!(reopened.scan().unwrap(), Scan::default());
    }
}

#[test]
fn a_slot_that_cannot_be_read_is_told_apart_where_a_record_says_who_the_device_is() {
    let disk = Disk::new();
    let store = store(&disk);
    complete(&store, SLOT);
    complete(&store, SlotId(2));
    // A directory in a file's place reads as EISDIR, which like EIO says nothing of a content.
    let key = disk.root().join("slots/1/key.pem");
    std::fs::remove_file(&key).unwrap();
    std::fs::create_dir(&key).unwrap();
    let scan = store.scan_for(Some(SlotId(2))).unwrap();
    assert_eq!(scan.slots.iter().map(|slot| slot.id).collect::<Vec<_>>(), [SlotId(2)]);
    assert_eq!((scan.aside.len(), scan.unread[0].slot), (0, SLOT));
    assert_eq!(scan.unread[0].path, disk.root().join("slots/1"));
    assert_eq!(store.scan_for(Some(SLOT)).unwrap().unread[0].slot, SLOT, "another may bring the device back");
    assert!(store.scan().is_err(), "without a record it may be who the device is");
}

#[test]
fn a_slot_whose_key_cannot_be_asked_now_is_unread_and_never_put_aside() {
    let disk = Disk::new();
    complete(&store(&disk), SLOT);
    let serial = SerialNumber::new("sensor-1").unwrap();
    let unplugged = Store::open(Arc::new(disk.clone()), Arc::new(Unplugged), disk.root(), serial).unwrap();
    let scan = unplugged.scan_for(Some(SLOT)).unwrap();
    assert_eq!((scan.aside.len(), scan.unread[0].slot), (0, SLOT));
    assert_eq!(unplugged.make_key(SlotId(2)).unwrap_err().kind, FaultKind::Io);
    assert!(store(&disk).scan().unwrap().slots[0].is_complete(), "it is as it was");
}

#[test]
fn a_directory_that_cannot_be_listed_for_leftovers_does_not_keep_the_store_from_opening() {
    let disk = Disk::new();
    complete(&store(&disk), SLOT);
    let left = disk.root().join("slots/1/.tmp-token-x");
    std::fs::write(&left, "").unwrap();
    disk.refuse_list("export.1");
    std::fs::create_dir(disk.root().join("export.1")).unwrap();
    store(&disk);
    assert!(!left.exists(), "what can be removed is");
}

#[test]
fn every_fault_surfaces_with_its_class_and_leaves_the_old_record() {
    let table = [
        ("create", ErrorKind::StorageFull, FaultKind::Full),
        ("write", ErrorKind::QuotaExceeded, FaultKind::Full),
        ("fsync .tmp", ErrorKind::Other, FaultKind::Io),
        ("rename", ErrorKind::ReadOnlyFilesystem, FaultKind::ReadOnly),
    ];
    for (call, error, kind) in table {
        let disk = Disk::new();
        let store = store(&disk);
        store.write_record(&Record::fresh(NOW)).unwrap();
        std::fs::remove_file(disk.root().join("ballast")).unwrap();
        disk.fail(call, error);
        let fault = store.write_record(&Record::fresh(Timestamp::default())).unwrap_err();
        assert_eq!(fault.kind, kind, "{call}");
        assert_eq!(store.read_record().unwrap(), Some(Record::fresh(NOW)));
        store.write_record(&Record::fresh(Timestamp::default())).unwrap();
    }
}

/// The position of the last call of this name.
fn last(calls: &[String], call: &str) -> usize {
    calls.iter().rposition(|made| made == call).unwrap_or_else(|| panic!("no {call} in {calls:?}"))
}

#[test]
fn a_file_whose_fsync_failed_is_never_synced_again() {
    for file in ["key.pem", "csr.pem"] {
        let disk = Disk::new();
        let store = store(&disk);
        disk.fail(&format!("fsync slots/1/.tmp-{file}"), ErrorKind::Other);
        assert_eq!(store.make_key(SLOT).unwrap_err().op, "fsync");
        let left = disk.calls().pop();
        assert_eq!(left, Some(format!("remove slots/1/.tmp-{file}-*")));
        store.make_key(SLOT).unwrap();
        let calls = disk.calls();
        let synced = last(&calls, &format!("fsync slots/1/.tmp-{file}-*"));
        let mode = if file == "key.pem" { 600 } else { 644 };
        assert_eq!(calls[synced - 2], format!("create {mode} slots/1/.tmp-{file}-*"), "a new file");
    }
}

#[test]
fn a_key_whose_directory_could_not_be_synced_is_written_once_more_with_the_same_bytes() {
    for (failing, file) in [(1, "key.pem"), (2, "csr.pem")] {
        let disk = Disk::new();
        let store = store(&disk);
        disk.fail_nth("fsync slots/1", failing, ErrorKind::Other);
        assert_eq!(store.make_key(SLOT).unwrap_err().op, "fsync");
        let path = disk.root().join("slots/1").join(file);
        let before = std::fs::read(&path).expect("it is visible already");
        disk.calls();
        store.make_key(SLOT).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let calls = disk.calls();
        let renamed = last(&calls, &format!("rename slots/1/{file}"));
        assert!(calls[renamed..].contains(&"fsync slots/1".to_owned()), "{calls:?}");
    }
}

#[test]
fn a_directory_whose_parent_could_not_be_synced_is_made_anew() {
    let disk = Disk::new();
    let store = store(&disk);
    disk.fail_nth("fsync slots", 1, ErrorKind::Other);
    assert_eq!(store.make_key(SLOT).unwrap_err().op, "fsync");
    assert!(!disk.root().join("slots/1").exists());
    disk.calls();
    store.make_key(SLOT).unwrap();
    assert_eq!(disk.calls()[..2], ["mkdir slots/1", "fsync slots"]);
}

#[test]
fn an_empty_directory_that_can_neither_be_trusted_nor_made_anew_takes_no_key() {
    let disk = Disk::new();
    let store = store(&disk);
    std::fs::create_dir(disk.root().join("slots/1")).unwrap();
    disk.fail("rmdir slots/1", ErrorKind::Other);
    assert_eq!(store.make_key(SLOT).unwrap_err().op, "remove");
    assert!(!disk.root().join("slots/1/key.pem").exists());
    disk.calls();
    store.make_key(SLOT).unwrap();
    assert_eq!(disk.calls()[..4], ["mkdir slots/1", "rmdir slots/1", "mkdir slots/1", "fsync slots"]);
}

#[test]
fn a_directory_that_somebody_else_made_is_taken_as_it_is() {
    for settled in [ErrorKind::ResourceBusy, ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
        let disk = Disk::new();
        let store = store(&disk);
        std::fs::create_dir(disk.root().join("slots/1")).unwrap();
        disk.fail("rmdir slots/1", settled);
        store.make_key(SLOT).unwrap();
    }
}

#[test]
fn a_record_whose_directory_could_not_be_synced_is_one_of_the_two_and_its_repeat_is_a_new_file() {
    let disk = Disk::new();
    let store = store(&disk);
    store.write_record(&Record::fresh(NOW)).unwrap();
    disk.fail_nth("fsync .", 1, ErrorKind::Other);
    let next = Record { next_slot: 2, ..Record::fresh(NOW) };
    assert_eq!(store.write_record(&next).unwrap_err().kind, FaultKind::Io);
    assert_eq!(store.read_record().unwrap(), Some(next.clone()), "visible, and perhaps not durable");
    disk.calls();
    store.write_record(&next).unwrap();
    let calls = disk.calls();
    assert_eq!(calls[0], "create 600 .tmp-state.json-*");
    assert_eq!(calls[3..], ["rename state.json", "fsync ."]);
}

#[test]
fn a_removal_that_could_not_be_synced_is_synced_when_it_is_asked_for_again() {
    let disk = Disk::new();
    let store = store(&disk);
    complete(&store, SLOT);
    disk.fail("fsync slots/1", ErrorKind::Other);
    assert_eq!(store.drop_token(SLOT).unwrap_err().op, "fsync");
    disk.calls();
    store.drop_token(SLOT).unwrap();
    assert_eq!(disk.calls(), ["fsync slots/1"]);
    disk.fail_nth("fsync slots", 1, ErrorKind::Other);
    assert_eq!(store.destroy(SLOT).unwrap_err().op, "fsync");
    disk.calls();
    store.destroy(SLOT).unwrap();
    assert_eq!(disk.calls(), ["fsync slots"]);
}

#[test]
fn an_export_whose_swing_could_not_be_synced_keeps_the_one_before_until_it_is() {
    let disk = Disk::new();
    let store = store(&disk);
    complete(&store, SLOT);
    complete(&store, SlotId(2));
    store.export(SLOT).unwrap();
    disk.fail_nth("fsync .", 2, ErrorKind::Other);
    assert_eq!(store.export(SlotId(2)).unwrap_err().op, "fsync");
    assert!(disk.root().join("export.1/bundle.pem").exists());
    disk.calls();
    store.export(SlotId(2)).unwrap();
    let again = ["symlink .tmp-export-*", "rename export", "fsync ."];
    assert_eq!(disk.calls()[..3], again, "swung anew before the one before is removed");
    assert!(!disk.root().join("export.1").exists());
}

#[test]
fn a_slot_that_cannot_be_put_aside_durably_is_not_used_all_the_same() {
    for call in ["rename slots/aside", "fsync slots"] {
        let disk = Disk::new();
        let store = store(&disk);
        complete(&store, SLOT);
        std::fs::write(disk.root().join("slots/1/key.pem"), "torn").unwrap();
        disk.fail(call, ErrorKind::Other);
        let scan = store.scan().unwrap();
        assert_eq!((scan.slots.len(), scan.aside.len()), (0, 1), "{call}");
        assert!(scan.aside[0].path.exists());
    }
}

#[test]
fn a_disk_that_takes_no_writes_is_opened_and_serves_what_is_on_it() {
    for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::StorageFull, ErrorKind::PermissionDenied] {
        let disk = Disk::new();
        let before = store(&disk);
        complete(&before, SLOT);
        before.write_record(&Record::fresh(NOW)).unwrap();
        before.export(SLOT).and_then(|_| before.drop_token(SLOT)).unwrap();
        std::fs::write(disk.root().join(".tmp-state.json-1"), "half").unwrap();
        disk.refuse(kind);
        let store = store(&disk);
        assert_eq!(store.read_record().unwrap(), Some(Record::fresh(NOW)));
        assert!(store.scan().unwrap().slots[0].is_complete());
        store.identity(SLOT).unwrap();
        // What is there already needs no write.
        store.export(SLOT).and_then(|_| store.drop_token(SLOT)).unwrap();
        store.preflight().unwrap_err();
        store.make_key(SlotId(2)).unwrap_err();
        disk.refuse(None);
        store.preflight().unwrap();
        store.make_key(SlotId(2)).unwrap();
    }
}

#[test]
fn a_fresh_directory_on_a_full_disk_opens_and_is_made_when_there_is_room() {
    let disk = Disk::new();
    disk.refuse(ErrorKind::StorageFull);
    let store = store(&disk);
    assert_eq!(store.scan().unwrap(), Scan::default());
    assert!(!store.has_ballast());
    store.make_key(SLOT).unwrap_err();
    disk.refuse(None);
    store.make_key(SLOT).unwrap();
}

#[test]
fn leftovers_of_an_interrupted_write_are_removed_at_start() {
    let disk = Disk::new();
    let store_one = store(&disk);
    store_one.make_key(SLOT).unwrap();
    for leftover in [".tmp-state.json-1", "slots/.tmp-x-1", "slots/1/.tmp-key.pem-1"] {
        std::fs::write(disk.root().join(leftover), "half").unwrap();
    }
    store(&disk);
    for leftover in [".tmp-state.json-1", "slots/.tmp-x-1", "slots/1/.tmp-key.pem-1"] {
        assert!(!disk.root().join(leftover).exists(), "{leftover}");
    }
}

#[test]
fn an_export_is_whole_swung_in_one_step_and_the_one_before_is_removed() {
    let disk = Disk::new();
    let store = store(&disk);
    complete(&store, SLOT);
    complete(&store, SlotId(2));
    store.export(SLOT).unwrap();
    disk.calls();
    store.export(SlotId(2)).unwrap();
    let calls = disk.calls();
    let swing = calls.iter().position(|call| call == "rename export").unwrap();
    assert!(calls[..swing].contains(&"fsync export.2".to_owned()));
    assert!(calls[swing..].contains(&"rmdir export.1".to_owned()));
    let export = disk.root().join(EXPORT_LINK);
    let read = |file: &str| std::fs::read_to_string(export.join(file)).unwrap();
    assert_eq!(read(BUNDLE_FILE), read(KEY_FILE) + &read(CERTIFICATE_FILE));
    let mode = |file: &str| std::fs::metadata(export.join(file)).unwrap().mode() & 0o777;
    assert_eq!((mode(KEY_FILE), mode(BUNDLE_FILE), mode(CERTIFICATE_FILE)), (0o600, 0o600, 0o644));
    store.export(SlotId(2)).unwrap();
    assert_eq!(disk.calls(), ["fsync ."], "a repeated export writes nothing");
}

#[test]
fn a_fingerprint_of_a_certificate_is_that_of_its_key() {
    let disk = Disk::new();
    let store = store(&disk);
    let spki = store.make_key(SLOT).unwrap();
    let facts = store.store_certificate(SLOT, &issued(&store, SLOT), NOW).unwrap();
    assert_eq!(Fingerprint::of_certificate(&facts), Fingerprint::of_spki(&spki));
}
