//! Counts the steps of a run and says which fault strikes at each; and the disk's calls on their way past it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetkey_agent::store::{Entry, Filesystem, NewFile};

use crate::disk::{self, Errno, Op, SimDisk};
use crate::schedule::{Fault, Planned, Schedule};

/// A place where something can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Between two steps of a device, or while it waits.
    Between,
    /// A call of the file system.
    Disk(Op),
    /// A request to the cloud.
    Ask,
    /// A CONNECT.
    Connect,
    /// SUBACK or echo of a verification.
    Tier,
    /// Something for the controller to hear, or an answer of its on the way to the device.
    Tell,
    /// A step of the controller.
    Control,
}

/// The power is gone: whoever runs, runs no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dark;

#[derive(Debug, Default)]
struct State {
    pending: VecDeque<Planned>,
    ordinal: u64,
    dark: Option<disk::Crash>,
    /// An episode of a failing disk: with what, for how many calls more.
    episode: Option<(Errno, u32)>,
    places: Option<Vec<Place>>,
    trace: Option<Vec<String>>,
    struck: usize,
}

/// The director of a run. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Director(Arc<Mutex<State>>);

impl Director {
    /// With the faults of a schedule before it.
    pub fn new(schedule: &Schedule) -> Self {
        let state = State { pending: schedule.faults.iter().copied().collect(), ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Notes every place from now on, for whoever enumerates them.
    pub fn record(&self) {
        self.state().places = Some(Vec::new());
    }

    /// The places noted so far: the `n`th is that of step `n`, if they were noted from the beginning.
    pub fn places(&self) -> Vec<Place> {
        self.state().places.clone().unwrap_or_default()
    }

    /// Keeps lines of what happens from now on.
    pub fn keep_trace(&self) {
        self.state().trace = Some(Vec::new());
    }

    /// Takes the lines.
    pub fn take_trace(&self) -> Vec<String> {
        self.state().trace.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Adds a line to the trace, if one is kept.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let mut state = self.state();
        let ordinal = state.ordinal;
        if let Some(trace) = &mut state.trace {
            trace.push(format!("{ordinal:>5}  {}", line()));
        }
    }

    /// The number of the next step.
    pub fn ordinal(&self) -> u64 {
        self.state().ordinal
    }

    /// How many faults have struck.
    pub fn struck(&self) -> usize {
        self.state().struck
    }

    /// Counts a step at `place`; the fault that strikes there, if one does.
    pub fn step(&self, place: Place) -> Option<Fault> {
        let mut state = self.state();
        let ordinal = state.ordinal;
        state.ordinal += 1;
        if let Some(places) = &mut state.places {
            places.push(place);
        }
        let found = state
            .pending
            .iter()
            .take_while(|planned| planned.at <= ordinal)
            .position(|planned| planned.fault.fits(place))?;
        let fault = state.pending.remove(found)?.fault;
        state.struck += 1;
        if let Fault::Cut(crash) = fault {
            state.dark = Some(crash);
        }
        if let Some(trace) = &mut state.trace {
            trace.push(format!("{ordinal:>5}  *** {fault}"));
        }
        Some(fault)
    }

    /// As [`Self::step`], for places where a cut ends everything.
    ///
    /// # Errors
    /// When the power is gone.
    pub fn powered_step(&self, place: Place) -> Result<Option<Fault>, Dark> {
        self.powered()?;
        match self.step(place) {
            Some(Fault::Cut(_)) => Err(Dark),
            other => Ok(other),
        }
    }

    /// Whether there is power.
    ///
    /// # Errors
    /// When there is none.
    pub fn powered(&self) -> Result<(), Dark> {
        if self.state().dark.is_some() { Err(Dark) } else { Ok(()) }
    }

    /// Cuts the power now.
    pub fn cut(&self, crash: disk::Crash) {
        self.state().dark = Some(crash);
    }

    /// The power comes back; what the cut has kept.
    pub fn take_dark(&self) -> Option<disk::Crash> {
        self.state().dark.take()
    }

    /// Whether faults are still to come.
    pub fn has_faults(&self) -> bool {
        !self.state().pending.is_empty()
    }

    /// Nothing goes on any more by itself: goes on to the next fault that can strike then, and drops the others.
    pub fn skip_to_next(&self) {
        let mut state = self.state();
        while let Some(next) = state.pending.front().copied() {
            if next.fault.fits(Place::Between) {
                state.ordinal = state.ordinal.max(next.at);
                return;
            }
            state.pending.pop_front();
        }
    }

    /// No more faults.
    pub fn calm(&self) {
        let mut state = self.state();
        state.pending.clear();
        state.episode = None;
    }

    /// The error that a call of the disk meets; the device's own disk carries its effects out.
    fn disk_step(&self, op: Op) -> Result<Option<Errno>, Dark> {
        let struck = self.powered_step(Place::Disk(op))?;
        let mut state = self.state();
        if let Some(Fault::Disk(errno, calls)) = struck {
            state.episode = Some((errno, calls));
        }
        let Some((errno, left)) = state.episode else { return Ok(None) };
        if !Fault::Disk(errno, left).fits(Place::Disk(op)) {
            return Ok(None);
        }
        state.episode = left.checked_sub(1).filter(|left| *left > 0).map(|left| (errno, left));
        Ok(Some(errno))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A disk whose every call is a step of the run.
#[derive(Debug, Clone)]
pub struct Wired {
    disk: Arc<SimDisk>,
    director: Director,
}

impl Wired {
    /// `disk`, under `director`.
    pub fn new(disk: &SimDisk, director: &Director) -> Self {
        Self { disk: Arc::new(disk.share()), director: director.clone() }
    }

    /// Whether there is power.
    ///
    /// # Errors
    /// When there is none.
    pub fn powered(&self) -> Result<(), Dark> {
        self.director.powered()
    }

    fn call<T>(&self, op: Op, path: &Path, run: impl FnOnce(&SimDisk) -> io::Result<T>) -> io::Result<T> {
        step(&self.disk, &self.director, op, path)?;
        run(&self.disk)
    }
}

fn step(disk: &SimDisk, director: &Director, op: Op, path: &Path) -> io::Result<()> {
    let off = || io::Error::other("the power is off");
    let errno = director.disk_step(op).map_err(|Dark| off())?;
    if op.changes() {
        director.note(|| {
            let failed = errno.map(|errno| format!(" = {errno}")).unwrap_or_default();
            format!("      disk {op} {}{failed}", disk::masked(&path.to_string_lossy()))
        });
    }
    if let Some(errno) = errno {
        disk.fail(disk::Fault::once(0, errno).of(op));
    }
    Ok(())
}

/// An open file whose every call is a step.
struct WiredFile {
    file: Box<dyn NewFile>,
    path: PathBuf,
    wired: Wired,
}

impl NewFile for WiredFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        step(&self.wired.disk, &self.wired.director, Op::Write, &self.path)?;
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        step(&self.wired.disk, &self.wired.director, Op::Sync, &self.path)?;
        self.file.sync()
    }
}

impl Filesystem for Wired {
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn NewFile>> {
        let file = self.call(Op::Create, path, |disk| disk.create(path, mode))?;
        Ok(Box::new(WiredFile { file, path: path.to_owned(), wired: self.clone() }))
    }

    fn append(&self, path: &Path, mode: u32) -> io::Result<Box<dyn NewFile>> {
        let file = self.call(Op::Append, path, |disk| disk.append(path, mode))?;
        Ok(Box::new(WiredFile { file, path: path.to_owned(), wired: self.clone() }))
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.call(Op::CreateDir, path, |disk| disk.create_dir(path, mode))
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.call(Op::Symlink, link, |disk| disk.symlink(target, link))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Op::Rename, to, |disk| disk.rename(from, to))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Op::SyncDir, path, |disk| disk.sync_dir(path))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call(Op::RemoveFile, path, |disk| disk.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Op::RemoveDir, path, |disk| disk.remove_dir(path))
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.call(Op::Read, path, |disk| disk.read(path, limit))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.call(Op::ReadLink, path, |disk| disk.read_link(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.call(Op::List, path, |disk| disk.list(path))
    }
}
