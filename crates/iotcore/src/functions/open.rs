//! How functions are opened: their directory, what a crash left in it, and what they may do.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::code::Code;
use super::log::Logs;
use super::runtime::Interpreters;
use super::{Functions, Inner};
use crate::clock::Clock;
use crate::document::{Document, DocumentError};
use crate::iam::Iam;

/// Processes at once. AWS gives new accounts ten.
const PROCESSES: usize = 10;
/// Invocations that run or wait, before one is refused.
const INVOCATIONS: usize = 1000;

/// What functions may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionsConfig {
    /// Whether functions' own code runs. It runs as the user who started this program, so only whoever proves to be
    /// that user may bring it.
    pub allow_code: bool,
    /// The interpreter of `python3.*` runtimes, a path or a name on PATH.
    pub python: PathBuf,
    /// The interpreter of `nodejs*` runtimes.
    pub node: PathBuf,
}

impl Default for FunctionsConfig {
    /// `python3` and `node`, as PATH has them; code runs.
    fn default() -> Self {
        Self { allow_code: true, python: "python3".into(), node: "node".into() }
    }
}

/// Why functions cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FunctionsError {
    /// Their directory cannot be made or cleared.
    #[error("cannot prepare {}: {source}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What they are cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

pub(super) fn open(
    data_dir: &Path,
    config: FunctionsConfig,
    iam: Iam,
    clock: Arc<dyn Clock>,
) -> Result<Functions, FunctionsError> {
    let directory = data_dir.join("functions");
    let [zips, unpacked, run] = ["zips", "unpacked", "run"].map(|name| directory.join(name));
    // Unpacked code is not synced, and of a run nothing is kept: both are made anew.
    for path in [&unpacked, &run] {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path, error)),
            _ => {}
        }
    }
    for path in [&zips, &unpacked, &run] {
        make_private(path).map_err(|source| failed(path, source))?;
    }
    Ok(Functions(Arc::new(Inner {
        state: Document::open(directory.join("functions.json"))?,
        code: Code::new(zips, unpacked),
        logs: Logs::default(),
        interpreters: Interpreters::new(config.python, config.node, run),
        allow_code: config.allow_code,
        scope: iam.scope().clone(),
        iam,
        clock,
        turn: Mutex::default(),
        slots: Arc::new(Semaphore::new(PROCESSES)),
        waiting: Arc::new(Semaphore::new(INVOCATIONS)),
        running: TaskTracker::new(),
        stop: CancellationToken::new(),
    })))
}

fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn failed(path: &Path, source: io::Error) -> FunctionsError {
    FunctionsError::Directory { path: path.to_owned(), source }
}
