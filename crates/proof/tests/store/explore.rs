//! One operation of the store, cut off and refused at each of its calls, and what is found after each.

use fleetkey_agent::store::{FaultKind, Store, StoreFault};
use fleetkey_proof::disk::{Crash, Errno, Fault, SimDisk};

use super::state::{Export, State, exported, open};

type Act = Box<dyn Fn(&Store, &SimDisk) -> Result<(), StoreFault>>;

/// Whether the store is open when the operation begins, or opening it is a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Warm,
    Cold,
}

/// An operation on a disk that is at rest.
pub(crate) struct Case {
    before: SimDisk,
    start: Start,
    act: Act,
    /// What may be found besides the old and the new state.
    also: fn(&State) -> bool,
    old: State,
    new: State,
    /// The old state may be there again after an fsync that failed and one that lied.
    comes_back: bool,
    exports: [Option<Export>; 2],
    /// The calls of the operation that change the disk.
    pub(crate) calls: u64,
}

/// How much was tried.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) crashes: u64,
    pub(crate) second_crashes: u64,
    pub(crate) faults: u64,
}

/// What broke the promise, with what to run again.
pub(crate) type Broken = String;

const ERRNOS: [Errno; 3] = [Errno::NoSpace, Errno::ReadOnly, Errno::Io];

impl Case {
    /// `act` on what `before` has made. Both must succeed on a disk without faults.
    pub(crate) fn new(
        before: impl FnOnce(&Store, &SimDisk),
        act: impl Fn(&Store, &SimDisk) -> Result<(), StoreFault> + 'static,
    ) -> Self {
        let disk = SimDisk::new();
        before(&open(&disk).unwrap(), &disk);
        Self::on(disk, Start::Warm, act)
    }

    /// `act` on a disk, once it is at rest.
    pub(crate) fn on(
        disk: SimDisk,
        start: Start,
        act: impl Fn(&Store, &SimDisk) -> Result<(), StoreFault> + 'static,
    ) -> Self {
        disk.settle();
        let done = disk.clone();
        let store = (start == Start::Warm).then(|| open(&done).unwrap());
        let begun = done.changes();
        act(&store.unwrap_or_else(|| open(&done).unwrap()), &done).unwrap();
        let calls = done.changes() - begun;
        let (old, new) = (State::of(&disk), State::of(&done));
        let exports = [exported(&disk), exported(&done)];
        Self {
            before: disk,
            start,
            act: Box::new(act),
            also: |_| false,
            comes_back: false,
            old,
            new,
            exports,
            calls,
        }
    }

    /// Allows states between the old and the new one.
    pub(crate) fn or(self, also: fn(&State) -> bool) -> Self {
        Self { also, ..self }
    }

    /// The operation says Ok when it finds that it has been done: after an fsync of a directory that failed and
    /// one that lied, the old state may be there again. It harms nobody, and the next start does it again.
    pub(crate) fn may_come_back(self) -> Self {
        Self { comes_back: true, ..self }
    }

    pub(crate) fn old(&self) -> &State {
        &self.old
    }

    pub(crate) fn new_state(&self) -> &State {
        &self.new
    }

    /// Tries everything; `Err` tells the first promise that was broken.
    pub(crate) fn explore(&self) -> Result<Tried, Broken> {
        let mut tried = Tried::default();
        for call in 0..=self.calls {
            self.cut_at(call, &mut tried).map_err(|what| format!("power cut at call {call}: {what}"))?;
        }
        for call in 0..self.calls {
            for errno in ERRNOS {
                for fault in [Fault::once(call, errno), Fault::lasting(call, errno)] {
                    self.refuse(fault, &mut tried).map_err(|what| format!("{fault}: {what}"))?;
                }
            }
        }
        Ok(tried)
    }

    /// A copy of the disk and, unless that is a part of the operation, the store on it.
    fn begin(&self) -> Result<(SimDisk, Option<Store>), Broken> {
        let disk = self.before.clone();
        let store = match self.start {
            Start::Warm => Some(fine(open(&disk))?),
            Start::Cold => None,
        };
        Ok((disk, store))
    }

    fn run(&self, store: Option<&Store>, disk: &SimDisk) -> Result<(), StoreFault> {
        match store {
            Some(store) => (self.act)(store, disk),
            None => (self.act)(&open(disk)?, disk),
        }
    }

    /// The power goes after `call` calls.
    fn cut_at(&self, call: u64, tried: &mut Tried) -> Result<(), Broken> {
        let (disk, store) = self.begin()?;
        disk.cut_power(call);
        let done = self.run(store.as_ref(), &disk);
        self.check_readers(&disk)?;
        for crash in disk.crashes() {
            tried.crashes += 1;
            let after = disk.clone();
            after.crash(crash);
            self.check_crashed(&after, done.is_ok(), tried).map_err(|what| format!("{crash}: {what}"))?;
        }
        no_violations(&disk)
    }

