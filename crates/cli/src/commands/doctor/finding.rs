//! One finding: what, where, why it matters, what to do; and how all of them are told.

use core::fmt;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use crate::output;

/// The exit code when something is to be mended.
const FAULTS: u8 = 30;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// To be mended.
    Fault,
    /// Worth knowing: something may be lost at a rotation.
    Note,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// A word for programs.
    pub(super) kind: &'static str,
    /// The node, or the address.
    pub(super) at: String,
    pub(super) what: String,
    pub(super) why: String,
    pub(super) todo: String,
}

impl Finding {
    pub(super) fn fault(kind: &'static str, at: impl Into<String>, what: impl Into<String>) -> Self {
        let (why, todo) = (String::new(), String::new());
        Self { severity: Severity::Fault, kind, at: at.into(), what: what.into(), why, todo }
    }

    pub(super) fn note(kind: &'static str, at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::fault(kind, at, what) }
    }

    pub(super) fn why(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    pub(super) fn todo(self, todo: impl Into<String>) -> Self {
        Self { todo: todo.into(), ..self }
    }
}

/// Prints every finding, in so many of `things`; the exit code tells whether one is a fault.
pub(super) fn conclude(findings: &[Finding], things: &str, count: usize, as_json: bool) -> ExitCode {
    let faults = findings.iter().filter(|finding| finding.severity == Severity::Fault).count();
    if as_json {
        output::json(&json!({ "faults": faults, things: count, "findings": findings }));
    } else {
        findings.iter().for_each(|finding| output::line(&finding.to_string()));
        output::line(&format!("{faults} faults, {} notes in {count} {things}", findings.len() - faults));
    }
    if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAULTS) }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Fault => "FAULT",
            Severity::Note => "note",
        };
        write!(
            f,
            "{severity:<6} {}: {}\n       why: {}\n       do:  {}",
            self.at, self.what, self.why, self.todo
        )
    }
}
