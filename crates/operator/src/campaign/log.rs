//! Campaigns on disk: `campaigns/NAME.jsonl`, the plan and its devices in the first lines, then a line for everything that
//! changed; mode 0600. Who starts, pauses, resumes or aborts one leaves a file that the controller takes
//! (`NAME.order`): both may run at any time, and either may be killed.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::machine::{Campaign, Mode, Turn};
use super::plan::{BadPlan, Plan, is_name};
use crate::files::{self, FileError, PRIVATE};

/// The directory in the operator's directory.
const DIRECTORY: &str = "campaigns";
/// The form that this version writes and reads.
const FORMAT: u32 = 1;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
pub enum Line {
    /// The first.
    Plan {
        /// 1.
        format: u32,
        /// What is to be done.
        plan: Plan,
        /// With whom.
        things: Vec<ThingName>,
        /// Who began it, if that is still to be put on record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// Who began it stands in the journal.
    Entered {
        /// Since when.
        at: Timestamp,
    },
    /// A device is at another place.
    Turn {
        /// Which device.
        thing: ThingName,
        /// Where it is.
        turn: Turn,
    },
    /// The campaign stands otherwise.
    Mode {
        /// When that was.
        at: Timestamp,
        /// How it stands.
        mode: Mode,
    },
}

/// Who has left something for whoever carries campaigns out, which is to put it on record first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// Who, in words.
    pub who: String,
    /// Why, in words.
    pub why: String,
    /// What they have been told as the order's name, to find it by.
    pub id: String,
}

/// An order, as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// What is wanted.
    #[serde(flatten)]
    pub order: Order,
    /// By whom, if that is still to be put on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

/// What somebody wants of a campaign that there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "lowercase")]
pub enum Order {
    /// Tell nobody until it is resumed.
    Pause {
        /// Why, in words.
        why: String,
    },
    /// Go on.
    Resume,
    /// Tell nobody any more.
    Abort {
        /// Why, in words.
        why: String,
    },
    /// The same, and undo what can be.
    Rollback {
        /// Why, in words.
        why: String,
    },
}

impl Order {
    /// How the campaign stands once it is obeyed.
    pub fn mode(&self) -> Mode {
        match self.clone() {
            Self::Pause { why } => Mode::Paused { why },
            Self::Resume => Mode::Running,
            Self::Abort { why } => Mode::Aborted { why },
            Self::Rollback { why } => Mode::RolledBack { why },
        }
    }

    /// As the journal calls it.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "campaign pause",
            Self::Resume => "campaign resume",
            Self::Abort { .. } => "campaign abort",
            Self::Rollback { .. } => "campaign rollback",
        }
    }
}

/// Why a campaign cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] BadPlan),
    /// There is one of this name.
    #[error("there is a campaign {0} already; give this one another --name")]
    Taken(String),
    /// There is none of this name.
    #[error("there is no campaign {0}; fleetkey campaign list names them all")]
    Missing(String),
    /// It is not what this version writes.
    #[error("line {line} of {path} cannot be understood: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// The open file of a campaign.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    owed: Option<By>,
}

impl Log {
    /// Keeps a new campaign; whole or not at all. With `by` its beginning is put on record by whoever carries it out,
    /// before anything else. Blocking, as all of these.
    ///
    /// # Errors
    /// When the plan cannot be carried out, its name is taken, or the file cannot be written.
    pub fn create(
        operator: &Path,
        plan: Plan,
        things: Vec<ThingName>,
        by: Option<By>,
    ) -> Result<(), LogError> {
        plan.check(things.len())?;
        let path = file_of(operator, &plan.name, "jsonl")?;
        if path.exists() {
            return Err(LogError::Taken(plan.name));
        }
        files::make_directory(&operator.join(DIRECTORY))?;
        let line = text(&[Line::Plan { format: FORMAT, plan, things, by }]);
        Ok(files::write(&path, &line, PRIVATE)?)
    }

    /// Opens one to go on with it. A last line that a power cut has torn is taken away: nobody was told of what it says.
    ///
    /// # Errors
    /// When it is not there or cannot be understood.
    pub fn open(operator: &Path, name: &str) -> Result<(Self, Campaign), LogError> {
        let path = file_of(operator, name, "jsonl")?;
        let (campaign, length, owed) = parsed(&path, name)?;
        let failed = |error| FileError::new("open", &path, error);
        let file = OpenOptions::new().append(true).open(&path).map_err(failed)?;
        file.set_len(length).map_err(failed)?;
        Ok((Self { path, file, owed }, campaign))
    }

    /// Who began it, if that is still to be put on record.
    pub const fn owed(&self) -> Option<&By> {
        self.owed.as_ref()
    }

    /// Who began it stands in the journal.
    ///
    /// # Errors
    /// When that cannot be written: it is put on record once more, then.
    pub fn entered(&mut self, at: Timestamp) -> Result<(), FileError> {
        self.append(&[Line::Entered { at }])?;
        self.owed = None;
        Ok(())
    }

