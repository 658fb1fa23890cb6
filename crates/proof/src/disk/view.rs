//! One side of a disk, to be looked at without copying it: what programs see, or what is on the medium.
//!
//! What is on the medium is what [`Crash::LoseAll`](super::Crash::LoseAll) would leave. Looking is no call: nothing is
//! counted, nothing fails. Links are not followed.

use std::io;
use std::path::{Component, Path, PathBuf};

use fleetkey_agent::store::{Entry, Filesystem, NewFile};

use super::SimDisk;
use super::errno::Errno;
use super::tree::{Names, Node, ROOT, Tree};

/// Which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What a power cut leaves if it loses all that was not synced.
    Durable,
    /// What programs see, and what a power cut leaves if it loses nothing.
    Seen,
}

/// A look at one side of a disk.
#[derive(Debug)]
pub struct View<'a> {
    disk: &'a SimDisk,
    side: Side,
}

impl SimDisk {
    /// One side of it.
    pub const fn view(&self, side: Side) -> View<'_> {
        View { disk: self, side }
    }
}

impl View<'_> {
    /// Looks at the content of a file, and at a number that tells contents apart.
    pub fn content<T>(&self, path: &Path, look: impl FnOnce(u64, &[u8]) -> T) -> Option<T> {
        let content = match self.disk.lock().tree.plain(self.side, path).ok()? {
            Node::File(file) if self.side == Side::Seen => file.seen.clone(),
            Node::File(file) => file.durable.clone(),
            Node::Dir(_) | Node::Link(_) => return None,
        };
        Some(look(content.digest(), content.bytes()))
    }
}

impl Tree {
    /// What a path names on one side.
    fn plain(&self, side: Side, path: &Path) -> Result<&Node, Errno> {
        let mut ino = ROOT;
        for component in path.components() {
            if let Component::Normal(name) = component {
                ino = *self.names(side, ino)?.get(name).ok_or(Errno::NoEntry)?;
            }
        }
        self.node(ino)
    }

    fn names(&self, side: Side, ino: u64) -> Result<&Names, Errno> {
        let dir = self.dir(ino)?;
        Ok(if side == Side::Seen { &dir.seen } else { &dir.durable })
    }
}

fn changes_nothing<T>() -> io::Result<T> {
    Err(Errno::ReadOnly.into())
}

impl Filesystem for View<'_> {
    fn create(&self, _path: &Path, _mode: u32) -> io::Result<Box<dyn NewFile>> {
        changes_nothing()
    }

    fn append(&self, _path: &Path, _mode: u32) -> io::Result<Box<dyn NewFile>> {
        changes_nothing()
    }

    fn create_dir(&self, _path: &Path, _mode: u32) -> io::Result<()> {
        changes_nothing()
    }

    fn symlink(&self, _target: &Path, _link: &Path) -> io::Result<()> {
        changes_nothing()
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        changes_nothing()
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        changes_nothing()
    }

    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        changes_nothing()
    }

    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        changes_nothing()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let bytes = self.content(path, |_, bytes| bytes.to_vec()).ok_or(Errno::NoEntry)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        match self.disk.lock().tree.plain(self.side, path)? {
            Node::Link(target) => Ok(target.to_path_buf()),
            Node::File(_) | Node::Dir(_) => Err(Errno::Invalid.into()),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.disk.lock();
        let tree = &state.tree;
        let mut ino = ROOT;
        for component in path.components() {
            if let Component::Normal(name) = component {
                ino = *tree.names(self.side, ino)?.get(name).ok_or(Errno::NoEntry)?;
            }
        }
        let is_dir = |ino| matches!(tree.node(ino), Ok(Node::Dir(_)));
        let names = tree.names(self.side, ino)?.iter();
        Ok(names.map(|(name, ino)| Entry { name: name.to_os_string(), is_dir: is_dir(*ino) }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Crash;

    #[test]
    fn the_durable_side_is_what_a_crash_that_loses_all_leaves() {
        let disk = SimDisk::new();
        let write = |path: &str, sync: bool| {
            let mut file = disk.create(Path::new(path), 0o600).unwrap();
            file.write_all(path.as_bytes()).unwrap();
            if sync {
                file.sync().unwrap();
            }
        };
        write("/state/synced", true);
        write("/state/dirty", false);
        disk.sync_dir(Path::new("/state")).unwrap();
        write("/state/unnamed", true);
        let names = |fs: &dyn Filesystem| {
            let mut names: Vec<_> =
                fs.list(Path::new("/state")).unwrap().into_iter().map(|e| e.name).collect();
            names.sort();
            names
        };
        let read = |fs: &dyn Filesystem, path: &str| fs.read(Path::new(path), 100).ok();
        let crashed = disk.clone();
        crashed.crash(Crash::LoseAll);
        for path in ["/state/synced", "/state/dirty", "/state/unnamed"] {
            assert_eq!(read(&disk.view(Side::Durable), path), read(&crashed, path), "{path}");
            assert_eq!(read(&disk.view(Side::Seen), path), read(&disk, path), "{path}");
        }
        assert_eq!(names(&disk.view(Side::Durable)), names(&crashed));
        assert_eq!(names(&disk.view(Side::Seen)).len(), 3);
    }
}
