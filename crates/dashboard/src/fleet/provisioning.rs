//! How devices come in: templates, claims, whether recovery is open; and what set-up makes and clean-up removes.

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;

/// All there is to tell of provisioning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provisioning {
    /// The templates.
    pub templates: Vec<Template>,
    /// The certificates that new devices carry.
    pub claims: Vec<Claim>,
    /// Whether things that exist can be provisioned again.
    pub recovery: Option<Recovery>,
}

/// A provisioning template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// What it is for, a word or two: `first provisioning`.
    pub purpose: String,
    /// Whether it is used at all.
    pub enabled: bool,
    /// Who decides on each request, said in words; `None` when nobody does.
    pub hook: Option<String>,
    /// The number of its version in effect, if that was asked for.
    pub version: Option<u32>,
    /// When it was last changed, likewise.
    pub modified: Option<Timestamp>,
}

/// A claim certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its id.
    pub certificate: CertificateId,
    /// Its status.
    pub status: CertificateStatus,
    /// When it was registered.
    pub created: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// What it may do, said in words.
    pub may: String,
}

/// The recovery window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// The recovery template is disabled, or there is none.
    Closed,
    /// It is enabled.
    Open {
        /// For whom, said in words.
        whom: String,
        /// Until when, if it closes by itself.
        until: Option<Timestamp>,
    },
}

/// Which way a plan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What set-up makes.
    SetUp,
    /// What clean-up removes.
    CleanUp,
}

/// What becomes of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// It is missing and is made.
    Create,
    /// It is there and different.
    Change,
    /// It is there as wanted, or is not touched.
    Keep,
    /// It is removed.
    Delete,
}

impl Act {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Keep => "keep",
            Self::Delete => "delete",
        }
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStep {
    /// What becomes of it.
    pub act: Act,
    /// The resource, for people, for example `policy DevicePolicy`.
    pub what: String,
    /// What is to be said of it; may be empty.
    pub words: String,
}

impl Direction {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SetUp => "set-up",
            Self::CleanUp => "clean-up",
        }
    }
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// All of them, in the order in which they are taken: whoever agrees to a plan agrees to each. Pages show both ends of a long
    /// one.
    pub steps: Vec<PlanStep>,
    /// The command that carries it out.
    pub command: String,
    /// What else is to be known, one sentence; may be empty.
    pub note: String,
}

impl Plan {
    /// How many of the steps change something.
    pub fn changes(&self) -> usize {
        self.steps.iter().filter(|step| step.act != Act::Keep).count()
    }
}
