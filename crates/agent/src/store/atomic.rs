//! The write primitive: after it has returned `Ok`, the file is whole and survives a power cut.
//!
//! Temporary file with its final mode and a fresh random name → write → fsync → rename → fsync of the
//! directory.
//!
//! # After a failed fsync
//! The kernel reports a lost page once and then calls it clean: a second fsync of the same file succeeds and
//! proves nothing (PostgreSQL's "fsyncgate", 2018). Hence:
//!
//! - **A file** whose write or fsync failed is removed and never synced again; each attempt makes a new one.
//! - **The directory** after a rename: when its fsync fails, either name may be the durable one. The caller hears
//!   of a failure, keeps deciding from the old content, and repeats. The repeat is a new file under a new name
//!   and a new rename, so the directory has changed again and its fsync has something to write: it does not lean
//!   on the one that failed. The same bytes count as not written until a whole pass has succeeded, which is why
//!   [`Store::make_key`](super::Store::make_key) writes a key that it finds once more.
//! - **A directory that was just made** and whose parent could not be synced is removed again, and one that is
//!   found empty is made anew, for the same reason.
//! - **A removal** that was not synced may come back after a power cut. Everything that is removed is removed
//!   again when it is found, and harms nobody meanwhile; a repeat that finds it gone syncs the directory once
//!   more ([`settle_dir`]).

use std::io;
use std::path::Path;

use super::fault::{Attempt, FaultKind, StoreFault};
use super::fs::Filesystem;

/// What the name of every unfinished file, directory or link begins with; such leftovers are removed at start.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// Readable and writable by the owner alone.
pub(crate) const SECRET: u32 = 0o600;
/// Readable by everybody who can reach the directory.
pub(crate) const PUBLIC: u32 = 0o644;
/// A directory of the owner alone.
pub(crate) const PRIVATE_DIR: u32 = 0o700;

/// Writes `dir/name` durably, replacing what was there.
pub(crate) fn replace(
    fs: &dyn Filesystem,
    dir: &Path,
    name: &str,
    mode: u32,
    bytes: &[u8],
) -> Result<(), StoreFault> {
    let temporary = dir.join(temporary_name(name)?);
    let target = dir.join(name);
    let written = write_synced(fs, &temporary, mode, bytes)
        .and_then(|()| fs.rename(&temporary, &target).attempt("rename into", &target));
    if let Err(fault) = written {
        // Best effort: what stays is removed at the next start.
        let _ = fs.remove_file(&temporary);
        return Err(fault);
    }
    sync_dir(fs, dir)
}

/// Writes files (name, mode, content) that belong together: none takes its name before all are on the disk, so that
/// what fails, fails before any has. Between two of the names a crash is possible.
pub(crate) fn replace_all<'a>(
    fs: &dyn Filesystem,
    dir: &Path,
    files: impl IntoIterator<Item = (&'a str, u32, &'a [u8])>,
) -> Result<(), StoreFault> {
    let mut unnamed = Vec::new();
    let mut write = |(name, mode, bytes): (&str, u32, &[u8])| {
        let (temporary, target) = (dir.join(temporary_name(name)?), dir.join(name));
        unnamed.push((temporary.clone(), target));
        write_synced(fs, &temporary, mode, bytes)
    };
    let written = files.into_iter().try_for_each(&mut write);
    let mut named = 0;
    let renamed = written.and_then(|()| {
        unnamed.iter().try_for_each(|(temporary, target)| {
            fs.rename(temporary, target).attempt("rename into", target)?;
            named += 1;
            Ok(())
        })
    });
    if let Err(fault) = renamed {
        for (temporary, _) in unnamed.iter().skip(named) {
            let _ = fs.remove_file(temporary);
        }
        return Err(fault);
    }
    sync_dir(fs, dir)
}

/// Makes a file under a name that nobody reads, its content synced, its name not.
pub(crate) fn write_synced(
    fs: &dyn Filesystem,
    path: &Path,
    mode: u32,
    bytes: &[u8],
) -> Result<(), StoreFault> {
    let mut file = fs.create(path, mode).attempt("create", path)?;
    file.write_all(bytes).attempt("write", path)?;
    file.sync().attempt("fsync", path)
}

