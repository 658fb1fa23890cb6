//! `verify` on directories that are sound, and on each way of not being so.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use fleetkey_lifecycle::record::{Aftermath, Authority, Reason, Rotation, Stage};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;
use serde_json::json;

use super::super::testing::{Disk, issued, store};
use super::super::{AuditEntry, AuditLog, Lock};
use super::*;
use crate::keys::P256Keys;

const NOW: Timestamp = Timestamp::from_secs(1000);

/// A device in its soak: current 2, previous 1, exported, audited.
fn device() -> Disk {
    let disk = Disk::new();
    drop(Lock::acquire(disk.root()).unwrap());
    let store = store(&disk);
    for slot in [SlotId(1), SlotId(2)] {
        store.make_key(slot).unwrap();
        store.store_certificate(slot, &issued(&store, slot), NOW).unwrap();
        store.drop_token(slot).unwrap();
    }
    store.export(SlotId(2)).unwrap();
    store.write_record(&record()).unwrap();
    let mut log = AuditLog::new(Arc::new(disk.clone()), disk.root());
    for number in 0..3 {
        log.append(&AuditEntry { at: NOW, id: None, event: json!({"event": "x", "number": number}) })
            .unwrap();
    }
    disk
}

fn record() -> Record {
    Record {
        current: Some(SlotId(2)),
        previous: Some(SlotId(1)),
        next_slot: 3,
        aftermath: Some(Aftermath { id: "r".into(), stage: Stage::Soak { until: NOW } }),
        ..Record::fresh(NOW)
    }
}

fn checked(disk: &Disk) -> Checked {
    check(disk.root(), Arc::new(P256Keys), SerialNumber::new("dev-1").unwrap())
}

/// The one fault that is found after `damage`: where below the root, and what.
fn fault(damage: impl FnOnce(&Path)) -> (String, String) {
    let disk = device();
    damage(disk.root());
    let checked = checked(&disk);
    let faults: Vec<_> =
        checked.findings.iter().filter(|finding| finding.severity == Severity::Fault).collect();
    let [fault] = faults.as_slice() else { panic!("{:?}", checked.findings) };
    assert!(!checked.is_sound() && !fault.remedy.is_empty());
    let path = fault.path.strip_prefix(disk.root()).unwrap().display().to_string();
    (path, fault.what.clone())
}

#[test]
fn a_sound_directory_has_no_findings_and_tells_the_head_of_its_log() {
    let disk = device();
    let checked = checked(&disk);
    assert_eq!(checked.findings, []);
    assert!(checked.is_sound());
    assert_eq!((checked.slots, checked.entries), (2, 3));
    assert_eq!(checked.audit, super::super::read_audit_head(&RealFs, disk.root()));
}

#[test]
fn nothing_is_changed_and_no_lock_is_needed() {
    let disk = device();
    let _held = Lock::acquire(disk.root()).unwrap();
    let before = fs::read_dir(disk.root()).unwrap().count();
    fs::write(disk.root().join("slots/1/key.pem"), "torn").unwrap();
    assert!(!checked(&disk).is_sound());
    assert_eq!(fs::read_dir(disk.root()).unwrap().count(), before);
    assert!(disk.root().join("slots/1").exists(), "it is not put aside");
}

#[test]
fn modes_that_let_others_in_are_found_with_the_command_that_mends_them() {
    for (file, mode) in [
        ("", 0o750),
        ("slots", 0o711),
        ("slots/2/key.pem", 0o640),
        ("slots/2/cert.json", 0o666),
        ("state.json", 0o644),
        ("audit.log", 0o604),
        ("export/device.key.pem", 0o644),
    ] {
        let damage =
            |root: &Path| fs::set_permissions(root.join(file), Permissions::from_mode(mode)).unwrap();
        let (path, what) = fault(damage);
        assert_eq!(path, file.replace("export/", "export.2/"));
        assert!(what.contains(&format!("{mode:o}")), "{what}");
    }
}

