//! Finding the interpreters of this computer.
//!
//! What PATH names may be a shim that needs the user's environment (pyenv, nvm); functions have none. So each
//! interpreter is asked once, in the full environment, where it really lies.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::Family;
use crate::functions::code::private_directory;

/// How long an interpreter may take to tell where it is.
const PATIENCE: Duration = Duration::from_secs(20);
const WHERE_PYTHON: &str =
    "import os, sys; assert sys.version_info[0] == 3; print(os.path.abspath(sys.executable))";
const WHERE_NODE: &str = "console.log(process.execPath)";

/// The interpreters, each looked for when it is first needed; one that is missing is looked for again.
#[derive(Debug)]
pub(in crate::functions) struct Interpreters {
    python: PathBuf,
    node: PathBuf,
    run: PathBuf,
    python_found: OnceCell<PathBuf>,
    node_found: OnceCell<PathBuf>,
}

/// What runs a function's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::functions) enum Interpreter {
    /// The executable file of Python 3.
    Python(PathBuf),
    /// The executable file of Node.
    Node(PathBuf),
    /// The package's own `bootstrap`.
    Bootstrap,
}

impl Interpreters {
    /// `run` is where runs have their homes.
    pub(in crate::functions) fn new(python: PathBuf, node: PathBuf, run: PathBuf) -> Self {
        Self { python, node, run, python_found: OnceCell::new(), node_found: OnceCell::new() }
    }

    /// The interpreter of a family.
    ///
    /// # Errors
    /// When there is none, for people.
    pub(in crate::functions) async fn find(&self, family: Family) -> Result<Interpreter, String> {
        match family {
            Family::Provided => Ok(Interpreter::Bootstrap),
            Family::Python => {
                let find = || ask(&self.python, &["-c", WHERE_PYTHON], "Python 3");
                self.python_found.get_or_try_init(find).await.cloned().map(Interpreter::Python)
            }
            Family::Node => {
                let find = || ask(&self.node, &["-e", WHERE_NODE], "Node.js");
                self.node_found.get_or_try_init(find).await.cloned().map(Interpreter::Node)
            }
        }
    }

    /// A home for one run.
    ///
    /// # Errors
    /// When the disk fails.
    pub(in crate::functions) fn home(&self) -> std::io::Result<TempDir> {
        private_directory(&self.run)
    }
}

async fn ask(program: &Path, arguments: &[&str], name: &str) -> Result<PathBuf, String> {
    let failed = |reason: String| {
        format!(
            "Functions of this runtime need {name}, and {} cannot be run ({reason}). Install it, or put it on PATH.",
            program.display()
        )
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("no answer in {PATIENCE:?}"))),
    };
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && path.is_absolute() && path.is_file() {
        return Ok(path);
    }
    Err(failed(output.status.to_string()))
}
