//! One call that changed the disk, or tried to, as a line of the log.

use core::fmt;
use std::path::PathBuf;

use super::errno::Errno;
use super::fault::Op;

/// A logged call. Its text masks random names, so that two runs of one schedule print the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number among the calls that changed the disk, from 0.
    pub ordinal: u64,
    /// Its kind.
    pub op: Op,
    /// What it was about; of a rename, the new name.
    pub path: PathBuf,
    /// What it failed with.
    pub error: Option<Errno>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.ordinal, self.op, super::masked(&self.path.to_string_lossy()))?;
        match self.error {
            Some(errno) => write!(f, " = {errno}"),
            None => Ok(()),
        }
    }
}