#[test]
fn a_record_that_is_lost_damaged_or_of_a_newer_version_is_found() {
    let (path, what) = fault(|root| fs::remove_file(root.join(STATE)).unwrap());
    assert_eq!((path.as_str(), what.as_str()), ("state.json", "there is no record"));
    let (_, what) = fault(|root| {
        let text = fs::read_to_string(root.join(STATE)).unwrap();
        fs::write(root.join(STATE), text.replace("\"current\":2", "\"current\":1")).unwrap();
    });
    assert!(what.contains("checksum"), "{what}");
    let (_, what) = fault(|root| fs::write(root.join(STATE), r#"{"v":99}"#).unwrap());
    assert!(what.contains("99"), "{what}");
}

#[test]
fn a_slot_that_does_not_match_and_one_that_is_not_there_are_found() {
    let copy = |root: &Path, file: &str| {
        fs::copy(root.join("slots/2").join(file), root.join("slots/1").join(file)).unwrap();
    };
    for (file, reason) in [("cert.json", "not for the slot's key"), ("csr.pem", "request is not for")] {
        let disk = device();
        copy(disk.root(), file);
        let found = checked(&disk).findings;
        assert!(found[0].what.contains(reason) && found[0].path.ends_with("slots/1"), "{found:?}");
        assert!(found[1].what.contains("previous"), "{found:?}");
    }
    let (path, what) = fault(|root| fs::remove_dir_all(root.join("slots/1")).unwrap());
    assert_eq!((path.as_str(), what.as_str()), ("slots/1", "the previous identity is not complete"));
    let (path, what) = fault(|root| fs::remove_file(root.join("slots/2/cert.json")).unwrap());
    assert_eq!((path.as_str(), what.as_str()), ("slots/2", "the current identity is not complete"));
}

#[test]
fn a_candidate_must_hold_what_its_phase_says() {
    let disk = device();
    let store = store(&disk);
    store.make_key(SlotId(3)).unwrap();
    let mut record = record();
    let mut found = |phase| {
        record.rotation = Some(Rotation {
            hold: fleetkey_lifecycle::record::Hold::Never,
            id: "r".into(),
            reason: Reason::Age,
            slot: SlotId(3),
            authority: Authority::Current(SlotId(2)),
            started_at: NOW,
            phase,
        });
        store.write_record(&record).unwrap();
        checked(&disk).findings
    };
    assert_eq!(found(Phase::Requested), []);
    let stored = Phase::CertStored { certificate: CertificateId::of_der(b""), token_until: NOW };
    assert!(found(stored)[0].what.contains("less than the record says"));
}

#[test]
fn an_export_of_another_identity_is_found() {
    let (path, _) = fault(|root| {
        fs::remove_file(root.join(EXPORT_LINK)).unwrap();
    });
    assert_eq!(path, "export");
    let (path, _) = fault(|root| {
        let key = root.join("export.2/device.key.pem");
        fs::write(&key, "other").unwrap();
    });
    assert_eq!(path, "export");
}

#[test]
fn a_changed_log_is_found_by_line() {
    let (path, what) = fault(|root| {
        let text = fs::read_to_string(root.join("audit.log")).unwrap();
        fs::write(root.join("audit.log"), text.replace("\"number\":1", "\"number\":9")).unwrap();
    });
    assert_eq!(path, "audit.log");
    assert!(what.starts_with("line 3"), "{what}");
}

#[test]
fn what_the_agent_deals_with_by_itself_is_a_note() {
    let disk = device();
    let root = disk.root();
    let open = store(&disk);
    open.make_key(SlotId(9)).unwrap();
    open.write_record(&Record { previous: None, ..record() }).unwrap();
    fs::write(root.join(".tmp-state.json-1"), "half").unwrap();
    fs::remove_file(root.join(BALLAST)).unwrap();
    fs::rename(root.join("slots/1"), root.join("slots/aside-1-x")).unwrap();
    let log = fs::read(root.join("audit.log")).unwrap();
    fs::write(root.join("audit.log"), &log[..log.len() - 5]).unwrap();
    let checked = checked(&disk);
    assert!(checked.is_sound(), "{:?}", checked.findings);
    assert_eq!(checked.findings.len(), 5, "{:?}", checked.findings);
}

#[test]
fn a_directory_that_is_not_there_or_empty_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let serial = || SerialNumber::new("dev-1").unwrap();
    let gone = check(&dir.path().join("nowhere"), Arc::new(P256Keys), serial());
    assert!(!gone.is_sound());
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let empty = check(dir.path(), Arc::new(P256Keys), serial());
    assert!(empty.is_sound() && empty.findings[0].what.contains("no record"), "{:?}", empty.findings);
}
