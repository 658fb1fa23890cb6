//! Counts the steps of a run and says which fault strikes at each; and the disk's calls on their way past it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetkey_agent::store::{Entry, Filesystem, NewFile};
use fleetkey_model::certificate::CertificateId;

use crate::device::Home;
use crate::disk::{self, Crash, Errno, Op, Side, SimDisk, View};
use crate::moment::{Kept, Moment};
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
    dark: Option<Crash>,
    /// An episode of a failing disk: with what, for how many calls more.
    episode: Option<(Errno, u32)>,
    places: Option<Vec<Stop>>,
    /// The disk whose ways to crash are noted with the places.
    crashing: Option<SimDisk>,
    trace: Option<Vec<String>>,
    struck: usize,
    idle: usize,
    moments: Vec<Moment>,
    kept: Vec<Kept>,
}

/// A step of a run that was noted.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Where.
    pub place: Place,
    /// The ways to crash there that leave different disks.
    pub crashes: Vec<Crash>,
}

/// Says which identities a program could come to use if it found this.
pub type Eyes = fn(&View<'_>) -> Vec<CertificateId>;

/// The director of a run. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Director(Arc<Mutex<State>>);

impl Director {
    /// With the faults of a schedule before it.
    pub fn new(schedule: &Schedule) -> Self {
        let state = State { pending: schedule.faults.iter().copied().collect(), ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Notes every place from now on, and how this disk could crash there, for whoever enumerates them.
    pub fn record(&self, disk: &SimDisk) {
        let mut state = self.state();
        state.places = Some(Vec::new());
        state.crashing = Some(disk.share());
    }

    /// The places noted so far: the `n`th is that of step `n`, if they were noted from the beginning.
    pub fn places(&self) -> Vec<Stop> {
        self.state().places.take().unwrap_or_default()
    }

    /// What happened to disks and account since the last call, in its order.
    pub fn take_moments(&self) -> Vec<Moment> {
        core::mem::take(&mut self.state().moments)
    }

    /// Something happened that the invariants are judged by.
    pub fn happened(&self, moment: Moment) {
        self.state().moments.push(moment);
    }

    /// What a device's disk would hold after a power cut of this moment.
    pub fn look(&self, device: usize, disk: &SimDisk, eyes: Eyes) {
        let durable = eyes(&disk.view(Side::Durable));
        let seen = if disk.pending() == 0 { durable.clone() } else { eyes(&disk.view(Side::Seen)) };
        let kept = Kept { durable, seen };
        let mut state = self.state();
        if state.kept.len() <= device {
            state.kept.resize_with(device + 1, Kept::default);
        }
        if let Some(before) = state.kept.get_mut(device)
            && *before != kept
        {
            before.clone_from(&kept);
            state.moments.push(Moment::Disk { device, kept });
        }
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

    /// The fault that struck last had nothing to change.
    pub fn was_idle(&self) {
        self.note(|| "    (which changes nothing)".into());
        self.state().idle += 1;
    }

    /// How many of the faults that have struck changed something.
    pub fn effective(&self) -> usize {
        let state = self.state();
        state.struck.saturating_sub(state.idle)
    }

    /// Counts a step at `place`; the fault that strikes there, if one does.
    pub fn step(&self, place: Place) -> Option<Fault> {
        self.step_at(place, None)
    }

    fn step_at(&self, place: Place, path: Option<&Path>) -> Option<Fault> {
        let mut state = self.state();
        let ordinal = state.ordinal;
        state.ordinal += 1;
        let crashes = state.crashing.as_ref().map(SimDisk::crashes).unwrap_or_default();
        if let Some(places) = &mut state.places {
            places.push(Stop { place, crashes });
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
            let path = path.map(Path::to_string_lossy).unwrap_or_default();
            trace.push(
                format!("{ordinal:>5}  *** {fault} at {place:?} {}", disk::masked(&path)).trim_end().into(),
            );
        }
        Some(fault)
    }

    /// As [`Self::step`], for places where a cut ends everything.
    ///
    /// # Errors
    /// When the power is gone.
    pub fn powered_step(&self, place: Place) -> Result<Option<Fault>, Dark> {
        self.powered_step_at(place, None)
    }

    fn powered_step_at(&self, place: Place, path: Option<&Path>) -> Result<Option<Fault>, Dark> {
        self.powered()?;
        match self.step_at(place, path) {
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
    pub fn cut(&self, crash: Crash) {
        self.state().dark = Some(crash);
    }

    /// The power comes back; what the cut has kept.
    pub fn take_dark(&self) -> Option<Crash> {
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
    fn disk_step(&self, op: Op, path: &Path) -> Result<Option<Errno>, Dark> {
        let struck = self.powered_step_at(Place::Disk(op), Some(path))?;
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
    device: usize,
    eyes: Eyes,
}

impl Wired {
    /// The disk of a device, under `director`; after every call that changes it `eyes` look.
    pub fn new(home: &Home, director: &Director, eyes: Eyes) -> Self {
        let disk = Arc::new(home.disk.share());
        Self { disk, director: director.clone(), device: home.number, eyes }
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
        let done = run(&self.disk);
        self.look(op);
        done
    }

    fn look(&self, op: Op) {
        if op.changes() {
            self.director.look(self.device, &self.disk, self.eyes);
        }
    }
}

fn step(disk: &SimDisk, director: &Director, op: Op, path: &Path) -> io::Result<()> {
    let off = || io::Error::other("the power is off");
    let errno = director.disk_step(op, path).map_err(|Dark| off())?;
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
        let done = self.file.write_all(bytes);
        self.wired.look(Op::Write);
        done
    }

    fn sync(&mut self) -> io::Result<()> {
        step(&self.wired.disk, &self.wired.director, Op::Sync, &self.path)?;
        let done = self.file.sync();
        self.wired.look(Op::Sync);
        done
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
