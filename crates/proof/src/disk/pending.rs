//! What is written and not synced: how syncing makes it durable, and what a crash keeps of it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use super::crash::Crash;
use super::tree::{Dir, File, Ino, Node, ROOT, Spot, Tree};

/// One change that is seen and not yet durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A name for a new inode.
    Link { at: Spot, ino: Ino },
    /// A name gone.
    Unlink { at: Spot },
    /// A name moved, in one step.
    Rename { from: Spot, to: Spot, ino: Ino },
    /// Bytes of a file, as they stand in what is seen of it.
    Write { ino: Ino, range: Range<usize> },
}

impl Change {
    fn touches_dir(&self, dir: Ino) -> bool {
        match self {
            Self::Link { at, .. } | Self::Unlink { at } => at.0 == dir,
            Self::Rename { from, to, .. } => from.0 == dir || to.0 == dir,
            Self::Write { .. } => false,
        }
    }

    pub(super) fn writes_to(&self, file: Ino) -> bool {
        matches!(self, Self::Write { ino, .. } if *ino == file)
    }

    /// The entries that it changes. Changes of one entry reach the medium in their order.
    fn spots(&self) -> [Option<&Spot>; 2] {
        match self {
            Self::Link { at, .. } | Self::Unlink { at } => [Some(at), None],
            Self::Rename { from, to, .. } => [Some(from), Some(to)],
            Self::Write { .. } => [None, None],
        }
    }

    fn shares_a_spot(&self, other: &Self) -> bool {
        self.spots().into_iter().flatten().any(|spot| other.spots().contains(&Some(spot)))
    }
}

/// How much of a change reaches the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nothing,
    Whole,
    /// Of a write: so many of every 256 bytes, from the front.
    Cut(u8),
    /// Of a write: its length, not its content.
    Zeros,
}

impl Tree {
    pub(super) fn has_pending_writes(&self, file: Ino) -> bool {
        self.pending.iter().any(|change| change.writes_to(file))
    }

    pub(super) fn has_pending_names(&self, dir: Ino) -> bool {
        self.pending.iter().any(|change| change.touches_dir(dir))
    }

    /// fsync of a file: its content is durable; its name is not made so.
    pub(super) fn sync_file(&mut self, file: Ino) {
        for change in self.take_pending(|change| change.writes_to(file)) {
            self.apply(&change, Kept::Whole);
        }
    }

    /// A failed fsync of a file: what was dirty is dropped, and no later fsync will write it.
    pub(super) fn drop_writes(&mut self, file: Ino) {
        self.take_pending(|change| change.writes_to(file));
    }

    /// fsync of a directory: its names are durable. A rename between two directories is one entry of the
    /// journal and comes with either of them. After one that failed there is nothing to write until something
    /// changes, and then all is written.
    pub(super) fn sync_dir(&mut self, dir: Ino) {
        if self.dir(dir).is_ok_and(|dir| dir.sync_failed) {
            return;
        }
        let mut wanted: Vec<bool> = self.pending.iter().map(|change| change.touches_dir(dir)).collect();
        add_what_comes_before(&self.pending, &mut wanted);
        let mut wanted = wanted.into_iter();
        for change in self.take_pending(|_| wanted.next().unwrap_or(false)) {
            self.apply(&change, Kept::Whole);
        }
        self.forget_unreachable();
    }

    fn take_pending(&mut self, wanted: impl FnMut(&Change) -> bool) -> Vec<Change> {
        let (taken, left) = core::mem::take(&mut self.pending).into_iter().partition(wanted);
        self.pending = left;
        taken
    }

    fn apply(&mut self, change: &Change, kept: Kept) {
        match change {
            Change::Link { at, ino } => self.set_durable(at, Some(*ino)),
            Change::Unlink { at } => self.set_durable(at, None),
            Change::Rename { from, to, ino } => {
                self.set_durable(from, None);
                self.set_durable(to, Some(*ino));
            }
            Change::Write { ino, range } => {
                if let Some(file) = self.file_mut(*ino) {
                    write_through(file, range, kept);
                }
            }
        }
    }

