//! A deployment package: a zip file from a stranger becomes files in one directory, or nothing.
//!
//! Refused: paths that lead out of the directory, symbolic links, encrypted entries, names twice, and whatever
//! unpacks to more than Lambda's limit; the limit counts bytes as they come, not what the file says of itself.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;
use zip::read::ZipFile;

/// What a package may hold: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of the zip file.
    pub(super) packed: u64,
    /// Bytes of all its files.
    pub(super) unpacked: u64,
    /// Files and directories.
    pub(super) entries: usize,
}

impl Limits {
    /// Lambda's. It has none on entries; a hundred thousand files are no hook.
    pub(super) const AWS: Self = Self { packed: 52_428_800, unpacked: 262_144_000, entries: 100_000 };
}

/// Why a package cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// It is no zip file that Lambda would take.
    #[error("Could not unzip uploaded file. Please check your file, then try to upload again. ({0})")]
    Unusable(String),
    /// It is larger than Lambda takes.
    #[error("{0}")]
    TooLarge(String),
    /// The disk fails.
    #[error("cannot unpack the code: {0}")]
    Disk(io::Error),
}

/// Unpacks `bytes` into the directory `into`, which must be empty. Blocks on the disk.
///
/// # Errors
/// See [`ArchiveError`]; then the directory holds a part, for the caller to remove.
pub(super) fn unpack(bytes: &[u8], into: &Path, limits: Limits) -> Result<(), ArchiveError> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limits.packed {
        let message = format!("Zipped size must be smaller than {} bytes", limits.packed);
        return Err(ArchiveError::TooLarge(message));
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| unusable(&error))?;
    if archive.is_empty() {
        return Err(unusable(&"it is empty"));
    }
    if archive.len() > limits.entries {
        return Err(unusable(&format!("it has more than {} entries", limits.entries)));
    }
    let mut left = limits.unpacked;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| unusable(&error))?;
        left = extract(entry, into, left).map_err(|error| match error {
            ArchiveError::TooLarge(_) => ArchiveError::TooLarge(format!(
                "Unzipped size must be smaller than {} bytes",
                limits.unpacked
            )),
            other => other,
        })?;
    }
    Ok(())
}

/// Writes one entry and tells how many bytes are left for the others.
fn extract<R: Read>(mut entry: ZipFile<'_, R>, into: &Path, left: u64) -> Result<u64, ArchiveError> {
    let name: String = entry.name().map_err(|error| unusable(&error))?.into_owned();
    let Some(path) = inside(&name) else {
        return Err(unusable(&format!("{name:?} leads out of the package")));
    };
    if entry.is_symlink() {
        return Err(unusable(&format!("{name:?} is a symbolic link")));
    }
    let target = into.join(path);
    if entry.is_dir() {
        return directories(&target, &name).map(|()| left);
    }
    if let Some(parent) = target.parent() {
        directories(parent, &name)?;
    }
    let mode = if entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0) { 0o700 } else { 0o600 };
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&target);
    let mut file = file.map_err(|error| refused(error, &name))?;
    // One byte more than is left tells that there are more.
    let written = io::copy(&mut entry.by_ref().take(left.saturating_add(1)), &mut file);
    let written = written.map_err(|error| match error.raw_os_error() {
        Some(_) => ArchiveError::Disk(error),
        None => unusable(&format!("{name:?}: {error}")),
    })?;
    left.checked_sub(written).ok_or_else(|| ArchiveError::TooLarge(String::new()))
}

/// The path that a name is, if it is relative and never goes up.
fn inside(name: &str) -> Option<PathBuf> {
    let plain = |component| match component {
        Component::Normal(part) => Some(part),
        Component::CurDir => Some(".".as_ref()),
        Component::Prefix(_) | Component::RootDir | Component::ParentDir => None,
    };
    let path: PathBuf = Path::new(name).components().map(plain).collect::<Option<_>>()?;
    (!name.contains(['\\', '\0']) && path.components().next().is_some()).then_some(path)
}

fn directories(path: &Path, name: &str) -> Result<(), ArchiveError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| refused(error, name))
}

/// What the names of the package lead to is the package's fault; the rest is the disk's.
fn refused(error: io::Error, name: &str) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::AlreadyExists
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput => unusable(&format!("{name:?}: {error}")),
        _ => ArchiveError::Disk(error),
    }
}

fn unusable(reason: &impl ToString) -> ArchiveError {
    ArchiveError::Unusable(reason.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    const SMALL: Limits = Limits { packed: 10_000, unpacked: 1000, entries: 5 };

    fn options() -> SimpleFileOptions {
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
    }

    fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            writer.start_file(*name, options()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn refusal(bytes: &[u8]) -> ArchiveError {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("in");
        std::fs::create_dir(&inside).unwrap();
        let error = unpack(bytes, &inside, SMALL).unwrap_err();
        let outside: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(outside, [inside], "nothing beside the directory");
        error
    }

    #[test]
    fn files_and_their_right_to_be_run_are_there() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("bootstrap", options().unix_permissions(0o755)).unwrap();
        writer.write_all(b"#!").unwrap();
        writer.start_file("a/b.py", options().unix_permissions(0o644)).unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        let directory = tempfile::tempdir().unwrap();
        unpack(&bytes, directory.path(), SMALL).unwrap();
        let mode =
            |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("bootstrap"), mode("a/b.py"), mode("a")), (0o700, 0o600, 0o700));
    }

    #[test]
    fn no_path_leads_out() {
        for name in ["../x", "a/../../x", "/etc/x", "a/../b", "a\\..\\b"] {
            let error = refusal(&zip(&[(name, b"x")]));
            assert!(matches!(error, ArchiveError::Unusable(_)), "{name}: {error:?}");
        }
    }

    #[test]
    fn a_symbolic_link_is_refused_and_so_is_a_name_twice_or_a_file_for_a_directory() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_symlink("link", "/etc/passwd", options()).unwrap();
        let link = writer.finish().unwrap().into_inner();
        assert!(refusal(&link).to_string().contains("symbolic link"));
        let clash = zip(&[("a", b"x"), ("a/b", b"x")]);
        assert!(matches!(refusal(&clash), ArchiveError::Unusable(_)));
    }

    #[test]
    fn what_unpacks_to_more_than_the_limit_is_stopped_on_the_way() {
        let bomb = zip(&[("a", &[0; 600]), ("b", &[0; 600])]);
        assert!(bomb.len() < 1000);
        assert!(matches!(refusal(&bomb), ArchiveError::TooLarge(_)));
        let many: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|name| (name, b"".as_slice())).into();
        assert!(matches!(refusal(&zip(&many)), ArchiveError::Unusable(_)));
        assert!(matches!(refusal(&[0; 10_001]), ArchiveError::TooLarge(_)));
    }

    #[test]
    fn what_is_no_whole_zip_file_is_refused() {
        let good = zip(&[("a", b"some content that is long enough to be torn")]);
        let mut flipped = good.clone();
        flipped[40] ^= 0xff;
        for bytes in [b"".as_slice(), b"PK", &good[..good.len() - 5], &flipped, &zip(&[])] {
            assert!(matches!(refusal(bytes), ArchiveError::Unusable(_)));
        }
    }
}
