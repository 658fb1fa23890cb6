//! How code is run: which interpreter, and how the two sides talk.
//!
//! `python3.*` and `nodejs*` run in the interpreter of this computer with a small program of ours, which loads the
//! handler: the event comes on standard input, the answer goes to file descriptor 3, and whatever the function
//! prints, descriptors 1 and 2, is its log. `provided*` runs the package's `bootstrap`, which talks HTTP
//! ([`api`]), as <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html> says.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::FunctionError;
use super::check::violation;
use super::record::Function;

pub(super) use interpreter::{Interpreter, Interpreters};

mod answer;
mod api;
mod environment;
mod interpreter;
mod process;

pub(super) use process::run;

/// Which kind of program runs a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `python3.*`.
    Python,
    /// `nodejs*`.
    Node,
    /// `provided*`.
    Provided,
}

/// One run.
pub(super) struct Run<'a> {
    pub(super) function: &'a Function,
    pub(super) arn: &'a str,
    pub(super) region: &'a str,
    /// The unpacked code.
    pub(super) code: &'a TempDir,
    /// What runs it.
    pub(super) interpreter: Interpreter,
    /// Home and temporary directory of the run, removed after it.
    pub(super) home: PathBuf,
    pub(super) request: &'a str,
    pub(super) stream: String,
    pub(super) event: Bytes,
    /// How long it may take.
    pub(super) limit: Duration,
    /// The end of that time, milliseconds since the epoch, for the function to know.
    pub(super) deadline: u64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The handler's answer, JSON.
    Answer(Bytes),
    /// The handler failed: `{"errorMessage", "errorType", …}`.
    Failed(Bytes),
    /// The process ended without an answer; its exit status in words.
    Exited(String),
    /// The time was over.
    TimedOut,
    /// The answer is larger than Lambda passes on.
    TooLarge,
}

impl Family {
    /// The family of a runtime's name.
    ///
    /// # Errors
    /// When Lambda has no such runtime, or this program cannot run it.
    pub(super) fn of(runtime: &str) -> Result<Self, FunctionError> {
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if runtime.strip_prefix("python3.").is_some_and(number) {
            return Ok(Self::Python);
        }
        if runtime.strip_prefix("nodejs").and_then(|rest| rest.strip_suffix(".x")).is_some_and(number) {
            return Ok(Self::Node);
        }
        if matches!(runtime, "provided" | "provided.al2" | "provided.al2023") {
            return Ok(Self::Provided);
        }
        if ["java", "dotnet", "ruby", "go1.x"].iter().any(|front| runtime.starts_with(front)) {
            return Err(FunctionError::InvalidParameter(format!(
                "The runtime {runtime} does not run here: the local IoT Core runs python3.*, nodejs*.x and provided*."
            )));
        }
        let constraint = "Member must satisfy enum value set: [nodejs22.x, python3.12, python3.13, provided.al2023, \
                          …] or be a valid ARN";
        Err(violation("runtime", runtime, constraint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_taken_by_its_family() {
        assert_eq!(Family::of("python3.12").unwrap(), Family::Python);
        assert_eq!(Family::of("nodejs22.x").unwrap(), Family::Node);
        assert_eq!(Family::of("provided.al2023").unwrap(), Family::Provided);
        assert_eq!(Family::of("java21").unwrap_err().code(), "InvalidParameterValueException");
        for runtime in ["", "python", "python3.", "python2.7", "node", "nodejs20", "python3.x"] {
            assert_eq!(Family::of(runtime).unwrap_err().code(), "ValidationException", "{runtime}");
        }
    }
}
