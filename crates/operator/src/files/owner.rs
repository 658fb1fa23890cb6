//! Whose a file is that root has made: the owner's of the directory that it is in.
//!
//! A command that is run by `sudo` on a service's directory would otherwise leave files of mode 0600 that the service cannot
//! read: its tokens, its windows, what a panic has stopped. Only what was made just now is handed over, by its descriptor and
//! without following a link, so that nobody gets a file of root's by putting a link in its place. Where the system does not let
//! root give files away (a container may not), they stay root's.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use nix::libc::{O_DIRECTORY, O_NOFOLLOW};

/// The user of the system that may give files away.
const ROOT: u32 = 0;

/// Gives a file that we have just made at `path` to the owner of its directory, if we are root.
pub(super) fn hand_over(file: &File, path: &Path) -> io::Result<()> {
    if let Some((user, group)) = heir(file.metadata()?.uid(), path)? {
        let _stays_roots = fchown(file, Some(user), Some(group));
    }
    Ok(())
}

/// The same for a directory.
pub(super) fn hand_over_directory(path: &Path) -> io::Result<()> {
    let directory = OpenOptions::new().read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW).open(path)?;
    hand_over(&directory, path)
}

/// Whose it is to be, where it is root's in a directory that is not.
fn heir(owner: u32, path: &Path) -> io::Result<Option<(u32, u32)>> {
    if owner != ROOT {
        return Ok(None);
    }
    let directory = std::fs::metadata(super::parent(path))?;
    Ok((directory.uid() != ROOT).then(|| (directory.uid(), directory.gid())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, chown};

    use super::super::{Lock, PRIVATE, make_directory, write};
    use super::ROOT;
    use crate::chain::Chain;

    /// A user who need not exist.
    const SERVICE: u32 = 4242;

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let make = || {
            write(&at("tokens.json"), b"{}", PRIVATE).unwrap();
            make_directory(&at("campaigns/autumn")).unwrap();
            write(&at("campaigns/autumn/plan.json"), b"{}", PRIVATE).unwrap();
            Chain::open(&at("journal.jsonl")).unwrap();
            Lock::take(directory.path()).unwrap();
        };
        let names = [
            "tokens.json",
            "campaigns",
            "campaigns/autumn",
            "campaigns/autumn/plan.json",
            "journal.jsonl",
            "journal.jsonl.head",
            ".lock",
        ];
        let owners = || names.map(|name| std::fs::metadata(at(name)).unwrap().uid());
        let ours = std::fs::metadata(directory.path()).unwrap().uid();
        if ours != ROOT {
            make();
            assert_eq!(owners(), names.map(|_| ours));
            eprintln!("not run as root: what root would hand over was not looked at");
            return;
        }
        chown(directory.path(), Some(SERVICE), Some(SERVICE)).unwrap();
        make();
        assert_eq!(owners(), names.map(|_| SERVICE));
        // A file that was root's is the service's again when it is replaced.
        chown(at("tokens.json"), Some(ROOT), Some(ROOT)).unwrap();
        write(&at("tokens.json"), b"{}", PRIVATE).unwrap();
        assert_eq!(owners(), names.map(|_| SERVICE));
        // What was there is nobody's to give away: it may be a link to something else.
        chown(at("journal.jsonl"), Some(ROOT), Some(ROOT)).unwrap();
        Chain::open(&at("journal.jsonl")).unwrap();
        assert_eq!(std::fs::metadata(at("journal.jsonl")).unwrap().uid(), ROOT);
    }
}
