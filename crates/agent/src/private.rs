//! Files that must be their owner's alone: keys, passphrases, users.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The permission bits of a file if others than its owner may do anything with it.
///
/// # Errors
/// When the file cannot be looked at.
pub(crate) fn open_to_others(path: &Path) -> io::Result<Option<u32>> {
    let mode = std::fs::metadata(path)?.mode() & 0o777;
    Ok((mode & 0o077 != 0).then_some(mode))
}
