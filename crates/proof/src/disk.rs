//! A disk in memory that loses, tears and reorders what was not synced, and fails where it is told to.
//!
//! # The model
//! That of ext4 and POSIX as the work on crash consistency describes them (Pillai et al., "All File Systems Are
//! Not Created Equal", OSDI 2014; Mohan et al., "Finding Crash-Consistency Bugs with Bounded Black-Box Crash
//! Testing", OSDI 2018; fsync(2)); where file systems differ, what the weakest of them does.
//!
//! - A file has content as programs see it and as it is on the medium; a directory has names in the same two
//!   ways. **fsync of a file makes its content durable and not its name; fsync of a directory makes its names
//!   durable and not what they name.**
//! - One operation on names (create, mkdir, symlink, rename, unlink, rmdir) is atomic: after a crash it has
//!   happened or it has not.
//! - What is pending at a crash survives in **any subset, in any order**, save that changes of one and the same
//!   entry keep their order. Of a write any prefix survives, or its length without its content ([`Crash`]).
//! - A directory that never became durable takes with it what is in it, synced or not.
//! - **A failed fsync drops the dirty pages.** What programs see stays; the next fsync of the same file says Ok
//!   and writes nothing (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020). Trying it
//!   again is noted in [`SimDisk::violations`], and so is a rename of what is not durable: the write primitive
//!   may do neither.
//! - **A failed fsync of a directory** leaves its names as likely to survive as before. The next one writes
//!   nothing and says Ok; once something has changed in the directory again, it writes all of it. (A journal
//!   would rather stop the file system; file systems without one do this.)
//! - A write that fails may have written a part.
//! - On a read-only disk everything that changes it fails, and fsync of what is clean does not. What it turns
//!   away is not lost: it stays pending.
//!
//! # Use
//! Calls that change the disk are counted ([`SimDisk::changes`]), and a schedule says at which of them the power
//! goes ([`SimDisk::cut_power`]) or a fault strikes ([`SimDisk::fail`]). After the cut every call fails until
//! [`SimDisk::crash`] has said what survived. Copies are cheap: content is shared until it is changed.
//!
//! Nothing depends on random file names, apart from the order of a listing. Not here: locks, permissions (modes
//! are kept, for checks), hard links.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use call::Call;
pub use crash::{Crash, UnknownCrash};
pub use errno::Errno;
pub use fault::{Fault, Op};
use state::State;
use tree::Node;
pub use view::{Side, View};

mod call;
mod content;
mod crash;
mod errno;
mod fault;
mod filesystem;
mod pending;
mod state;
#[cfg(test)]
mod tests;
mod tree;
mod view;

