//! What needs somebody to look, page by page.

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The fleet or a device is in danger now.
    Critical,
    /// It will be.
    High,
    /// Worth knowing.
    Medium,
}

impl Severity {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
        }
    }
}

/// Something that needs somebody to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The device, if it is about one.
    pub thing: Option<ThingName>,
    /// What was seen.
    pub seen: String,
    /// Why it matters.
    pub matters: String,
    /// What to do.
    pub remedy: String,
    /// Since when, if that is known.
    pub since: Option<Timestamp>,
}

/// Which findings are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingQuery {
    /// Those behind this place, a [`FindingPage::next`]; of any other text, all. It comes from a URL.
    pub after: String,
    /// How many at most.
    pub limit: usize,
}

/// Some findings, worst first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingPage {
    /// Those.
    pub findings: Vec<Finding>,
    /// The place of the last of them, when there are more behind it.
    pub next: Option<String>,
    /// How many there are in all.
    pub total: usize,
}
