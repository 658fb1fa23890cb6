//! The eye on one process: names every call that is a point, keeps the trace, and strikes where it was told to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::point::{IDLE, Newest, Point, counts, durable_state, target_name};
use crate::trace::{Call, Errno, Next, Operation, Watch};

/// What to do, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aim {
    /// Nothing: look on.
    Nothing,
    /// Kill after so many points, counted from 1.
    Count(u64),
    /// Kill at this point.
    At(Point),
    /// Let the call of this point fail, once, instead of being made.
    Fail(Point, Errno),
}

/// One point that was reached while the eye was on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The point.
    pub point: Point,
    /// The same by the state before the call, which is what it is called when it is to fail. Only the renaming of
    /// a record makes a difference between the two.
    pub place: Point,
    /// The call itself.
    pub call: Call,
    /// What it returned.
    pub result: u64,
}

/// What has been seen since counting began.
#[derive(Debug, Default)]
struct Sight {
    aim: Option<Aim>,
    ordinals: HashMap<(String, &'static str, String), u32>,
    seen: Vec<Seen>,
    struck: Option<Point>,
    /// The newest sockets by number.
    newest: Newest,
    /// The same when counting began.
    before: Newest,
    state: String,
    /// The record's name is in place and its directory not synced yet.
    unsynced: bool,
    /// Whether a record with something under way has been written since counting began.
    begun: bool,
}

/// The eye; clones are the same eye.
#[derive(Debug, Clone)]
pub struct Eye {
    state_dir: PathBuf,
    sight: Arc<Mutex<Sight>>,
    records: watch::Sender<String>,
}

impl Eye {
    /// An eye on whoever works in `state_dir`; it does not count yet.
    pub fn on(state_dir: &Path) -> Self {
        let state = durable_state(state_dir);
        let sight = Sight { state: state.clone(), ..Sight::default() };
        let (records, _) = watch::channel(state);
        Self { state_dir: state_dir.to_owned(), sight: Arc::new(Mutex::new(sight)), records }
    }

    /// Begins to count, from nothing.
    pub fn begin(&self, aim: Aim) {
        let mut sight = self.look();
        let Sight { newest, unsynced, .. } = *sight;
        let state = core::mem::take(&mut sight.state);
        *sight = Sight { aim: Some(aim), newest, before: newest, state, unsynced, ..Sight::default() };
    }

    /// Begins to count before the process has begun. Who asks it how it is, is not part of what it does.
    pub fn begin_at_start(&self, aim: Aim) {
        self.begin(aim);
        self.look().before.accepted = u32::MAX;
    }

    /// Stops counting.
    pub fn end(&self) {
        self.look().aim = None;
    }

    /// The points that were reached since counting began.
    pub fn seen(&self) -> Vec<Seen> {
        self.look().seen.clone()
    }

    /// Where it struck, if it did.
    pub fn struck(&self) -> Option<Point> {
        self.look().struck.clone()
    }

    /// Whether it has killed the process.
    pub fn has_killed(&self) -> bool {
        self.look().has_killed()
    }

    /// The durable states as they come: news of every record that is renamed into place, and of its directory's sync.
    pub fn records(&self) -> watch::Receiver<String> {
        self.records.subscribe()
    }

    /// Whether the last record says that nothing is under way, and is durable.
    pub fn is_idle(&self) -> bool {
        let sight = self.look();
        sight.state == IDLE && !sight.unsynced
    }

    /// Whether, since counting began, something was under way and is over.
    pub fn is_over(&self) -> bool {
        let begun = self.look().begun;
        begun && self.is_idle()
    }

    fn look(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record as it is now: the thread that has just renamed it stands still, and no other writes it.
    fn take_in_record(&self, sight: &mut Sight) {
        sight.state = durable_state(&self.state_dir);
        sight.unsynced = true;
        sight.begun |= sight.state != IDLE;
        self.records.send_replace(sight.state.clone());
    }
}

impl Watch for Eye {
    fn entering(&mut self, call: &Call) -> Option<Errno> {
        let mut sight = self.look();
        let Some(Aim::Fail(wanted, errno)) = sight.aim.clone() else { return None };
        let point = sight.point(call, &self.state_dir)?;
        if point != wanted || sight.struck.is_some() {
            return None;
        }
        sight.struck = Some(point);
        Some(errno)
    }

    fn done(&mut self, call: &Call, result: Result<u64, Errno>) -> Next {
        let mut sight = self.look();
        let begun = call.operation == Operation::Connect && result == Err(Errno::EINPROGRESS);
        let result = match result {
            Ok(result) if call.operation.had_effect(result) => result,
            Err(_) if begun => 0,
            _ => return Next::Go,
        };
        sight.newest.meet(&call.target);
        let place = sight.point(call, &self.state_dir);
        let renamed = call.operation == Operation::Rename;
        if renamed && call.target.path() == Some(&*self.state_dir.join("state.json")) {
            self.take_in_record(&mut sight);
        }
        let next = match (place, sight.point(call, &self.state_dir)) {
            (Some(place), Some(point)) => sight.count(Seen { point, place, call: call.clone(), result }),
            _ => Next::Go,
        };
        if call.operation == Operation::Sync && call.target.path() == Some(&*self.state_dir) {
            sight.unsynced = false;
            self.records.send_replace(sight.state.clone());
        }
        next
    }
}

impl Sight {
    /// The name that a call has if it takes effect in the state of this moment.
    fn point(&self, call: &Call, state_dir: &Path) -> Option<Point> {
        if self.aim.is_none() || !counts(call.operation, &call.target) {
            return None;
        }
        let target = target_name(&call.target, state_dir, self.before)?;
        let key = (self.state.clone(), call.name, target);
        let ordinal = self.ordinals.get(&key).copied().unwrap_or(0).saturating_add(1);
        let (state, call, target) = key;
        Some(Point { state, call, target, ordinal })
    }

    fn has_killed(&self) -> bool {
        self.struck.is_some() && !matches!(self.aim, Some(Aim::Fail(..)))
    }

    /// What comes after the kill, by threads that die a moment later, is no point.
    fn count(&mut self, seen: Seen) -> Next {
        if self.has_killed() {
            return Next::Go;
        }
        let point = seen.point.clone();
        self.ordinals.insert((point.state.clone(), point.call, point.target.clone()), point.ordinal);
        self.seen.push(seen);
        let strikes = match &self.aim {
            Some(Aim::Count(wanted)) => self.seen.len() as u64 == *wanted,
            Some(Aim::At(wanted)) => point == *wanted,
            _ => false,
        };
        if strikes {
            self.struck = Some(point);
            return Next::Kill;
        }
        Next::Go
    }
}