/// A simulated disk. [`Clone`] copies the image, with its faults and counters; [`SimDisk::share`] does not.
#[derive(Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl Clone for SimDisk {
    fn clone(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.lock().clone())) }
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// The directory that is there on a new disk, durable and empty: a place for a state directory.
    pub const HOME: &str = "/state";

    /// A disk with an empty directory [`Self::HOME`], as large as can be.
    pub fn new() -> Self {
        let disk = Self { state: Arc::new(Mutex::new(State::new())) };
        disk.lock().plant_dir(Path::new(Self::HOME));
        disk
    }

    /// The same disk once more, for a store that wants one of its own.
    pub fn share(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }

    /// How many calls have changed the disk, or tried to, since it was made.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Arms a fault; calls are counted from now. Several may be armed.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// The faults that are armed and have not struck yet, or last.
    pub fn faults(&self) -> Vec<Fault> {
        self.lock().faults.clone()
    }

    /// Lifts all faults and makes the disk writable again.
    pub fn lift(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.read_only = false;
    }

    /// Throws the read-only switch.
    pub fn set_read_only(&self, read_only: bool) {
        self.lock().read_only = read_only;
    }

    /// The size in bytes, of which files use whole blocks of 4096 and directories one; `None`: no end.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// The bytes in use, in whole blocks.
    pub fn used(&self) -> u64 {
        self.lock().tree.blocks() * tree::BLOCK
    }

    /// The power goes after `after` more calls that change the disk: all calls past them fail.
    pub fn cut_power(&self, after: u64) {
        let mut state = self.lock();
        state.power_until = Some(state.changes.saturating_add(after));
    }

    /// Whether a call met the cut.
    pub fn is_off(&self) -> bool {
        self.lock().off
    }

    /// The power fails now, if it has not failed yet, and comes back: of what was not synced, `crash` says what
    /// survived. Files that were open are gone; faults and the read-only switch stay.
    pub fn crash(&self, crash: Crash) {
        self.lock().crash(crash);
    }

    /// Ways to crash now that leave different disks: every subset of a few pending changes and the torn forms
    /// of their writes; of many changes all prefixes, all but one of them, and some at random.
    pub fn crashes(&self) -> Vec<Crash> {
        self.lock().tree.distinct_crashes()
    }

    /// How many changes are seen and not durable.
    pub fn pending(&self) -> usize {
        self.lock().tree.pending.len()
    }

    /// Makes all that is seen durable, as a quiet hour does. Not a call: nothing can fail.
    pub fn settle(&self) {
        Arc::make_mut(&mut self.lock().tree).settle();
    }

    /// Equal for two disks on which the same files, links and modes are seen, whatever their random names are.
    pub fn fingerprint(&self) -> u64 {
        self.lock().tree.fingerprint()
    }

    /// Switches the log of calls on, empty, or off.
    pub fn trace(&self, on: bool) {
        self.lock().log = on.then(Vec::new);
    }

    /// The calls that changed the disk since [`Self::trace`] was switched on.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().log.clone().unwrap_or_default()
    }

    /// What the write primitive must never do and did: a second fsync of a file whose first one failed, a
    /// write to one, a rename of what is not durable.
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// Puts a durable file there, with the directories above it, in place of what was there. Not a call.
    pub fn plant(&self, path: &Path, bytes: &[u8]) {
        self.lock().plant(path, bytes);
    }

    /// Removes a file or a link, durably, as a hand or a bad block does. Not a call. Whether it was there.
    pub fn wipe(&self, path: &Path) -> bool {
        let mut state = self.lock();
        let tree = Arc::make_mut(&mut state.tree);
        let removed = tree.remove_file(path).is_ok();
        tree.settle();
        removed
    }

    /// Cuts what is seen and what is durable of a file to its first half, as a bad block does. Not a call. Whether it
    /// was there.
    pub fn damage(&self, path: &Path) -> bool {
        let mut state = self.lock();
        let tree = Arc::make_mut(&mut state.tree);
        let Ok(ino) = tree.resolve(path) else { return false };
        let Some(file) = tree.file_mut(ino) else { return false };
        for content in [&mut file.seen, &mut file.durable] {
            let half = content.len() / 2;
            content.edit().truncate(half);
        }
        tree.pending.retain(|change| !change.writes_to(ino));
        true
    }

    /// The content that is seen of a file. Not a call.
    pub fn peek(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        match state.tree.node(state.tree.resolve(path).ok()?).ok()? {
            Node::File(file) => Some(file.seen.bytes().to_vec()),
            Node::Dir(_) | Node::Link(_) => None,
        }
    }

    /// The permission bits that a file or directory was made with. Not a call.
    pub fn mode(&self, path: &Path) -> Option<u32> {
        let state = self.lock();
        match state.tree.node(state.tree.resolve(path).ok()?).ok()? {
            Node::File(file) => Some(file.mode),
            Node::Dir(dir) => Some(dir.mode),
            Node::Link(_) => None,
        }
    }

    /// The paths of all files, directories and links that are seen, in their order, links not followed.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().tree.paths()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name whose last sixteen hex digits, which are random, are masked.
pub(crate) fn masked(name: &str) -> Cow<'_, str> {
    match name.rsplit_once('-') {
        Some((head, tail)) if tail.len() == 16 && tail.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Cow::Owned(format!("{head}-*"))
        }
        _ => Cow::Borrowed(name),
    }
}