    fn check_crashed(&self, after: &SimDisk, done: bool, tried: &mut Tried) -> Result<(), Broken> {
        self.check(after, done)?;
        self.check_readers(after)?;
        let again = after.clone();
        let begun = again.changes();
        self.repeat(&again)?;
        for call in 0..again.changes() - begun {
            tried.second_crashes += 1;
            self.cut_again(after, call).map_err(|what| format!("second cut at call {call}: {what}"))?;
        }
        Ok(())
    }

    /// The power goes once more while the repetition runs.
    fn cut_again(&self, after: &SimDisk, call: u64) -> Result<(), Broken> {
        let disk = after.clone();
        disk.cut_power(call);
        let done = self.run(None, &disk).is_ok();
        for crash in [Crash::LoseAll, Crash::KeepAll, Crash::NamesOnly, Crash::Torn, Crash::Random(call)] {
            let after = disk.clone();
            after.crash(crash);
            self.check(&after, done).map_err(|what| format!("{crash}: {what}"))?;
            self.repeat(&after).map_err(|what| format!("{crash}: {what}"))?;
        }
        no_violations(&disk)
    }

    /// The disk refuses; then it is repaired, with or without a power cut in between.
    fn refuse(&self, fault: Fault, tried: &mut Tried) -> Result<(), Broken> {
        let (disk, store) = self.begin()?;
        disk.fail(fault);
        let done = self.run(store.as_ref(), &disk);
        self.check_readers(&disk)?;
        check_class(fault, &done)?;
        self.check(&disk, done.is_ok())?;
        self.serves_meanwhile(&disk)?;
        for crash in disk.crashes() {
            tried.faults += 1;
            let after = disk.clone();
            after.crash(crash);
            after.lift();
            let told = |what| format!("then {crash}: {what}");
            self.check(&after, done.is_ok()).map_err(told)?;
            self.repeat(&after).map_err(told)?;
        }
        disk.lift();
        fine(self.run(store.as_ref(), &disk))
            .map_err(|what| format!("the same process repeats it: {what}"))?;
        disk.crash(Crash::LoseAll);
        let gone = !(self.comes_back && fault.errno != Errno::ReadOnly);
        self.check(&disk, gone).map_err(|what| format!("repeated by the same process: {what}"))?;
        no_violations(&disk)
    }

    /// A disk that goes on refusing opens, and what it holds is read.
    fn serves_meanwhile(&self, disk: &SimDisk) -> Result<(), Broken> {
        let copy = disk.clone();
        let store = fine(open(&copy))?;
        let scan = fine(store.scan())?;
        let read = store.read_record().map_err(|error| error.to_string())?;
        let found = State {
            record: Ok(read),
            slots: scan.slots,
            aside: scan.aside.len(),
            export: exported(&copy),
            left: 0,
        };
        self.judge(&found, false)
    }

    /// The same again, from a start; it succeeds, and its effect is durable.
    fn repeat(&self, disk: &SimDisk) -> Result<(), Broken> {
        fine(self.run(None, disk)).map_err(|what| format!("repeating it fails: {what}"))?;
        self.check(disk, true).map_err(|what| format!("repeated: {what}"))?;
        let after = disk.clone();
        after.crash(Crash::LoseAll);
        self.check(&after, true).map_err(|what| format!("repeated and synced: {what}"))
    }

    fn check(&self, disk: &SimDisk, done: bool) -> Result<(), Broken> {
        self.judge(&State::of(disk), done)
    }

    fn judge(&self, found: &State, done: bool) -> Result<(), Broken> {
        let expected = if done { "the new state" } else { "the old state or the new" };
        if *found == self.new || !done && (*found == self.old || found.is_whole() && (self.also)(found)) {
            return Ok(());
        }
        Err(format!("{expected} was expected\nfound: {found:#?}\nold: {:#?}\nnew: {:#?}", self.old, self.new))
    }

    /// A program that reads the export at this moment gets the old files or the new ones.
    fn check_readers(&self, disk: &SimDisk) -> Result<(), Broken> {
        let seen = exported(disk);
        if self.exports.contains(&seen) {
            Ok(())
        } else {
            Err(format!("a reader of the export sees {seen:?}"))
        }
    }
}

/// What the caller decides by is the class of the fault.
fn check_class(fault: Fault, done: &Result<(), StoreFault>) -> Result<(), Broken> {
    let kind = match fault.errno {
        Errno::NoSpace | Errno::Quota => FaultKind::Full,
        Errno::ReadOnly => FaultKind::ReadOnly,
        _ => FaultKind::Io,
    };
    match done {
        Err(reported) if reported.kind != kind => Err(format!("reported as {:?}: {reported}", reported.kind)),
        _ => Ok(()),
    }
}

fn fine<T>(done: Result<T, StoreFault>) -> Result<T, Broken> {
    done.map_err(|fault| fault.to_string())
}

fn no_violations(disk: &SimDisk) -> Result<(), Broken> {
    match disk.violations().first() {
        None => Ok(()),
        Some(violation) => Err(violation.clone()),
    }
}
