//! What goes to standard output: one JSON object a line, or words and bars for a terminal.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

/// Whom the output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A program: JSON lines.
    Program,
    /// A person at a terminal.
    Person,
}

impl Audience {
    /// A program if it was asked for or nobody watches.
    pub(crate) fn of(json: bool) -> Self {
        if json || !io::stdout().is_terminal() { Self::Program } else { Self::Person }
    }
}

/// Writes one line to standard output, at once. A reader that has gone away is not our error.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes one JSON object as a line.
pub(crate) fn json(value: &Value) {
    line(&value.to_string());
}

/// Writes one line to standard error, for warnings that must be seen whatever the log level is.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
