//! Durable files: whole or not at all, with their final mode from the first moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::CaError;

/// Only the owner may read.
pub(super) const PRIVATE: u32 = 0o600;
/// Everybody may read.
pub(super) const PUBLIC: u32 = 0o644;

/// Replaces `path` with `contents`: temporary file → fsync → rename → fsync of the directory.
pub(super) fn write(path: &Path, contents: &[u8], mode: u32) -> Result<(), CaError> {
    try_write(path, contents, mode).map_err(|source| CaError::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// The file's contents; `None` when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, CaError> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CaError::File { action: "read", path: path.to_owned(), source }),
    }
}

/// As [`write`], for secrets of other parts of this crate.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    try_write(path, contents, PRIVATE)
}

fn try_write(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    // What a crash left behind; the directory is ours, so nobody else is writing it.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_private_file_is_never_readable_by_others_and_leftovers_do_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        fs::write(path.with_extension("tmp"), "left by a crash").unwrap();
        write(&path, b"secret", PRIVATE).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!path.with_extension("tmp").exists());
    }
}
