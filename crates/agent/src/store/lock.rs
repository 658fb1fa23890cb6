//! One process a state directory: an exclusive lock that ends with the process, however it ends.
//!
//! Two locks in fact (`flock`): on the directory itself, which is there on any disk that has an identity to
//! serve, read-only or full, and on the file `lock` in it, because some network file systems lock nothing but
//! files that are open for writing. One of them must be had and neither may be another's.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::atomic::{PRIVATE_DIR, SECRET};
use super::fault::{Attempt, StoreFault};
use super::record::STATE;

/// Why a state directory cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "{} is in use by another agent; stop that one first, or talk to it with `status` or `rotate`",
        .0.display()
    )]
    InUse(PathBuf),
    /// Others can enter it.
    #[error(
        "{} can be entered by other users (mode {mode:o}) and holds private keys; run: chmod 700 {}",
        path.display(), path.display()
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system refused.
    #[error(transparent)]
    Fault(#[from] StoreFault),
}

/// The lock; dropping it releases the directory.
#[derive(Debug)]
pub struct Lock {
    held: Vec<File>,
}

impl Drop for Lock {
    /// Said, not left to the closing of the files: a child that was forked and has not become its program yet has them, too.
    fn drop(&mut self) {
        for file in &self.held {
            // The end of the process lets go of it all the same.
            let _ = file.unlock();
        }
    }
}

impl Lock {
    /// Makes the state directory if need be (mode 0700) and takes it for this process.
    ///
    /// # Errors
    /// When another process has it, when other users could enter it, or when the disk refuses.
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        Self::acquire_with(dir, open_file)
    }

    /// Whether some process holds the directory, as far as the kernel's table tells (proc(5), `/proc/locks`). Asked
    /// so and not by trying, because a try would for a moment keep an agent from starting.
    pub fn is_held(dir: &Path) -> bool {
        let Ok(inode) = std::fs::metadata(dir).map(|facts| facts.ino()) else { return false };
        let table = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        table.lines().any(|line| is_lock_of(line, inode))
    }

    /// The same with another way to open the file `lock`.
    fn acquire_with(dir: &Path, open: impl FnOnce(&Path) -> io::Result<File>) -> Result<Self, LockError> {
        prepare(dir)?;
        let file = dir.join("lock");
        let directory = lock(dir, File::open(dir));
        let file = lock(&file, open(&file));
        match (directory, file) {
            (Err(Refused::InUse), _) | (_, Err(Refused::InUse)) => Err(LockError::InUse(dir.to_path_buf())),
            (Err(Refused::Fault(_)), Err(Refused::Fault(fault))) => Err(fault.into()),
            (directory, file) => Ok(Self { held: [directory, file].into_iter().flatten().collect() }),
        }
    }
}

enum Refused {
    InUse,
    Fault(StoreFault),
}

/// `1: FLOCK  ADVISORY  WRITE 708 00:13:633 0 EOF`, the last of the three numbers being the inode.
fn is_lock_of(line: &str, inode: u64) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", _, file, ..] = fields.as_slice() else { return false };
    file.rsplit(':').next().is_some_and(|number| number.parse() == Ok(inode))
}

/// On a disk that takes no writes, a file that is there is opened for reading: a lock asks for no more.
fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(SECRET);
    options.open(path).or_else(|error| File::open(path).map_err(|_| error))
}

fn lock(path: &Path, opened: io::Result<File>) -> Result<File, Refused> {
    let file = opened.attempt("open", path).map_err(Refused::Fault)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Refused::InUse),
        Err(TryLockError::Error(error)) => Err(Refused::Fault(StoreFault::io("lock", path, &error))),
    }
}

fn prepare(dir: &Path) -> Result<(), LockError> {
    make(dir, |dir| File::open(dir)?.sync_all())?;
    let mode = std::fs::metadata(dir).attempt("inspect", dir)?.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    // A service manager makes an empty directory with its own mode; one with content may be anybody's.
    if is_empty(dir).attempt("list", dir)? {
        std::fs::set_permissions(dir, Permissions::from_mode(PRIVATE_DIR)).attempt("chmod", dir)?;
        return Ok(());
    }
    Err(LockError::Open { path: dir.to_path_buf(), mode })
}

