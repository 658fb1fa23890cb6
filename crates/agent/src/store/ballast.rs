//! Room that is set aside: a ballast for the writes that must not fail, and a trial before a rotation begins.
//!
//! A rotation that has begun is finished best by going on: its record, and a certificate that the cloud has
//! issued, are *recovery writes*. When one of them meets a full disk, the file `ballast` is unlinked, the
//! directory synced so that its blocks are free, and the write is tried once more, with a new file as ever. No
//! other write touches the ballast: a key, an export, an audit entry can wait. It is made again by the next
//! preflight, without which no rotation starts. Not here: when to try again (`fleetkey-lifecycle`).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::atomic::{self, SECRET};
use super::fault::{Attempt, FaultKind, StoreFault};
use super::{Filesystem, Store};

/// The file in the state directory.
pub(super) const BALLAST: &str = "ballast";
/// Its size in bytes: a slot and two records in blocks of 4 KiB are less than half of it.
pub(super) const BALLAST_SIZE: usize = 64 * 1024;
/// What a rotation writes, in bytes: a slot takes five blocks of 4 KiB (directory, key, request, token,
/// certificate), an export five, a record beside its predecessor two.
const PROBE_SIZE: usize = 48 * 1024;

/// Whether the ballast is in place, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Ballast(AtomicBool);

impl Store {
    /// Proves that a whole rotation fits: has the ballast in place, then writes and syncs as much as a rotation
    /// takes, and removes it again. Done before anything is asked of the cloud.
    ///
    /// # Errors
    /// When the disk refuses: full, read-only, or any other way.
    pub fn preflight(&self) -> Result<(), StoreFault> {
        self.keep_ballast()?;
        let probe = self.root.join(atomic::temporary_name("preflight")?);
        let written = atomic::write_synced(&*self.fs, &probe, SECRET, &noise(PROBE_SIZE)?);
        let removed = atomic::remove_file(&*self.fs, &probe);
        // Also proves that this directory can be synced, which a commit depends on.
        written.and(removed).and_then(|()| atomic::sync_dir(&*self.fs, &self.root))
    }

    /// Whether the ballast was in place when it was last made, looked for or given up.
    pub fn has_ballast(&self) -> bool {
        self.ballast.0.load(Ordering::Relaxed)
    }

    /// Makes the ballast unless a whole one is there.
    pub(super) fn keep_ballast(&self) -> Result<(), StoreFault> {
        let kept = match has_ballast(&*self.fs, &self.root) {
            true => Ok(()),
            false => atomic::replace(&*self.fs, &self.root, BALLAST, SECRET, &noise(BALLAST_SIZE)?),
        };
        self.ballast.0.store(kept.is_ok(), Ordering::Relaxed);
        kept
    }

    /// Writes what must not be lost: on a full disk the ballast makes room, and the write is tried once more.
    pub(super) fn recovery_write(
        &self,
        dir: &Path,
        name: &str,
        mode: u32,
        bytes: &[u8],
    ) -> Result<(), StoreFault> {
        match atomic::replace(&*self.fs, dir, name, mode, bytes) {
            Err(fault) if fault.kind == FaultKind::Full && self.release_ballast() => {
                tracing::warn!(%fault, "the ballast was given up to finish what has begun");
                atomic::replace(&*self.fs, dir, name, mode, bytes)
            }
            written => written,
        }
    }

    /// Whether there was a ballast and its room is free now.
    fn release_ballast(&self) -> bool {
        let path = self.root.join(BALLAST);
        let freed = self.fs.remove_file(&path).attempt("remove", &path);
        // Blocks of an unlinked file come free with the journal's next commit, which an fsync brings about.
        let freed = freed.and_then(|()| atomic::sync_dir(&*self.fs, &self.root));
        self.ballast.0.store(false, Ordering::Relaxed);
        freed.is_ok()
    }
}

/// Whether a whole ballast lies in a state directory.
pub(crate) fn has_ballast(fs: &dyn Filesystem, root: &Path) -> bool {
    let found = fs.read(&root.join(BALLAST), BALLAST_SIZE as u64);
    found.is_ok_and(|bytes| bytes.len() == BALLAST_SIZE)
}

