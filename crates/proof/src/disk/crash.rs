//! What a power cut keeps of what was not synced: one small value that prints and parses.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which of the pending changes reach the medium. All that was synced is kept in any case.
///
/// A change is a write, or one operation on names (create, mkdir, symlink, rename, unlink, rmdir); they are
/// numbered from 0 in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Crash {
    /// None: the strictest reading of POSIX.
    LoseAll,
    /// All, as if the kernel had written back a moment before.
    KeepAll,
    /// All names, no content: files are empty. Delayed allocation does this.
    NamesOnly,
    /// All names and lengths, content zeros: the size was journalled before the blocks.
    Zeroed,
    /// All names, of each write the first half.
    Torn,
    /// The first `n` changes and nothing after them.
    Prefix(u32),
    /// All but the change of this number: the one that a disk reordered.
    Without(u32),
    /// Exactly those whose bit is set, change 0 being the lowest; changes past the 64th are lost.
    Subset(u64),
    /// A subset drawn from this seed; a write that is drawn may be cut short, or come out as zeros.
    Random(u64),
}

/// Text that names no way to crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCrash(String);

impl fmt::Display for UnknownCrash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no crash; write lose, keep, names, zeros, torn, prefix:N, without:N, \
             subset:HEX or random:HEX",
            self.0
        )
    }
}

impl core::error::Error for UnknownCrash {}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoseAll => f.write_str("lose"),
            Self::KeepAll => f.write_str("keep"),
            Self::NamesOnly => f.write_str("names"),
            Self::Zeroed => f.write_str("zeros"),
            Self::Torn => f.write_str("torn"),
            Self::Prefix(count) => write!(f, "prefix:{count}"),
            Self::Without(number) => write!(f, "without:{number}"),
            Self::Subset(bits) => write!(f, "subset:{bits:x}"),
            Self::Random(seed) => write!(f, "random:{seed:x}"),
        }
    }
}

impl FromStr for Crash {
    type Err = UnknownCrash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownCrash(text.to_owned());
        let hex = |digits| u64::from_str_radix(digits, 16).map_err(|_| unknown());
        match text.split_once(':') {
            None => match text {
                "lose" => Ok(Self::LoseAll),
                "keep" => Ok(Self::KeepAll),
                "names" => Ok(Self::NamesOnly),
                "zeros" => Ok(Self::Zeroed),
                "torn" => Ok(Self::Torn),
                _ => Err(unknown()),
            },
            Some(("prefix", count)) => count.parse().map(Self::Prefix).map_err(|_| unknown()),
            Some(("without", number)) => number.parse().map(Self::Without).map_err(|_| unknown()),
            Some(("subset", bits)) => hex(bits).map(Self::Subset),
            Some(("random", seed)) => hex(seed).map(Self::Random),
            Some(_) => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Crash {
    type Error = UnknownCrash;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Crash> for String {
    fn from(crash: Crash) -> Self {
        crash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_crash_reads_back_as_it_prints() {
        let words =
            ["lose", "keep", "names", "zeros", "prefix:3", "without:0", "subset:ff01", "random:deadbeef"];
        for word in words {
            assert_eq!(word.parse::<Crash>().unwrap().to_string(), word);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_crash_or_a_clear_error(text in "[a-z]{0,8}:?[0-9a-f]{0,20}") {
            match text.parse::<Crash>() {
                Ok(crash) => prop_assert_eq!(crash.to_string().parse::<Crash>(), Ok(crash)),
                Err(error) => prop_assert!(error.to_string().contains("is no crash")),
            }
        }
    }
}
