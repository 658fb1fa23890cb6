//! The errors of the simulated disk, as Linux numbers them, so that they classify as those of a real one.

use core::fmt;
use core::str::FromStr;
use std::io;

/// One errno value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Errno {
    /// ENOENT
    NoEntry,
    /// EIO
    Io,
    /// EEXIST
    Exists,
    /// ENOTDIR
    NotDir,
    /// EISDIR
    IsDir,
    /// EINVAL
    Invalid,
    /// ENOSPC
    NoSpace,
    /// EROFS
    ReadOnly,
    /// ENOTEMPTY
    NotEmpty,
    /// ELOOP
    Loop,
    /// EDQUOT
    Quota,
}

/// Value, number on Linux (errno(3)), name.
const TABLE: [(Errno, i32, &str); 11] = [
    (Errno::NoEntry, 2, "ENOENT"),
    (Errno::Io, 5, "EIO"),
    (Errno::Exists, 17, "EEXIST"),
    (Errno::NotDir, 20, "ENOTDIR"),
    (Errno::IsDir, 21, "EISDIR"),
    (Errno::Invalid, 22, "EINVAL"),
    (Errno::NoSpace, 28, "ENOSPC"),
    (Errno::ReadOnly, 30, "EROFS"),
    (Errno::NotEmpty, 39, "ENOTEMPTY"),
    (Errno::Loop, 40, "ELOOP"),
    (Errno::Quota, 122, "EDQUOT"),
];

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = TABLE.iter().find(|(errno, ..)| errno == self);
        f.write_str(row.map_or("?", |(_, _, name)| name))
    }
}

impl FromStr for Errno {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let row = TABLE.iter().find(|(_, _, name)| name.eq_ignore_ascii_case(text));
        row.map(|(errno, ..)| *errno).ok_or_else(|| format!("{text:?} is no error that this disk has"))
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        let row = TABLE.iter().find(|(listed, ..)| *listed == errno);
        row.map_or_else(|| Self::other("unknown"), |(_, number, _)| Self::from_raw_os_error(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_classifies_as_the_operating_systems_own() {
        assert_eq!(io::Error::from(Errno::NoSpace).kind(), io::ErrorKind::StorageFull);
        assert_eq!(io::Error::from(Errno::Quota).kind(), io::ErrorKind::QuotaExceeded);
        assert_eq!(io::Error::from(Errno::ReadOnly).kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(io::Error::from(Errno::NoEntry).kind(), io::ErrorKind::NotFound);
        assert_eq!(io::Error::from(Errno::Exists).kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn every_name_reads_back() {
        for (errno, _, name) in TABLE {
            assert_eq!((errno.to_string().as_str(), name.parse()), (name, Ok(errno)));
        }
    }
}