    fn set_durable(&mut self, (dir, name): &Spot, ino: Option<Ino>) {
        let Some(dir) = self.dir_mut(*dir) else {
            return;
        };
        let names = Arc::make_mut(&mut dir.durable);
        match ino {
            Some(ino) => names.insert(name.clone(), ino),
            None => names.remove(name),
        };
    }

    /// The power fails: of what is pending, `crash` says what is kept; all that is seen afterwards is durable.
    pub(super) fn crash(&mut self, crash: Crash) {
        let pending = core::mem::take(&mut self.pending);
        let kept = all_kept(&pending, crash);
        for (change, kept) in pending.iter().zip(kept).filter(|(_, kept)| *kept != Kept::Nothing) {
            self.apply(change, kept);
        }
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => {
                    file.seen = file.durable.clone();
                    file.sync_failed = false;
                }
                Node::Dir(dir) => {
                    dir.seen = Arc::clone(&dir.durable);
                    dir.sync_failed = false;
                }
                Node::Link(_) => {}
            }
        }
        self.forget_unreachable();
    }

    /// Drops inodes that no name leads to, seen, durable or about to be, and the changes that concern only them.
    fn forget_unreachable(&mut self) {
        let reachable = self.reachable();
        self.nodes.retain(|ino, _| reachable.contains(ino));
        self.pending.retain(|change| match change {
            Change::Link { at, .. } | Change::Unlink { at } => reachable.contains(&at.0),
            Change::Rename { from, to, .. } => reachable.contains(&from.0) || reachable.contains(&to.0),
            Change::Write { ino, .. } => reachable.contains(ino),
        });
    }

    fn reachable(&self) -> BTreeSet<Ino> {
        let mut reachable = BTreeSet::new();
        let mut next = vec![ROOT];
        loop {
            while let Some(ino) = next.pop() {
                if let (true, Some(Node::Dir(dir))) = (reachable.insert(ino), self.nodes.get(&ino)) {
                    next.extend(dir.seen.values().chain(dir.durable.values()));
                }
            }
            let named = self.pending.iter().filter_map(|change| match change {
                Change::Link { at, ino } if reachable.contains(&at.0) => Some(*ino),
                Change::Rename { to, ino, .. } if reachable.contains(&to.0) => Some(*ino),
                _ => None,
            });
            next.extend(named.filter(|ino| !reachable.contains(ino)));
            if next.is_empty() {
                return reachable;
            }
        }
    }

    /// Makes all of what is seen durable, without a call.
    pub(super) fn settle(&mut self) {
        for change in core::mem::take(&mut self.pending) {
            self.apply(&change, Kept::Whole);
        }
        self.forget_unreachable();
    }

    /// Ways to crash now that leave different disks: all subsets of a few changes, a choice among many.
    pub(super) fn distinct_crashes(&self) -> Vec<Crash> {
        let count = self.pending.len();
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let mut choices = vec![Crash::LoseAll, Crash::KeepAll, Crash::NamesOnly, Crash::Zeroed, Crash::Torn];
        choices.extend((1..count).map(|at| Crash::Prefix(number(at))));
        choices.extend((0..count).map(|at| Crash::Without(number(at))));
        if count <= FEW {
            choices.extend((1..1_u64 << count).map(Crash::Subset));
        } else {
            choices.extend((0..MANY).map(Crash::Random));
        }
        let mut images = BTreeSet::new();
        choices.retain(|choice| {
            let mut after = self.clone();
            after.crash(*choice);
            images.insert(after.fingerprint())
        });
        choices
    }

    /// Equal for two disks on which the same is seen. Sixteen hex digits at the end of a name are random, and
    /// which ones they are does not count.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_node(ROOT, &mut hasher);
        hasher.finish()
    }

    fn hash_node(&self, ino: Ino, hasher: &mut DefaultHasher) {
        match self.nodes.get(&ino) {
            Some(Node::File(file)) => (0, file.mode, &file.seen).hash(hasher),
            Some(Node::Link(target)) => (1, target).hash(hasher),
            Some(Node::Dir(dir)) => {
                (2, dir.mode, dir.seen.len()).hash(hasher);
                self.hash_entries(dir, hasher);
            }
            None => 3.hash(hasher),
        }
    }

    fn hash_entries(&self, dir: &Dir, hasher: &mut DefaultHasher) {
        let mut entries: Vec<(String, u64)> = Vec::with_capacity(dir.seen.len());
        for (name, ino) in dir.seen.iter() {
            let mut below = DefaultHasher::new();
            self.hash_node(*ino, &mut below);
            entries.push((super::masked(&name.to_string_lossy()).into_owned(), below.finish()));
        }
        entries.sort_unstable();
        entries.hash(hasher);
    }
}

