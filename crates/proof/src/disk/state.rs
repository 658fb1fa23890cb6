//! What happens at a call: the power, then faults, then the switch, then the tree; and the log of it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::call::Call;
use super::crash::Crash;
use super::errno::Errno;
use super::fault::{Fault, Op};
use super::tree::{BLOCK, Ino, Node, Tree};

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) tree: Arc<Tree>,
    /// Calls that changed the disk, or tried to.
    pub(super) changes: u64,
    /// The power goes when `changes` has come to this.
    pub(super) power_until: Option<u64>,
    /// A call was made without power.
    pub(super) off: bool,
    /// Rises with each crash: a file that was open before is worthless after it.
    pub(super) boot: u64,
    pub(super) faults: Vec<Fault>,
    pub(super) read_only: bool,
    pub(super) capacity: Option<u64>,
    pub(super) log: Option<Vec<Call>>,
    pub(super) violations: Vec<String>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            tree: Arc::new(Tree::new()),
            changes: 0,
            power_until: None,
            off: false,
            boot: 0,
            faults: Vec::new(),
            read_only: false,
            capacity: None,
            log: None,
            violations: Vec::new(),
        }
    }

    pub(super) fn crash(&mut self, crash: Crash) {
        Arc::make_mut(&mut self.tree).crash(crash);
        self.power_until = None;
        self.off = false;
        self.boot += 1;
    }

    /// A call that reads.
    pub(super) fn look<T>(&mut self, op: Op, run: impl FnOnce(&Tree) -> Result<T, Errno>) -> io::Result<T> {
        self.powered()?;
        match self.struck(op) {
            Some(errno) => Err(errno.into()),
            None => run(&self.tree).map_err(io::Error::from),
        }
    }

    /// A call that changes the disk.
    pub(super) fn change<T>(
        &mut self,
        op: Op,
        path: &Path,
        run: impl FnOnce(&mut Self) -> Result<T, Errno>,
    ) -> io::Result<T> {
        self.powered()?;
        let ordinal = self.changes;
        self.changes += 1;
        let done = match self.struck(op) {
            Some(errno) => Err(errno),
            None => run(self),
        };
        if let Some(log) = &mut self.log {
            log.push(Call { ordinal, op, path: path.to_owned(), error: done.as_ref().err().copied() });
        }
        done.map_err(io::Error::from)
    }

    fn powered(&mut self) -> io::Result<()> {
        self.off |= self.power_until.is_some_and(|until| self.changes >= until);
        if self.off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// The fault that this call meets. One that has struck is spent, unless it lasts.
    fn struck(&mut self, op: Op) -> Option<Errno> {
        let mut struck = None;
        self.faults.retain_mut(|fault| {
            if !fault.strikes(op) {
                return true;
            }
            struck = struck.or(Some(*fault));
            fault.lasting
        });
        let fault = struck?;
        if fault.lasting && fault.errno == Errno::ReadOnly && fault.op.is_none() {
            // A remount: from here on the switch answers, as the kernel does.
            self.read_only = true;
            return None;
        }
        Some(fault.errno)
    }

    pub(super) fn tree_mut(&mut self) -> &mut Tree {
        Arc::make_mut(&mut self.tree)
    }

    pub(super) fn writable(&self) -> Result<(), Errno> {
        if self.read_only { Err(Errno::ReadOnly) } else { Ok(()) }
    }

    /// What is asked for under a new name: that it exists, or that there is no place, is found before the disk
    /// turns out to be read-only (filename_create in Linux's fs/namei.c).
    pub(super) fn may_add(&self, path: &Path) -> Result<(), Errno> {
        let spot = self.tree.spot(path)?;
        if self.tree.entry(&spot).is_ok() {
            return Err(Errno::Exists);
        }
        self.writable()
    }

    pub(super) fn may_take_blocks(&self, blocks: u64) -> Result<(), Errno> {
        if self.free_blocks() < blocks { Err(Errno::NoSpace) } else { Ok(()) }
    }

    fn free_blocks(&self) -> u64 {
        let total = self.capacity.map_or(u64::MAX, |bytes| bytes / BLOCK);
        total.saturating_sub(if self.capacity.is_some() { self.tree.blocks() } else { 0 })
    }

    /// Writes what there is room for.
    pub(super) fn append(&mut self, ino: Ino, bytes: &[u8]) -> Result<(), Errno> {
        self.writable()?;
        let length = match self.tree.node(ino) {
            Ok(Node::File(file)) => file.seen.len(),
            _ => 0,
        };
        let room = Tree::room(length, self.free_blocks()).min(bytes.len());
        self.tree_mut().append(ino, bytes.get(..room).unwrap_or_default());
        if room < bytes.len() { Err(Errno::NoSpace) } else { Ok(()) }
    }

    pub(super) fn plant_dir(&mut self, path: &Path) {
        let tree = self.tree_mut();
        let above: Vec<&Path> = path.ancestors().collect();
        for dir in above.into_iter().rev() {
            // One that is there stays; a file in its place is the test's own contradiction.
            let _ = tree.create_dir(dir, 0o700);
        }
        tree.settle();
    }

    pub(super) fn plant(&mut self, path: &Path, bytes: &[u8]) {
        if let Some(dir) = path.parent() {
            self.plant_dir(dir);
        }
        let tree = self.tree_mut();
        let _ = tree.remove_file(path);
        if let Ok(ino) = tree.create(path, 0o600) {
            tree.append(ino, bytes);
        }
        tree.settle();
    }
}
