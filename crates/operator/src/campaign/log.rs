//! Campaigns on disk: `campaigns/NAME.jsonl`, the plan and its devices in the first lines, then a line for everything that
//! changed; mode 0600. What somebody orders of one lies beside it ([`super::orders`]).

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::machine::{Baseline, Campaign, Mode, Seen, Step, Turn};
use super::orders::{By, Order};
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
    /// What its devices had when it was made.
    Baseline {
        /// Their certificates that the clocks do not tell from new ones.
        known: Vec<CertificateId>,
    },
    /// A device is seen on a new certificate, or on an older one again.
    Seen {
        /// Which device.
        thing: ThingName,
        /// On which; without, on an older one.
        seen: Option<Seen>,
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

impl Step {
    /// What is to be kept of it. How the campaign stands comes first: of lines that a power cut has torn, the next process
    /// finds the devices' places out by itself, but not that somebody was to look.
    pub fn lines(&self, now: Timestamp) -> Vec<Line> {
        let mode = self.mode.iter().map(|mode| Line::Mode { at: now, mode: mode.clone() });
        let seen = self.seen.iter().map(|(thing, seen)| Line::Seen { thing: thing.clone(), seen: *seen });
        let turns = self.turns.iter().map(|(thing, turn)| Line::Turn { thing: thing.clone(), turn: *turn });
        mode.chain(seen).chain(turns).collect()
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
    /// Something that goes further is waiting.
    #[error(
        "of campaign {name} the order to {} is waiting for the controller, and goes further: to {} it after that changes nothing",
        waiting.word(), wanted.word()
    )]
    Outranked {
        /// Which campaign.
        name: String,
        /// What is wanted.
        wanted: Box<Order>,
        /// What is waiting.
        waiting: Box<Order>,
    },
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

impl LogError {
    /// Whether it may be otherwise at the next try: the disk, or what is open at the moment.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::File(_))
    }
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
        let file = files::open(OpenOptions::new().append(true), &path).map_err(failed)?;
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
    let name = |file: &str| file.strip_suffix(".jsonl").filter(|name| is_name(name)).map(str::to_owned);
    let mut names: Vec<_> = files_of(operator)?.iter().filter_map(|file| name(file)).collect();
    names.sort();
    Ok(names)
}

/// The names of the files beside the campaigns, and theirs.
pub(super) fn files_of(operator: &Path) -> Result<Vec<String>, FileError> {
    let path = operator.join(DIRECTORY);
    let failed = |error| FileError::new("read", &path, error);
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

/// A campaign as it is kept.
///
/// # Errors
/// When it is not there or cannot be understood.
pub fn read(operator: &Path, name: &str) -> Result<Campaign, LogError> {
    Ok(parsed(&file_of(operator, name, "jsonl")?, name)?.0)
}

pub(super) fn file_of(operator: &Path, name: &str, ending: &str) -> Result<PathBuf, LogError> {
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
            (Line::Baseline { known }, Some(campaign)) => {
                let known = known.into_iter().map(|id| (id, None));
                campaign.set_baseline(Baseline::new(campaign.plan().created_at, known));
            }
            (Line::Seen { thing, seen }, Some(campaign)) => campaign.restore_seen(&thing, seen),
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

    fn created(operator: &Path, by: Option<By>) -> Result<(), LogError> {
        Log::create(operator, plan(), things(), by)
    }

    fn told(second: u64) -> Turn {
        Turn::Told { at: Timestamp::from_secs(second), tries: 1, acknowledged: false }
    }

    #[test]
    fn a_campaign_is_read_back_as_it_was_and_a_torn_line_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let operator = directory.path();
        created(operator, None).unwrap();
        let (mut log, mut campaign) = Log::open(operator, "autumn").unwrap();
        assert_eq!(campaign, Campaign::new(plan(), things()));
        let mode = Mode::Paused { why: "rain".into() };
        let id = CertificateId::of_der(b"old");
        let seen = Seen {
            certificate: CertificateId::of_der(b"new"),
            since: Timestamp::from_secs(4),
            at: Timestamp::from_secs(5),
        };
        let lines =
            [Line::Baseline { known: vec![id] }, Line::Seen { thing: things().remove(2), seen: Some(seen) }];
        log.append(&lines).unwrap();
        campaign.set_baseline(Baseline::new(plan().created_at, [(id, None)]));
        campaign.restore_seen(&things().remove(2), Some(seen));
        assert_eq!(read(operator, "autumn").unwrap(), campaign);
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
        assert!(read(operator, "autumn").unwrap_err().to_string().contains("line 6"));
    }

    #[test]
    fn a_name_is_taken_once_and_leads_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let operator = directory.path();
        assert_eq!(names(operator).unwrap(), Vec::<String>::new());
        created(operator, None).unwrap();
        assert!(matches!(created(operator, None), Err(LogError::Taken(_))));
        assert_eq!(names(operator).unwrap(), ["autumn"]);
        assert!(matches!(read(operator, "../autumn"), Err(LogError::Missing(_))));
    }

    #[test]
    fn who_began_it_is_owed_to_the_journal_until_it_is_entered() {
        let directory = tempfile::tempdir().unwrap();
        let operator = directory.path();
        let by = By { who: "ann".into(), why: "yearly".into(), id: "7f".into() };
        created(operator, Some(by.clone())).unwrap();
        let mut log = Log::open(operator, "autumn").unwrap().0;
        assert_eq!(log.owed(), Some(&by));
        log.entered(Timestamp::from_secs(5)).unwrap();
        assert_eq!(log.owed(), None);
        assert_eq!(Log::open(operator, "autumn").unwrap().0.owed(), None);
    }
}