/// Points the symbolic link `dir/name` to `target` in one step.
pub(crate) fn repoint(fs: &dyn Filesystem, dir: &Path, name: &str, target: &Path) -> Result<(), StoreFault> {
    let temporary = dir.join(temporary_name(name)?);
    let link = dir.join(name);
    fs.symlink(target, &temporary).attempt("link", &temporary)?;
    if let Err(fault) = fs.rename(&temporary, &link).attempt("rename into", &link) {
        let _ = fs.remove_file(&temporary);
        return Err(fault);
    }
    sync_dir(fs, dir)
}

/// Makes `parent/name` if it does not exist, durably.
pub(crate) fn ensure_dir(fs: &dyn Filesystem, parent: &Path, name: &str) -> Result<(), StoreFault> {
    let path = parent.join(name);
    let made = match fs.create_dir(&path, PRIVATE_DIR) {
        // An empty one may be what an attempt left that could not sync its name, so it is made anew; something
        // is put into one only after its name was synced.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs.remove_dir(&path) {
            Ok(()) => fs.create_dir(&path, PRIVATE_DIR),
            Err(error) if is_settled(error.kind()) => return sync_dir(fs, parent),
            Err(error) => return Err(StoreFault::io("remove", &path, &error)),
        },
        made => made,
    };
    made.attempt("create", &path)?;
    sync_dir(fs, parent).inspect_err(|_| {
        // Best effort: the repeat is to make it anew.
        let _ = fs.remove_dir(&path);
    })
}

/// Whether a directory that could not be removed for this reason is none that an attempt of ours left unsynced: it
/// holds something, or belongs to somebody else (a mount, a link, a parent that is not ours to write), or the disk
/// takes no changes. Any other failure, such as a bad block, leaves an empty one in doubt.
const fn is_settled(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::DirectoryNotEmpty
            | Kind::ResourceBusy
            | Kind::NotADirectory
            | Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
    )
}

/// Syncs a directory that an earlier attempt may have changed without being able to sync it. On a disk that has
/// become read-only nothing can be pending.
pub(crate) fn settle_dir(fs: &dyn Filesystem, dir: &Path) -> Result<(), StoreFault> {
    match sync_dir(fs, dir) {
        Err(fault) if fault.kind == FaultKind::ReadOnly => Ok(()),
        other => other,
    }
}

/// fsync of a directory.
pub(crate) fn sync_dir(fs: &dyn Filesystem, dir: &Path) -> Result<(), StoreFault> {
    fs.sync_dir(dir).attempt("fsync", dir)
}

/// Removes a file; one that is already gone is fine.
pub(crate) fn remove_file(fs: &dyn Filesystem, path: &Path) -> Result<(), StoreFault> {
    match fs.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreFault::io("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Removes a directory and the files and links directly in it; one that is already gone is fine.
pub(crate) fn remove_flat_dir(fs: &dyn Filesystem, dir: &Path) -> Result<(), StoreFault> {
    let entries = match fs.list(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreFault::io("list", dir, &error)),
    };
    for entry in entries {
        remove_file(fs, &dir.join(entry.name))?;
    }
    fs.remove_dir(dir).attempt("remove", dir)
}

/// The content of a file, `None` when there is none.
pub(crate) fn read_optional(
    fs: &dyn Filesystem,
    path: &Path,
    limit: u64,
) -> Result<Option<Vec<u8>>, StoreFault> {
    match fs.read(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(StoreFault::content("read", path, error.to_string()))
        }
        Err(error) => Err(StoreFault::io("read", path, &error)),
    }
}

/// A fresh name for something unfinished that will be called `name`.
pub(crate) fn temporary_name(name: &str) -> Result<String, StoreFault> {
    Ok(format!("{TEMPORARY}{name}-{}", random_suffix()?))
}

/// Sixteen random hex digits.
pub(crate) fn random_suffix() -> Result<String, StoreFault> {
    let number = getrandom::u64()
        .map_err(|error| StoreFault::content("draw", Path::new("a random name"), error.to_string()))?;
    Ok(format!("{number:016x}"))
}
