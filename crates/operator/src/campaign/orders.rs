//! What is ordered of a campaign: a file for each order (`NAME.order.NUMBER-…`), which lies there until whoever carries the
//! campaign out has put it on record and obeyed it, one after the other. Both may run at any time, and either may be
//! killed. An order that goes less far than one that is waiting is refused: after that one it changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::log::{LogError, file_of, files_of};
use super::machine::Mode;
use crate::files::{self, FileError, PRIVATE};

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

    /// What it is to do with a campaign, in words.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Abort { .. } => "abort",
            Self::Rollback { .. } => "roll back",
        }
    }

    /// How far it goes: what goes less far does not undo it.
    const fn rank(&self) -> u8 {
        match self {
            Self::Pause { .. } | Self::Resume => 0,
            Self::Abort { .. } => 1,
            Self::Rollback { .. } => 2,
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

/// An order that was taken.
#[derive(Debug)]
pub struct Taken {
    /// What was left.
    pub left: Left,
    path: PathBuf,
}

impl Taken {
    /// It is obeyed. Blocking.
    ///
    /// # Errors
    /// When it cannot be removed: it is taken once more, then.
    pub fn forget(&self) -> Result<(), FileError> {
        files::remove(&self.path)
    }
}

/// Leaves an order for whoever carries the campaign out, after those that are waiting.
///
/// # Errors
/// When there is no such campaign, an order that goes further is waiting, or this one cannot be written.
pub fn order(operator: &Path, name: &str, left: &Left) -> Result<(), LogError> {
    let number = may_order(operator, name, &left.order)?;
    // Two who order in the same moment leave two files.
    static LEFT: AtomicU64 = AtomicU64::new(0);
    let (process, count) = (std::process::id(), LEFT.fetch_add(1, Ordering::Relaxed));
    let path = file_of(operator, name, &format!("order.{number:08}-{process}-{count}"))?;
    let text = serde_json::to_vec(left).unwrap_or_default();
    Ok(files::write(&path, &text, PRIVATE)?)
}

/// Whether an order can be left; its number, if it is left now.
///
/// # Errors
/// When there is no such campaign, or an order that goes further is waiting.
pub fn may_order(operator: &Path, name: &str, order: &Order) -> Result<u64, LogError> {
    if !file_of(operator, name, "jsonl")?.exists() {
        return Err(LogError::Missing(name.to_owned()));
    }
    let mut number = 1;
    for (earlier, path) in waiting(operator, name)? {
        number = number.max(earlier.saturating_add(1));
        let further = understood(&path)?.filter(|waiting| waiting.order.rank() > order.rank());
        if let Some(further) = further {
            let (name, wanted) = (name.to_owned(), Box::new(order.clone()));
            return Err(LogError::Outranked { name, wanted, waiting: Box::new(further.order) });
        }
    }
    Ok(number)
}

/// The campaigns of which something is ordered.
///
/// # Errors
/// When the directory cannot be read.
pub fn ordered(operator: &Path) -> Result<BTreeSet<String>, FileError> {
    Ok(files_of(operator)?.iter().filter_map(|file| Some(parts(file)?.0.to_owned())).collect())
}

/// The next order that is waiting, if there is one. It lies there until it is [forgotten](Taken::forget): what it asks for
/// is to be kept first.
///
/// # Errors
/// When it cannot be read, or one that cannot be understood cannot be removed.
pub fn take_order(operator: &Path, name: &str) -> Result<Option<Taken>, LogError> {
    for (_, path) in waiting(operator, name)? {
        if let Some(left) = understood(&path)? {
            return Ok(Some(Taken { left, path }));
        }
        tracing::error!(path = %path.display(), "an order that cannot be understood");
        files::remove(&path)?;
    }
    Ok(None)
}

/// The orders of a campaign that are waiting, in their order.
fn waiting(operator: &Path, name: &str) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let mut waiting = Vec::new();
    for file in files_of(operator)? {
        if let Some((_, number, ending)) = parts(&file).filter(|(of, ..)| *of == name) {
            waiting.push((number, file_of(operator, name, ending)?));
        }
    }
    waiting.sort();
    Ok(waiting)
}

/// Of which campaign a file is an order, the so-manieth, and what comes after the campaign's name.
fn parts(file: &str) -> Option<(&str, u64, &str)> {
    let (name, ending) = file.split_once('.')?;
    let (number, whose) = ending.strip_prefix("order.")?.split_once('-')?;
    // Half of one that is being written is none.
    let is_whole = whose.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    Some((name, number.parse().ok().filter(|_| is_whole)?, ending))
}

/// `None` when there is nothing that can be understood.
fn understood(path: &Path) -> Result<Option<Left>, FileError> {
    Ok(files::read(path)?.and_then(|text| serde_json::from_slice(&text).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Log;
    use crate::campaign::machine::tests::plan;
    use fleetkey_model::name::ThingName;

    fn of_one() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let things = vec![ThingName::new("a").unwrap()];
        Log::create(directory.path(), plan(), things, None).unwrap();
        directory
    }

    fn left(order: Order) -> Left {
        Left { order, by: None }
    }

    fn why() -> String {
        "rain".into()
    }

    #[test]
    fn an_order_is_there_until_it_is_obeyed_and_the_next_one_after_it() {
        let directory = of_one();
        let operator = directory.path();
        assert!(matches!(order(operator, "winter", &left(Order::Resume)), Err(LogError::Missing(_))));
        let by = By { who: "ann".into(), why: "sun".into(), id: "7f".into() };
        let resume = Left { order: Order::Resume, by: Some(by) };
        let all = [left(Order::Pause { why: why() }), resume, left(Order::Abort { why: why() })];
        all.iter().for_each(|left| order(operator, "autumn", left).unwrap());
        assert_eq!(ordered(operator).unwrap(), ["autumn".to_owned()].into());
        let taken = || take_order(operator, "autumn").unwrap();
        for expected in &all {
            assert_eq!(taken().unwrap().left, *expected);
            let again = taken().unwrap();
            assert_eq!(again.left, *expected, "whoever took it may have been killed");
            again.forget().unwrap();
        }
        assert!(taken().is_none() && ordered(operator).unwrap().is_empty());
        std::fs::write(operator.join("campaigns/autumn.order.00000001-7-0"), "{}").unwrap();
        std::fs::write(operator.join("campaigns/autumn.order.00000001-7-0.tmp"), "{}").unwrap();
        assert!(taken().is_none() && ordered(operator).unwrap().is_empty());
    }

    #[test]
    fn an_order_that_goes_less_far_than_one_that_is_waiting_is_refused() {
        let directory = of_one();
        let operator = directory.path();
        let give = |wanted: Order| order(operator, "autumn", &left(wanted));
        give(Order::Pause { why: why() }).unwrap();
        give(Order::Abort { why: why() }).unwrap();
        for weaker in [Order::Resume, Order::Pause { why: why() }] {
            let refused = give(weaker).unwrap_err().to_string();
            assert!(refused.contains("to abort is waiting"), "{refused}");
        }
        give(Order::Rollback { why: why() }).unwrap();
        assert!(matches!(give(Order::Abort { why: why() }), Err(LogError::Outranked { .. })));
        give(Order::Rollback { why: why() }).unwrap();
        let mut taken = Vec::new();
        while let Some(next) = take_order(operator, "autumn").unwrap() {
            next.forget().unwrap();
            taken.push(next.left.order.word());
        }
        assert_eq!(taken, ["pause", "abort", "roll back", "roll back"]);
    }
}
