//! Keeps keys out of a repository that their directory may lie in: a `.gitignore` that names everything.
//!
//! One that is there already is its owner's and stays as it is.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

const NAME: &str = ".gitignore";
const EVERYTHING: &str = "*";
const TEXT: &str = "# Keys: nothing here belongs into a repository.\n*\n";

/// Makes the file in `directory` unless one is there.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn everything_in(directory: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(directory.join(NAME)) {
        Ok(mut file) => file.write_all(TEXT.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether nothing of `directory` enters a repository.
///
/// # Errors
/// When its file cannot be read.
pub(crate) fn covers(directory: &Path) -> io::Result<bool> {
    match std::fs::read_to_string(directory.join(NAME)) {
        Ok(text) => Ok(text.lines().any(|line| line.trim() == EVERYTHING)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_covered_and_what_its_owner_wrote_stays() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!covers(directory.path()).unwrap());
        everything_in(directory.path()).unwrap();
        assert!(covers(directory.path()).unwrap());
        std::fs::write(directory.path().join(NAME), "target/\n").unwrap();
        everything_in(directory.path()).unwrap();
        assert!(!covers(directory.path()).unwrap(), "not overwritten");
    }
}
