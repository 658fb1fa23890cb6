//! What the proof must refuse: the same operations done carelessly. A proof that passes these proves nothing.

use std::path::Path;

use fleetkey_agent::store::{Filesystem, Store, StoreFault};
use fleetkey_proof::disk::SimDisk;

use super::explore::Case;
use super::operations::{ONE, TWO, complete, record};
use super::state::{open, root};

/// The bytes of another record, as the store writes it.
fn other_record() -> Vec<u8> {
    let disk = SimDisk::new();
    open(&disk).unwrap().write_record(&record(TWO)).unwrap();
    disk.peek(&root().join("state.json")).unwrap()
}

/// Replaces the record in a way of its own.
fn careless(write: fn(&SimDisk, &Path, &[u8]) -> std::io::Result<()>) -> Result<(), String> {
    let bytes = other_record();
    let case = Case::new(
        |store, _| store.write_record(&record(ONE)).unwrap(),
        move |_, disk| {
            let path = root().join("state.json");
            let failed = |error: std::io::Error| fault(&error);
            write(disk, &path, &bytes).map_err(failed)
        },
    );
    case.explore().map(|_| ())
}

/// A store's fault for an error outside the store.
fn fault(error: &std::io::Error) -> StoreFault {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull => fleetkey_agent::store::FaultKind::Full,
        std::io::ErrorKind::ReadOnlyFilesystem => fleetkey_agent::store::FaultKind::ReadOnly,
        _ => fleetkey_agent::store::FaultKind::Io,
    };
    StoreFault { kind, op: "write", path: root().to_owned(), reason: error.to_string() }
}

fn again(disk: &SimDisk, path: &Path) -> std::io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[test]
fn a_file_written_in_place_is_caught() {
    let found = careless(|disk, path, bytes| {
        again(disk, path)?;
        let mut file = disk.create(path, 0o600)?;
        file.write_all(bytes)?;
        file.sync()?;
        disk.sync_dir(root())
    });
    assert!(found.unwrap_err().contains("power cut at call"));
}

#[test]
fn a_rename_without_fsync_is_caught() {
    let found = careless(|disk, path, bytes| {
        let temporary = root().join(".tmp-state.json-0");
        again(disk, &temporary)?;
        disk.create(&temporary, 0o600)?.write_all(bytes)?;
        disk.rename(&temporary, path)?;
        disk.sync_dir(root())
    });
    let broken = found.unwrap_err();
    assert!(broken.contains("power cut at call") && broken.contains("Damaged"), "{broken}");
}

#[test]
fn a_rename_without_fsync_of_the_directory_is_caught() {
    let found = careless(|disk, path, bytes| {
        let temporary = root().join(".tmp-state.json-0");
        again(disk, &temporary)?;
        let mut file = disk.create(&temporary, 0o600)?;
        file.write_all(bytes)?;
        file.sync()?;
        disk.rename(&temporary, path)
    });
    assert!(found.unwrap_err().contains("the new state was expected"));
}

#[test]
fn an_fsync_that_is_tried_again_is_caught() {
    let found = careless(|disk, path, bytes| {
        let temporary = root().join(".tmp-state.json-0");
        again(disk, &temporary)?;
        let mut file = disk.create(&temporary, 0o600)?;
        file.write_all(bytes)?;
        file.sync().or_else(|_| file.sync())?;
        disk.rename(&temporary, path)?;
        disk.sync_dir(root())
    });
    let broken = found.unwrap_err();
    assert!(broken.contains("EIO@") || broken.contains("ENOSPC@"), "{broken}");
}

#[test]
fn a_pair_that_is_switched_by_two_renames_is_caught() {
    // As agents do that keep `cert.pem` and `key.pem` beside each other: here, the export without its link.
    let swap = |store: &Store, disk: &SimDisk| {
        let from = |file: &str| disk.peek(&root().join("export.2").join(file));
        for file in ["device.cert.pem", "device.key.pem", "bundle.pem"] {
            let Some(bytes) = from(file) else { continue };
            let temporary = root().join("export.1").join(format!(".tmp-{file}-0"));
            let write = || {
                again(disk, &temporary)?;
                let mut file_open = disk.create(&temporary, 0o600)?;
                file_open.write_all(&bytes)?;
                file_open.sync()?;
                disk.rename(&temporary, &root().join("export.1").join(file))?;
                disk.sync_dir(&root().join("export.1"))
            };
            write().map_err(|error| fault(&error))?;
        }
        let _ = store;
        Ok(())
    };
    let before = |store: &Store, disk: &SimDisk| {
        complete(store, ONE);
        complete(store, TWO);
        let files = |slot| {
            store.export(slot).unwrap();
            let dir = root().join(format!("export.{slot}"));
            ["device.cert.pem", "device.key.pem", "bundle.pem"]
                .map(|file| (file, disk.peek(&dir.join(file)).unwrap()))
        };
        let second = files(TWO);
        files(ONE);
        for (file, bytes) in second {
            disk.plant(&root().join("export.2").join(file), &bytes);
        }
    };
    let found = Case::new(before, swap).explore();
    let broken = found.unwrap_err();
    assert!(broken.contains("cut at call") && broken.contains("the old state or the new"), "{broken}");
}