    /// Adds lines, durably.
    ///
    /// # Errors
    /// When they cannot be written: then nobody may be told of what they say.
    pub fn append(&mut self, lines: &[Line]) -> Result<(), FileError> {
        let before = self.file.metadata().map(|found| found.len());
        let written = before.and_then(|length| {
            let done = self.file.write_all(&text(lines)).and_then(|()| self.file.sync_data());
            if done.is_err() {
                // Half a line would be in the way of the next one.
                let _kept = self.file.set_len(length);
            }
            done
        });
        written.map_err(|error| FileError::new("write", &self.path, error))
    }
}

/// The names of all campaigns, in their order.
///
/// # Errors
/// When the directory cannot be read.
pub fn names(operator: &Path) -> Result<Vec<String>, FileError> {
    let path = operator.join(DIRECTORY);
    let failed = |error| FileError::new("read", &path, error);
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
        names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// A campaign as it is kept.
///
/// # Errors
/// When it is not there or cannot be understood.
pub fn read(operator: &Path, name: &str) -> Result<Campaign, LogError> {
    Ok(parsed(&file_of(operator, name, "jsonl")?, name)?.0)
}

/// Leaves an order for whoever carries the campaign out. A later one takes an earlier one's place.
///
/// # Errors
/// When there is no such campaign, or the order cannot be written.
pub fn order(operator: &Path, name: &str, left: &Left) -> Result<(), LogError> {
    if !file_of(operator, name, "jsonl")?.exists() {
        return Err(LogError::Missing(name.to_owned()));
    }
    let text = serde_json::to_vec(left).unwrap_or_default();
    Ok(files::write(&file_of(operator, name, "order")?, &text, PRIVATE)?)
}

/// Whether an order was left for whoever carries the campaign out.
pub fn has_order(operator: &Path, name: &str) -> bool {
    ["order", "taken"].iter().any(|ending| file_of(operator, name, ending).is_ok_and(|path| path.exists()))
}

/// The order that was left, if there is one. It is there until it is [`forget`]-ten: what it asks for is to be kept first.
///
/// # Errors
/// When it cannot be read, or one that cannot be understood cannot be removed.
pub fn take_order(operator: &Path, name: &str) -> Result<Option<Left>, LogError> {
    // Under another name first: one that comes meanwhile must not go with it.
    let (path, left) = (file_of(operator, name, "taken")?, file_of(operator, name, "order")?);
    if !path.exists() && left.exists() {
        files::rename(&left, &path)?;
    }
    let Some(text) = files::read(&path)? else {
        return Ok(None);
    };
    match serde_json::from_slice(&text) {
        Ok(left) => Ok(Some(left)),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "an order that cannot be understood");
            files::remove(&path)?;
            Ok(None)
        }
    }
}

/// The order that was taken is obeyed.
///
/// # Errors
/// When it cannot be removed: it is taken once more, then.
pub fn forget(operator: &Path, name: &str) -> Result<(), LogError> {
    Ok(files::remove(&file_of(operator, name, "taken")?)?)
}

fn file_of(operator: &Path, name: &str, ending: &str) -> Result<PathBuf, LogError> {
    match is_name(name) {
        true => Ok(operator.join(DIRECTORY).join(format!("{name}.{ending}"))),
        false => Err(LogError::Missing(name.to_owned())),
    }
}

fn text(lines: &[Line]) -> Vec<u8> {
    let mut text = Vec::new();
    for line in lines {
        // Nothing in a line can fail to be written to memory.
        let _ = serde_json::to_writer(&mut text, line);
        text.push(b'\n');
    }
    text
}