/// Bytes that no file system can leave out (a sparse file) or make small (compression).
fn noise(size: usize) -> Result<Vec<u8>, StoreFault> {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreFault::content("draw", Path::new("random bytes"), error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::fs::MetadataExt;

    use fleetkey_lifecycle::{Record, SlotId};
    use fleetkey_model::time::Timestamp;

    use super::super::testing::{Disk, issued, store};
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn ballast(disk: &Disk) -> bool {
        disk.root().join(BALLAST).exists()
    }

    #[test]
    fn a_ballast_that_takes_real_room_is_there_from_the_start() {
        let disk = Disk::new();
        let store = store(&disk);
        assert!(store.has_ballast());
        let file = std::fs::metadata(disk.root().join(BALLAST)).unwrap();
        assert_eq!((file.len(), file.mode() & 0o777), (65536, 0o600));
        assert!(file.blocks() * 512 >= file.len(), "{} blocks", file.blocks());
    }

    #[test]
    fn a_full_disk_costs_the_ballast_and_not_the_record() {
        for call in ["create 600 .tmp-state", "write .tmp-state", "fsync .tmp-state", "rename state.json"] {
            let disk = Disk::new();
            let store = store(&disk);
            disk.fail(call, ErrorKind::StorageFull);
            store.write_record(&Record::fresh(NOW)).unwrap();
            assert_eq!(store.read_record().unwrap(), Some(Record::fresh(NOW)), "{call}");
            assert!(!ballast(&disk) && !store.has_ballast());
            let calls = disk.calls();
            let release = calls.iter().position(|call| call == "remove ballast").unwrap();
            assert_eq!(calls[release + 1], "fsync .");
            assert_eq!(calls[release + 2], "create 600 .tmp-state.json-*", "a new file");
        }
    }

    #[test]
    fn what_the_cloud_has_issued_is_stored_at_the_ballasts_expense() {
        for file in ["token", "cert.json"] {
            let disk = Disk::new();
            let store = store(&disk);
            store.make_key(SlotId(1)).unwrap();
            let issued = issued(&store, SlotId(1));
            disk.fail(&format!("write slots/1/.tmp-{file}"), ErrorKind::QuotaExceeded);
            store.store_certificate(SlotId(1), &issued, NOW).unwrap();
            assert!(store.identity(SlotId(1)).is_ok() && !ballast(&disk));
        }
    }

    #[test]
    fn nothing_else_touches_the_ballast() {
        let disk = Disk::new();
        let store = store(&disk);
        disk.fail("write slots/1/.tmp-key.pem", ErrorKind::StorageFull);
        assert_eq!(store.make_key(SlotId(1)).unwrap_err().kind, FaultKind::Full);
        disk.fail("fsync .tmp-state", ErrorKind::Other);
        store.write_record(&Record::fresh(NOW)).unwrap_err();
        disk.fail("rename state.json", ErrorKind::ReadOnlyFilesystem);
        store.write_record(&Record::fresh(NOW)).unwrap_err();
        assert!(ballast(&disk) && store.has_ballast());
    }

    #[test]
    fn a_disk_that_is_full_without_a_ballast_is_a_fault_and_the_next_preflight_makes_another() {
        let disk = Disk::new();
        let store = store(&disk);
        disk.fail("write .tmp-state", ErrorKind::StorageFull);
        store.write_record(&Record::fresh(NOW)).unwrap();
        disk.fail("write .tmp-state", ErrorKind::StorageFull);
        let fault = store.write_record(&Record::fresh(Timestamp::default())).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Full);
        assert_eq!(store.read_record().unwrap(), Some(Record::fresh(NOW)));
        store.preflight().unwrap();
        assert!(ballast(&disk) && store.has_ballast());
    }

    #[test]
    fn a_ballast_that_cannot_be_freed_helps_nobody() {
        let disk = Disk::new();
        let store = store(&disk);
        std::fs::remove_file(disk.root().join(BALLAST)).unwrap();
        disk.fail("write .tmp-state", ErrorKind::StorageFull);
        assert_eq!(store.write_record(&Record::fresh(NOW)).unwrap_err().kind, FaultKind::Full);
    }

    #[test]
    fn a_preflight_writes_and_syncs_as_much_as_a_rotation_and_leaves_nothing() {
        let disk = Disk::new();
        let store = store(&disk);
        store.preflight().unwrap();
        let probe = ".tmp-preflight-*";
        let expected = ["create 600 ", "write ", "fsync ", "remove "].map(|call| format!("{call}{probe}"));
        assert_eq!(disk.calls(), [&expected[..], &["fsync .".to_owned()]].concat());
        let left = std::fs::read_dir(disk.root()).unwrap().count();
        assert_eq!(left, 2, "slots and the ballast");
    }

    #[test]
    fn a_preflight_is_refused_with_the_class_of_the_fault_and_leaves_nothing() {
        let table = [
            ("create 600 .tmp-preflight", ErrorKind::ReadOnlyFilesystem, FaultKind::ReadOnly),
            ("write .tmp-preflight", ErrorKind::StorageFull, FaultKind::Full),
            ("fsync .tmp-preflight", ErrorKind::Other, FaultKind::Io),
        ];
        for (call, error, kind) in table {
            let disk = Disk::new();
            let store = store(&disk);
            disk.fail(call, error);
            assert_eq!(store.preflight().unwrap_err().kind, kind, "{call}");
            assert_eq!(std::fs::read_dir(disk.root()).unwrap().count(), 2, "{call}");
            store.preflight().unwrap();
        }
    }

    #[test]
    fn a_directory_that_cannot_be_synced_is_noticed_before_a_rotation() {
        let disk = Disk::new();
        let store = store(&disk);
        disk.fail_nth("fsync .", 1, ErrorKind::InvalidInput);
        let fault = store.preflight().unwrap_err();
        assert_eq!((fault.kind, fault.op), (FaultKind::Io, "fsync"));
    }

    #[test]
    fn a_preflight_without_room_for_the_ballast_is_refused() {
        let disk = Disk::new();
        let store = store(&disk);
        std::fs::write(disk.root().join(BALLAST), "cut off").unwrap();
        disk.fail("write .tmp-ballast", ErrorKind::StorageFull);
        assert_eq!(store.preflight().unwrap_err().kind, FaultKind::Full);
        assert!(!store.has_ballast());
    }
}
