//! What a run of setup found and did.

use super::Credential;

/// What became of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was missing and is there now.
    Created,
    /// It was there and different, and is as wanted now.
    Changed,
    /// It was there as wanted.
    Kept,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// For people, for example `policy DevicePolicy`.
    pub resource: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// A finished setup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Every resource, in the order in which it was looked at.
    pub steps: Vec<Step>,
    /// What devices are provisioned with.
    pub claim: Credential,
    /// What telemetry is counted with.
    pub observer: Credential,
    /// What the controller connects with.
    pub controller: Credential,
}

impl Report {
    /// Whether the account was ready before.
    pub fn unchanged(&self) -> bool {
        self.steps.iter().all(|step| step.outcome == Outcome::Kept)
    }
}