/// The campaign, how many bytes of the file say so, and who began it if that is not on record.
fn parsed(path: &Path, name: &str) -> Result<(Campaign, u64, Option<By>), LogError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(LogError::Missing(name.to_owned())),
        file => file.map_err(|error| FileError::new("open", path, error))?,
    };
    let (mut reader, mut length) = (BufReader::new(file), 0u64);
    let (mut campaign, mut owed): (Option<Campaign>, Option<By>) = (None, None);
    for number in 1.. {
        let mut text = Vec::new();
        reader.read_until(b'\n', &mut text).map_err(|error| FileError::new("read", path, error))?;
        if text.last() != Some(&b'\n') {
            break;
        }
        length += u64::try_from(text.len()).unwrap_or_default();
        let damaged = |reason: String| LogError::Damaged { path: path.to_owned(), line: number, reason };
        let line = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        match (line, &mut campaign) {
            (Line::Plan { format: FORMAT, plan, things, by }, None) => {
                plan.check(things.len())?;
                (campaign, owed) = (Some(Campaign::new(plan, things)), by);
            }
            (Line::Entered { .. }, Some(_)) => owed = None,
            (Line::Turn { thing, turn }, Some(campaign)) => campaign.restore_turn(&thing, turn),
            (Line::Mode { mode, .. }, Some(campaign)) => drop(campaign.set_mode(mode)),
            (Line::Plan { format, .. }, None) => return Err(damaged(format!("format {format}"))),
            _ => return Err(damaged("out of its place".into())),
        }
    }
    let damaged = || LogError::Damaged { path: path.to_owned(), line: 1, reason: "there is no plan".into() };
    Ok((campaign.ok_or_else(damaged)?, length, owed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::machine::tests::plan;

    fn things() -> Vec<ThingName> {
        ["a", "b", "c"].map(|name| ThingName::new(name).unwrap()).into()
    }

    fn told(second: u64) -> Turn {
        Turn::Told { at: Timestamp::from_secs(second), tries: 1, acknowledged: false }
    }

    #[test]
    fn a_campaign_is_read_back_as_it_was_and_a_torn_line_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let operator = directory.path();
        Log::create(operator, plan(), things(), None).unwrap();
        let (mut log, mut campaign) = Log::open(operator, "autumn").unwrap();
        assert_eq!(campaign, Campaign::new(plan(), things()));
        let mode = Mode::Paused { why: "rain".into() };
        let line = Line::Turn { thing: things().remove(1), turn: told(5) };
        log.append(&[line, Line::Mode { at: Timestamp::from_secs(6), mode: mode.clone() }]).unwrap();
        campaign.restore_turn(&things().remove(1), told(5));
        campaign.set_mode(mode);
        assert_eq!(read(operator, "autumn").unwrap(), campaign);

        let path = operator.join("campaigns/autumn.jsonl");
        let whole = std::fs::read(&path).unwrap();
        let torn = [whole.as_slice(), b"{\"line\":\"turn\",\"th"].concat();
        std::fs::write(&path, torn).unwrap();
        let (mut log, again) = Log::open(operator, "autumn").unwrap();
        assert_eq!(again, campaign);
        log.append(&[Line::Turn { thing: things().remove(2), turn: told(7) }]).unwrap();
        assert_eq!(read(operator, "autumn").unwrap().counts().told, 2);
        std::fs::write(&path, [whole.as_slice(), b"{}\n"].concat()).unwrap();
        assert!(read(operator, "autumn").unwrap_err().to_string().contains("line 4"));
    }

    #[test]
    fn a_name_is_taken_once_and_leads_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let operator = directory.path();
        assert_eq!(names(operator).unwrap(), Vec::<String>::new());
        Log::create(operator, plan(), things(), None).unwrap();
        assert!(matches!(Log::create(operator, plan(), things(), None), Err(LogError::Taken(_))));
        assert_eq!(names(operator).unwrap(), ["autumn"]);
        assert!(matches!(read(operator, "../autumn"), Err(LogError::Missing(_))));
        assert!(matches!(order(operator, "winter", &left(Order::Resume)), Err(LogError::Missing(_))));
    }

    fn left(order: Order) -> Left {
        Left { order, by: None }
    }

    #[test]
    fn an_order_is_there_until_it_is_obeyed_and_the_next_one_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let operator = directory.path();
        Log::create(operator, plan(), things(), None).unwrap();
        order(operator, "autumn", &left(Order::Pause { why: "rain".into() })).unwrap();
        let by = By { who: "ann".into(), why: "sun".into(), id: "7f".into() };
        let resume = Left { order: Order::Resume, by: Some(by) };
        order(operator, "autumn", &resume).unwrap();
        let taken = || take_order(operator, "autumn").unwrap();
        assert_eq!(taken(), Some(resume.clone()));
        let abort = left(Order::Abort { why: "enough".into() });
        order(operator, "autumn", &abort).unwrap();
        assert_eq!(taken(), Some(resume), "whoever took it may have been killed");
        for next in [Some(abort), None] {
            forget(operator, "autumn").unwrap();
            assert_eq!(taken(), next);
        }
        std::fs::write(operator.join("campaigns/autumn.order"), "{}").unwrap();
        assert_eq!((taken(), has_order(operator, "autumn")), (None, false));
        let words = br#"{"order":"pause","why":"rain"}"#;
        std::fs::write(operator.join("campaigns/autumn.order"), words).unwrap();
        assert_eq!(taken(), Some(left(Order::Pause { why: "rain".into() })));
    }

    #[test]
    fn who_began_it_is_owed_to_the_journal_until_it_is_entered() {
        let directory = tempfile::tempdir().unwrap();
        let operator = directory.path();
        let by = By { who: "ann".into(), why: "yearly".into(), id: "7f".into() };
        Log::create(operator, plan(), things(), Some(by.clone())).unwrap();
        let mut log = Log::open(operator, "autumn").unwrap().0;
        assert_eq!(log.owed(), Some(&by));
        log.entered(Timestamp::from_secs(5)).unwrap();
        assert_eq!(log.owed(), None);
        assert_eq!(Log::open(operator, "autumn").unwrap().0.owed(), None);
    }
}
