//! Recovery windows: which serials may recover by claim, and until when; kept in `operator/recovery.json`.
//!
//! The file is what is wanted. What the account makes of it (the hook's code, the recovery template) is brought into line by
//! [`crate::plan::Operator::keep_windows`], and [`Windows::is_settled`] says whether it was: a run that was killed between
//! the two has left word, and the next command, or a running controller, goes on from there. Pure but for reading and
//! writing the file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetkey_model::name::{SerialNumber, ThingName};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::files::{self, FileError, PRIVATE};

/// The name of the file in the operator's directory.
pub const WINDOWS_FILE: &str = "recovery.json";
/// The form that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// How many serials one window may name: the hook reads the whole list at each call.
pub const MOST_SERIALS: usize = 10_000;
/// How many windows that are over are remembered.
const MOST_OVER: usize = 100;

/// A window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its number, counted from 1 in each fleet directory.
    pub number: u32,
    /// Who may recover: these and nobody else.
    pub serials: BTreeSet<SerialNumber>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// Why it was opened.
    pub why: String,
    /// When it was closed, by a person or because its time was over.
    #[serde(default)]
    pub closed_at: Option<Timestamp>,
}

/// All windows of a fleet directory, the latest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    format: u32,
    /// The account was not brought into line with this yet.
    unsettled: bool,
    windows: Vec<Window>,
}

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file holds something else.
    #[error("{path} is damaged ({reason}); move it away, then run fleetkey recovery close, which shuts everybody out", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file of a later version.
    #[error("{path} was written by a newer version (format {format}, this one reads {FORMAT})", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Nobody is named.
    #[error("a recovery window is for serials that are named: --serial or --list")]
    Nobody,
    /// Too many are named.
    #[error("a recovery window names at most {MOST_SERIALS} serials, not {0}; open several")]
    TooMany(usize),
    /// There is no such window.
    #[error("there is no recovery window {0}; fleetkey recovery list names them")]
    None(u32),
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Window {
    /// Whether it lets anybody in at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.closed_at.is_none() && now < self.until
    }
}

impl Windows {
    /// What is kept in the operator's directory; none when there is no file.
    ///
    /// # Errors
    /// When the file is there and cannot be understood.
    pub fn read(directory: &Path) -> Result<Self, WindowError> {
        let path = directory.join(WINDOWS_FILE);
        let Some(text) = files::read(&path)? else {
            return Ok(Self::default());
        };
        let damaged =
            |error: serde_json::Error| WindowError::Damaged { path: path.clone(), reason: error.to_string() };
        let head: Head = serde_json::from_slice(&text).map_err(damaged)?;
        if head.format > FORMAT {
            return Err(WindowError::Newer { path, format: head.format });
        }
        serde_json::from_slice(&text).map_err(damaged)
    }

