//! What the doctor says: one line a check, with the reason and what to do, and one verdict.

use core::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::Tier;

/// The exit code when nothing failed but something that matters could not be told.
pub const UNDECIDED: u8 = 3;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it must be.
    Ok,
    /// It works, and is worth knowing.
    Note,
    /// Left alone, for the reason that is given.
    NotChecked,
    /// It was looked at and cannot be told from here; the device may not work.
    Unknown,
    /// The device cannot work like this.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its tier.
    pub tier: Tier,
    /// What was looked at, in a word or two.
    pub name: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub what: String,
    /// How that is known, or what follows from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Check {
    /// A check of a tier.
    pub fn new(tier: Tier, name: impl Into<String>, verdict: Verdict, what: impl Into<String>) -> Self {
        Self { tier, name: name.into(), verdict, what: what.into(), why: None, todo: None }
    }

    /// As it must be.
    pub fn ok(tier: Tier, name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(tier, name, Verdict::Ok, what)
    }

    /// Worth knowing.
    pub fn note(tier: Tier, name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(tier, name, Verdict::Note, what)
    }

    /// Left alone, and why.
    pub fn not_checked(tier: Tier, name: impl Into<String>, because: impl Into<String>) -> Self {
        Self::new(tier, name, Verdict::NotChecked, because)
    }

    /// Not to be told from here.
    pub fn unknown(tier: Tier, name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(tier, name, Verdict::Unknown, what)
    }

    /// What cannot work.
    pub fn failed(tier: Tier, name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(tier, name, Verdict::Failed, what)
    }

    /// With how it is known.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// With what to do.
    #[must_use]
    pub fn todo(mut self, todo: impl Into<String>) -> Self {
        self.todo = Some(todo.into());
        self
    }
}

/// Everything that was looked at, in the order of the tiers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The checks.
    pub checks: Vec<Check>,
}

impl Report {
    /// The first tier that fails: what comes after it may only be its consequence.
    pub fn failed(&self) -> Option<&Check> {
        let failed = self.checks.iter().filter(|check| check.verdict == Verdict::Failed);
        failed.min_by_key(|check| check.tier)
    }

    /// What cannot be told.
    pub fn unknown(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.verdict == Verdict::Unknown)
    }

    /// Whether a tier has failed.
    pub fn has_failed(&self, tier: Tier) -> bool {
        self.checks.iter().any(|check| check.tier == tier && check.verdict == Verdict::Failed)
    }

    /// 0 when nothing fails, [`UNDECIDED`], or the first failing tier's ([`Tier::exit_code`]).
    pub fn exit_code(&self) -> u8 {
        match (self.failed(), self.unknown()) {
            (Some(failed), _) => failed.tier.exit_code(),
            (None, Some(_)) => UNDECIDED,
            (None, None) => 0,
        }
    }

    /// As `--json` shows it.
    pub fn json(&self) -> Value {
        let verdict = match self.exit_code() {
            0 => "ok",
            UNDECIDED => "unknown",
            _ => "failed",
        };
        json!({
            "verdict": verdict,
            "tier": self.failed().or_else(|| self.unknown()).map(|check| check.tier),
            "exit_code": self.exit_code(),
            "checks": self.checks,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(f, "{check}")?;
        }
        match (self.failed(), self.unknown()) {
            (Some(check), _) => write!(f, "failed at {}: {}", check.tier, check.what),
            (None, Some(check)) => write!(f, "cannot be told: {}: {}", check.tier, check.what),
            (None, None) => write!(f, "nothing fails"),
        }
    }
}

/// `ok           tcp          port: …`, then the reason and what to do, indented.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::NotChecked => "not checked",
            Verdict::Unknown => "unknown",
            Verdict::Failed => "FAILED",
        };
        write!(f, "{verdict:<12} {:<12} {}: {}", self.tier, self.name, self.what)?;
        if let Some(why) = &self.why {
            write!(f, "\n{:26}why: {why}", "")?;
        }
        if let Some(todo) = &self.todo {
            write!(f, "\n{:26}do:  {todo}", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tier_that_fails_gives_the_exit_code_whatever_was_told_first() {
        let mut report = Report::default();
        report.checks.push(Check::failed(Tier::Connect, "policy", "denied"));
        assert_eq!(report.exit_code(), Tier::Connect.exit_code());
        report.checks.push(Check::failed(Tier::Files, "key", "torn").todo("write it again"));
        assert_eq!(report.json()["tier"], "files");
        assert!(report.to_string().ends_with("failed at files: torn"), "{report}");
    }

    #[test]
    fn what_cannot_be_told_is_neither_good_nor_bad() {
        let mut report = Report::default();
        report.checks.push(Check::not_checked(Tier::Certificate, "account", "no credentials"));
        assert_eq!((report.exit_code(), &report.json()["verdict"]), (0, &"ok".into()));
        report.checks.push(Check::unknown(Tier::Certificate, "accepted", "nobody is let in"));
        assert_eq!((report.exit_code(), &report.json()["verdict"]), (UNDECIDED, &"unknown".into()));
    }
}