/// Makes the directory and what is missing above it, each name synced in its parent: otherwise a power cut could take
/// the state directory with all that was synced in it, after the cloud has issued what is in it. While there is no
/// record yet, an earlier attempt may have died before its syncs: all names above are synced then.
fn make(dir: &Path, sync: impl Fn(&Path) -> io::Result<()>) -> Result<(), LockError> {
    let is_first = !dir.join(STATE).exists();
    let missing: Vec<&Path> = dir.ancestors().take_while(|above| !above.exists()).collect();
    DirBuilder::new().recursive(true).mode(PRIVATE_DIR).create(dir).attempt("create", dir)?;
    if !is_first {
        return Ok(());
    }
    for name in dir.ancestors() {
        let parent = match name.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => break,
        };
        match sync(parent) {
            Err(error) if missing.contains(&name) && !is_out_of_reach(&error) => {
                // The next attempt has to make it anew: a sync that has failed once may lie.
                missing.iter().for_each(|made| drop(std::fs::remove_dir(made)));
                return Err(StoreFault::io("fsync", parent, &error).into());
            }
            Err(error) => tracing::debug!(%error, dir = %parent.display(), "not synced"),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Whether a directory above ours is one that we may not open, or on a file system that takes no writes: then nothing
/// can be done about it.
fn is_out_of_reach(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn is_empty(dir: &Path) -> io::Result<bool> {
    Ok(std::fs::read_dir(dir)?.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes the directory and says which directories were synced, below `root`.
    fn synced(root: &Path, dir: &Path) -> Vec<String> {
        let synced = std::cell::RefCell::new(Vec::new());
        let note = |dir: &Path| {
            synced.borrow_mut().push(dir.to_path_buf());
            Ok(())
        };
        make(dir, note).unwrap();
        let below = |dir: &PathBuf| dir.strip_prefix(root).ok().map(|dir| dir.display().to_string());
        synced.borrow().iter().filter_map(below).collect()
    }

    #[test]
    fn the_name_of_each_directory_that_was_made_is_synced_until_there_is_a_record() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("var/fleetkey/state");
        let names = ["var/fleetkey", "var", ""];
        assert_eq!(synced(root.path(), &dir), names);
        assert_eq!(synced(root.path(), &dir), names, "an attempt that died may have synced none");
        std::fs::write(dir.join(STATE), "{}").unwrap();
        assert_eq!(synced(root.path(), &dir), Vec::<String>::new());
    }

    #[test]
    fn a_directory_whose_name_cannot_be_synced_is_made_anew_by_the_next_attempt() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("fleetkey/state");
        let broken = |_: &Path| Err(io::Error::other("EIO"));
        assert!(matches!(make(&dir, broken), Err(LockError::Fault(fault)) if fault.op == "fsync"));
        assert!(!root.path().join("fleetkey").exists());
        make(&dir, |_| Err(io::ErrorKind::PermissionDenied.into())).unwrap();
        assert!(dir.exists(), "a parent that only others may read is no reason not to start");
    }

    #[test]
    fn a_second_process_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        let first = Lock::acquire(&root).unwrap();
        assert_eq!(Lock::acquire(&root).unwrap_err(), LockError::InUse(root.clone()));
        drop(first);
        Lock::acquire(&root).unwrap();
    }

    #[test]
    fn what_is_let_go_is_free_although_a_child_that_was_just_forked_has_the_files_still() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::acquire(dir.path()).unwrap();
        let _childs: Vec<File> = first.held.iter().map(|file| file.try_clone().unwrap()).collect();
        drop(first);
        Lock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn who_only_asks_whether_it_is_held_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        assert!(!Lock::is_held(&root));
        let held = Lock::acquire(&root).unwrap();
        assert!(Lock::is_held(&root));
        drop(held);
        assert!(!Lock::is_held(&root));
        assert!(is_lock_of("1: FLOCK  ADVISORY  WRITE 708 00:13:633 0 EOF", 633));
        assert!(!is_lock_of("1: -> FLOCK  ADVISORY  WRITE 708 00:13:633 0 EOF", 633), "it only waits");
        assert!(!is_lock_of("2: POSIX  ADVISORY  WRITE 708 00:13:633 0 EOF", 633));
    }

    fn unavailable(_: &Path) -> io::Result<File> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    #[test]
    fn a_disk_that_takes_no_writes_can_be_locked_and_excludes_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        drop(Lock::acquire(&root).unwrap());
        std::fs::remove_file(root.join("lock")).unwrap();
        let first = Lock::acquire_with(&root, unavailable).unwrap();
        assert!(!root.join("lock").exists());
        let in_use = LockError::InUse(root.clone());
        assert_eq!(Lock::acquire_with(&root, unavailable).unwrap_err(), in_use);
        assert_eq!(Lock::acquire(&root).unwrap_err(), in_use, "though the disk takes writes again");
        drop(first);
        let first = Lock::acquire(&root).unwrap();
        assert_eq!(Lock::acquire_with(&root, unavailable).unwrap_err(), in_use);
        drop(first);
        Lock::acquire_with(&root, |path| File::open(path)).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused_unless_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        std::fs::create_dir(&root).unwrap();
        std::fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
        drop(Lock::acquire(&root).unwrap());
        assert_eq!(std::fs::metadata(&root).unwrap().mode() & 0o777, 0o700);
        std::fs::set_permissions(&root, Permissions::from_mode(0o750)).unwrap();
        let error = Lock::acquire(&root).unwrap_err();
        assert!(matches!(error, LockError::Open { mode: 0o750, .. }), "{error}");
    }

    #[test]
    fn a_file_in_its_place_is_a_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(Lock::acquire(&path), Err(LockError::Fault(_))));
    }
}
