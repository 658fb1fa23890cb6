//! Inodes and names, each twice: as running programs see them and as they are on the medium.
//!
//! Every change goes to what is seen at once and into the list of pending [`Change`]s; syncing moves it from
//! there to what is durable. Not here: what a crash makes of the list ([`super::pending`]).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::content::Content;
use super::errno::Errno;
use super::pending::Change;

/// The number of an inode; the root directory has 0.
pub(super) type Ino = u64;
/// The last component of a path.
pub(super) type Name = Arc<OsStr>;
/// The entries of a directory.
pub(super) type Names = BTreeMap<Name, Ino>;
/// An entry: the directory and the name in it.
pub(super) type Spot = (Ino, Name);

pub(super) const ROOT: Ino = 0;
/// Space is given out in blocks of this size, in bytes.
pub(super) const BLOCK: u64 = 4096;
/// So many links on one path are followed (Linux: 40).
const MAX_LINKS: u32 = 40;

#[derive(Debug, Clone)]
pub(super) enum Node {
    File(File),
    Dir(Dir),
    Link(Arc<Path>),
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) mode: u32,
    pub(super) seen: Content,
    pub(super) durable: Content,
    /// An fsync of it failed: the pages that were dirty are marked clean and will never be written.
    pub(super) sync_failed: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Dir {
    pub(super) mode: u32,
    pub(super) seen: Arc<Names>,
    pub(super) durable: Arc<Names>,
    /// An fsync of it failed and it has not changed since: the next one finds nothing to write.
    pub(super) sync_failed: bool,
}

impl Dir {
    fn empty(mode: u32) -> Self {
        Self { mode, seen: Arc::default(), durable: Arc::default(), sync_failed: false }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<Ino, Node>,
    pub(super) pending: Vec<Change>,
    next: Ino,
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = Node::Dir(Dir::empty(0o755));
        Self { nodes: BTreeMap::from([(ROOT, root)]), pending: Vec::new(), next: ROOT + 1 }
    }

    pub(super) fn node(&self, ino: Ino) -> Result<&Node, Errno> {
        self.nodes.get(&ino).ok_or(Errno::NoEntry)
    }