    /// Puts them on disk, durably.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), WindowError> {
        let path = directory.join(WINDOWS_FILE);
        let text = serde_json::to_vec_pretty(&Self { format: FORMAT, ..self.clone() });
        let text =
            text.map_err(|error| WindowError::Damaged { path: path.clone(), reason: error.to_string() })?;
        Ok(files::write(&path, &text, PRIVATE)?)
    }

    /// Opens a window for `span` from `now`; its number. One that is open for the same serials is prolonged instead, so
    /// that an order given twice opens one.
    ///
    /// # Errors
    /// When nobody is named, or too many.
    pub fn open(
        &mut self,
        now: Timestamp,
        serials: BTreeSet<SerialNumber>,
        span: Duration,
        why: &str,
    ) -> Result<u32, WindowError> {
        match serials.len() {
            0 => return Err(WindowError::Nobody),
            n if n > MOST_SERIALS => return Err(WindowError::TooMany(n)),
            _ => self.unsettled = true,
        }
        let until = now + span;
        let same = |window: &&mut Window| window.is_open(now) && window.serials == serials;
        if let Some(window) = self.windows.iter_mut().find(same) {
            window.until = window.until.max(until);
            why.clone_into(&mut window.why);
            return Ok(window.number);
        }
        let number = self.windows.iter().map(|window| window.number).max().unwrap_or(0).saturating_add(1);
        let why = why.to_owned();
        self.windows.push(Window { number, serials, opened_at: now, until, why, closed_at: None });
        let over = self.windows.iter().filter(|window| !window.is_open(now)).count();
        let mut surplus = over.saturating_sub(MOST_OVER);
        self.windows.retain(|window| {
            let goes = surplus > 0 && !window.is_open(now);
            surplus -= usize::from(goes);
            !goes
        });
        Ok(number)
    }

    /// Closes a window, or all of them; whether one was open. The account is to be brought into line in any case.
    ///
    /// # Errors
    /// When there is no window of this number.
    pub fn close(&mut self, now: Timestamp, number: Option<u32>) -> Result<bool, WindowError> {
        if let Some(number) = number
            && !self.windows.iter().any(|window| window.number == number)
        {
            return Err(WindowError::None(number));
        }
        self.unsettled = true;
        let chosen = |window: &&mut Window| number.is_none_or(|number| window.number == number);
        let mut closed = false;
        for window in self.windows.iter_mut().filter(chosen).filter(|window| window.closed_at.is_none()) {
            closed |= window.is_open(now);
            window.closed_at = Some(now.min(window.until));
        }
        Ok(closed)
    }

    /// Closes those whose time is over; whether there were any.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        for window in self.windows.iter_mut().filter(|window| window.closed_at.is_none()) {
            if now >= window.until {
                window.closed_at = Some(window.until);
                any = true;
            }
        }
        self.unsettled |= any;
        any
    }

    /// Whether the account is known to be in line with them.
    pub const fn is_settled(&self) -> bool {
        !self.unsettled
    }

    /// The account was brought into line.
    pub const fn settled(&mut self) {
        self.unsettled = false;
    }

    /// Whether there is anything to do at `now`: a window's time is over, or an earlier run has not come to its end.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.unsettled || self.windows.iter().any(|window| window.closed_at.is_none() && now >= window.until)
    }

    /// All of them, the latest last.
    pub fn all(&self) -> &[Window] {
        &self.windows
    }

    /// A window by its number.
    pub fn get(&self, number: u32) -> Option<&Window> {
        self.windows.iter().find(|window| window.number == number)
    }

    /// Those that let somebody in at `now`.
    pub fn open_at(&self, now: Timestamp) -> Vec<Window> {
        self.windows.iter().filter(|window| window.is_open(now)).cloned().collect()
    }

    /// When the last window that names a thing's serial and had begun at `moment` was opened.
    pub fn opened_for(&self, thing: &ThingName, moment: Timestamp) -> Option<Timestamp> {
        let names = |window: &&Window| {
            window.opened_at <= moment && window.serials.iter().any(|serial| serial.thing() == *thing)
        };
        self.windows.iter().filter(names).map(|window| window.opened_at).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn serials(names: &[&str]) -> BTreeSet<SerialNumber> {
        names.iter().map(|name| SerialNumber::new(*name).unwrap()).collect()
    }

    #[test]
    fn a_window_is_for_its_serials_and_its_time() {
        let mut windows = Windows::default();
        assert!(matches!(windows.open(at(0), serials(&[]), HOUR, "x"), Err(WindowError::Nobody)));
        assert_eq!(windows.open(at(10), serials(&["a", "b"]), HOUR, "x").unwrap(), 1);
        assert_eq!(windows.open(at(10), serials(&["c"]), 2 * HOUR, "x").unwrap(), 2);
        assert_eq!(windows.open_at(at(3609)).len(), 2);
        assert_eq!(windows.open_at(at(3610)).len(), 1);
        assert!(windows.open_at(at(7210)).is_empty());
        let a = ThingName::new("a").unwrap();
        assert_eq!(windows.opened_for(&a, at(20)), Some(at(10)));
        assert_eq!(windows.opened_for(&a, at(9)), None, "it began later");
    }

    #[test]
    fn the_same_order_twice_prolongs_one_window() {
        let mut windows = Windows::default();
        let first = windows.open(at(0), serials(&["a"]), HOUR, "x").unwrap();
        assert_eq!(windows.open(at(60), serials(&["a"]), HOUR, "y").unwrap(), first);
        assert_eq!((windows.all().len(), windows.all()[0].until), (1, at(3660)));
        let later = windows.open(at(3660), serials(&["a"]), HOUR, "z").unwrap();
        assert_ne!(later, first, "the first is over");
    }

    #[test]
    fn what_is_over_is_due_until_the_account_was_brought_into_line() {
        let mut windows = Windows::default();
        windows.open(at(0), serials(&["a"]), HOUR, "x").unwrap();
        assert!(windows.is_due(at(1)), "it was written and not carried out");
        windows.settled();
        assert!(!windows.is_due(at(3599)) && windows.is_due(at(3600)));
        assert!(windows.expire(at(4000)) && !windows.expire(at(4001)));
        assert_eq!(windows.all()[0].closed_at, Some(at(3600)));
        assert!(!windows.is_settled());
        windows.settled();
        assert!(!windows.is_due(at(9999)));
    }

    #[test]
    fn one_is_closed_by_its_number_and_all_without() {
        let mut windows = Windows::default();
        for name in ["a", "b", "c"] {
            windows.open(at(0), serials(&[name]), HOUR, "x").unwrap();
        }
        assert!(matches!(windows.close(at(1), Some(9)), Err(WindowError::None(9))));
        assert!(windows.close(at(1), Some(2)).unwrap());
        assert!(!windows.close(at(2), Some(2)).unwrap());
        assert_eq!(windows.open_at(at(3)).len(), 2);
        assert!(windows.close(at(4), None).unwrap());
        assert!(windows.open_at(at(5)).is_empty());
    }

    #[test]
    fn they_are_read_back_and_old_ones_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Windows::read(directory.path()).unwrap(), Windows::default());
        let mut windows = Windows::default();
        for n in 0..150u32 {
            windows.open(at(u64::from(n) * 10_000), serials(&["a"]), HOUR, "x").unwrap();
        }
        assert_eq!((windows.all().len(), windows.all().last().unwrap().number), (101, 150));
        windows.write(directory.path()).unwrap();
        let read = Windows::read(directory.path()).unwrap();
        assert_eq!(read.all(), windows.all());
        std::fs::write(directory.path().join(WINDOWS_FILE), "{").unwrap();
        let error = Windows::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("recovery.json is damaged"), "{error}");
    }
}