/// Up to so many pending changes all subsets are tried, past it so many random ones.
const FEW: usize = 5;
const MANY: u64 = 16;

/// What a crash keeps of each change: its choice, and whatever must have come before what it chose.
fn all_kept(pending: &[Change], crash: Crash) -> Vec<Kept> {
    let mut random = Draw::new(crash);
    let chosen = pending.iter().enumerate().map(|(at, change)| chosen(crash, at, change, &mut random));
    let chosen: Vec<Kept> = chosen.collect();
    let mut needed: Vec<bool> = chosen.iter().map(|kept| *kept != Kept::Nothing).collect();
    add_what_comes_before(pending, &mut needed);
    let forced = |(kept, needed)| if needed && kept == Kept::Nothing { Kept::Whole } else { kept };
    chosen.into_iter().zip(needed).map(forced).collect()
}

/// Marks every change that another marked one must follow, because both are about the same entry.
fn add_what_comes_before(pending: &[Change], marked: &mut [bool]) {
    for at in (0..pending.len()).rev() {
        if marked.get(at) != Some(&true) {
            continue;
        }
        for (earlier, mark) in pending.iter().zip(marked.iter_mut()).take(at) {
            *mark |= pending.get(at).is_some_and(|change| change.shares_a_spot(earlier));
        }
    }
}

fn chosen(crash: Crash, at: usize, change: &Change, random: &mut Draw) -> Kept {
    let is_write = matches!(change, Change::Write { .. });
    let whole = |keep: bool| if keep { Kept::Whole } else { Kept::Nothing };
    match crash {
        Crash::LoseAll => Kept::Nothing,
        Crash::KeepAll => Kept::Whole,
        Crash::NamesOnly => whole(!is_write),
        Crash::Zeroed if is_write => Kept::Zeros,
        Crash::Torn if is_write => Kept::Cut(128),
        Crash::Zeroed | Crash::Torn => Kept::Whole,
        Crash::Prefix(count) => whole(at < count as usize),
        Crash::Without(number) => whole(at != number as usize),
        Crash::Subset(bits) => {
            whole(u32::try_from(at).ok().and_then(|at| bits.checked_shr(at)).unwrap_or(0) & 1 == 1)
        }
        Crash::Random(_) => match random.next() % 8 {
            0..3 => Kept::Nothing,
            3 if is_write => Kept::Zeros,
            4 | 5 if is_write => Kept::Cut((random.next() % 256) as u8),
            _ => Kept::Whole,
        },
    }
}

fn write_through(file: &mut File, range: &Range<usize>, kept: Kept) {
    if kept == Kept::Whole && *range == (0..file.seen.len()) {
        file.durable = file.seen.clone();
        return;
    }
    let Some(bytes) = file.seen.bytes().get(range.clone()) else {
        return;
    };
    let length = match kept {
        Kept::Nothing => return,
        Kept::Whole | Kept::Zeros => bytes.len(),
        Kept::Cut(part) => bytes.len() * usize::from(part) / 256,
    };
    let durable = file.durable.edit();
    let end = range.start + length;
    durable.resize(durable.len().max(end), 0);
    if let (Some(to), Some(from), true) =
        (durable.get_mut(range.start..end), bytes.get(..length), kept != Kept::Zeros)
    {
        to.copy_from_slice(from);
    }
}

/// SplitMix64: enough to draw subsets, the same for ever.
struct Draw(u64);

impl Draw {
    fn new(crash: Crash) -> Self {
        Self(if let Crash::Random(seed) = crash { seed } else { 0 })
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