    pub(super) fn dir(&self, ino: Ino) -> Result<&Dir, Errno> {
        match self.node(ino)? {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) | Node::Link(_) => Err(Errno::NotDir),
        }
    }

    pub(super) fn dir_mut(&mut self, ino: Ino) -> Option<&mut Dir> {
        match self.nodes.get_mut(&ino) {
            Some(Node::Dir(dir)) => Some(dir),
            _ => None,
        }
    }

    pub(super) fn file_mut(&mut self, ino: Ino) -> Option<&mut File> {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    /// The inode that a path names; a link in last place is followed.
    pub(super) fn resolve(&self, path: &Path) -> Result<Ino, Errno> {
        self.walk(vec![ROOT], path, &mut 0).map(|way| end(&way))
    }

    /// The entry that a path's last component is, whether it exists or not; a link there is not followed.
    pub(super) fn spot(&self, path: &Path) -> Result<Spot, Errno> {
        let name = path.file_name().ok_or(Errno::Invalid)?;
        let dir = self.resolve(path.parent().unwrap_or_else(|| Path::new("/")))?;
        self.dir(dir)?;
        Ok((dir, Arc::from(name)))
    }

    /// What an entry names.
    pub(super) fn entry(&self, (dir, name): &Spot) -> Result<Ino, Errno> {
        self.dir(*dir)?.seen.get(name).copied().ok_or(Errno::NoEntry)
    }

    /// Walks `path` from the directory that `way` ends in; gives the way from the root to what it names.
    fn walk(&self, mut way: Vec<Ino>, path: &Path, links: &mut u32) -> Result<Vec<Ino>, Errno> {
        for component in path.components() {
            match component {
                Component::RootDir | Component::Prefix(_) => way.truncate(1),
                Component::CurDir => {}
                Component::ParentDir => {
                    self.dir(end(&way))?;
                    way.truncate((way.len() - 1).max(1));
                }
                Component::Normal(name) => {
                    let found = self.entry(&(end(&way), Arc::from(name)))?;
                    way = self.step(way, found, links)?;
                }
            }
        }
        Ok(way)
    }

    fn step(&self, mut way: Vec<Ino>, found: Ino, links: &mut u32) -> Result<Vec<Ino>, Errno> {
        let Node::Link(target) = self.node(found)? else {
            way.push(found);
            return Ok(way);
        };
        *links += 1;
        if *links > MAX_LINKS { Err(Errno::Loop) } else { self.walk(way, target, links) }
    }

    /// Adds a node under a name that is not there yet.
    fn add(&mut self, path: &Path, node: Node) -> Result<Ino, Errno> {
        let (dir, name) = self.spot(path)?;
        if self.entry(&(dir, name.clone())).is_ok() {
            return Err(Errno::Exists);
        }
        let ino = self.next;
        self.next += 1;
        self.nodes.insert(ino, node);
        self.link(&(dir, name.clone()), ino);
        self.pending.push(Change::Link { at: (dir, name), ino });
        Ok(ino)
    }

    pub(super) fn create(&mut self, path: &Path, mode: u32) -> Result<Ino, Errno> {
        let file = File { mode, seen: Content::default(), durable: Content::default(), sync_failed: false };
        self.add(path, Node::File(file))
    }

    pub(super) fn create_dir(&mut self, path: &Path, mode: u32) -> Result<Ino, Errno> {
        self.add(path, Node::Dir(Dir::empty(mode)))
    }

    pub(super) fn symlink(&mut self, target: &Path, link: &Path) -> Result<Ino, Errno> {
        self.add(link, Node::Link(Arc::from(target)))
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> Result<(), Errno> {
        let spot = self.spot(path)?;
        let ino = self.entry(&spot)?;
        if matches!(self.node(ino)?, Node::Dir(_)) {
            return Err(Errno::IsDir);
        }
        self.remove(spot);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> Result<(), Errno> {
        let spot = self.spot(path)?;
        if !self.dir(self.entry(&spot)?)?.seen.is_empty() {
            return Err(Errno::NotEmpty);
        }
        self.remove(spot);
        Ok(())
    }

    fn remove(&mut self, spot: Spot) {
        self.unlink(&spot);
        self.pending.push(Change::Unlink { at: spot });
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        let (from, to) = (self.spot(from)?, self.spot(to)?);
        let ino = self.entry(&from)?;
        if self.is_within(to.0, ino) {
            return Err(Errno::Invalid);
        }
        if let Ok(replaced) = self.entry(&to) {
            if replaced == ino {
                return Ok(());
            }
            self.may_replace(&from, ino, replaced)?;
        }
        self.unlink(&from);
        self.link(&to, ino);
        self.pending.push(Change::Rename { from, to, ino });
        Ok(())
    }

    fn may_replace(&self, from: &Spot, ino: Ino, replaced: Ino) -> Result<(), Errno> {
        if self.is_within(from.0, replaced) {
            return Err(Errno::NotEmpty);
        }
        match (self.node(ino)?, self.node(replaced)?) {
            (Node::Dir(_), Node::Dir(dir)) if dir.seen.is_empty() => Ok(()),
            (Node::Dir(_), Node::Dir(_)) => Err(Errno::NotEmpty),
            (Node::Dir(_), _) => Err(Errno::NotDir),
            (_, Node::Dir(_)) => Err(Errno::IsDir),
            _ => Ok(()),
        }
    }

    /// Whether `dir` is `ancestor` or below it.
    fn is_within(&self, dir: Ino, ancestor: Ino) -> bool {
        let Ok(Node::Dir(top)) = self.node(ancestor) else {
            return false;
        };
        dir == ancestor || top.seen.values().any(|child| self.is_within(dir, *child))
    }

    fn link(&mut self, (dir, name): &Spot, ino: Ino) {
        if let Some(dir) = self.dir_mut(*dir) {
            Arc::make_mut(&mut dir.seen).insert(name.clone(), ino);
            dir.sync_failed = false;
        }
    }

    fn unlink(&mut self, (dir, name): &Spot) {
        if let Some(dir) = self.dir_mut(*dir) {
            Arc::make_mut(&mut dir.seen).remove(name);
            dir.sync_failed = false;
        }
    }

    /// Adds `bytes` to the end of a file. One that was removed meanwhile takes them and nobody will know.
    pub(super) fn append(&mut self, ino: Ino, bytes: &[u8]) {
        let Some(file) = self.file_mut(ino) else {
            return;
        };
        let from = file.seen.len();
        file.seen.edit().extend_from_slice(bytes);
        self.pending.push(Change::Write { ino, range: from..from + bytes.len() });
    }

    /// How many more bytes a file of `length` bytes can take when `free` blocks are left.
    pub(super) fn room(length: usize, free_blocks: u64) -> usize {
        let slack = (length as u64).div_ceil(BLOCK) * BLOCK - length as u64;
        usize::try_from(slack.saturating_add(free_blocks.saturating_mul(BLOCK))).unwrap_or(usize::MAX)
    }

    /// The blocks in use by what is seen: files by their length, directories one each, links none (they are
    /// kept in the inode).
    pub(super) fn blocks(&self) -> u64 {
        self.seen_below(ROOT)
    }

    fn seen_below(&self, ino: Ino) -> u64 {
        match self.nodes.get(&ino) {
            Some(Node::File(file)) => (file.seen.len() as u64).div_ceil(BLOCK),
            Some(Node::Dir(dir)) => 1 + dir.seen.values().map(|child| self.seen_below(*child)).sum::<u64>(),
            Some(Node::Link(_)) | None => 0,
        }
    }

    /// The paths of all that is seen, in their order.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        self.paths_below(ROOT, Path::new("/"), &mut paths);
        paths
    }

    fn paths_below(&self, ino: Ino, at: &Path, paths: &mut Vec<PathBuf>) {
        let Ok(dir) = self.dir(ino) else {
            return;
        };
        for (name, child) in dir.seen.iter() {
            let path = at.join(&**name);
            paths.push(path.clone());
            self.paths_below(*child, &path, paths);
        }
    }
}

/// The last inode of a way; a way is never empty.
fn end(way: &[Ino]) -> Ino {
    way.last().copied().unwrap_or(ROOT)
}
