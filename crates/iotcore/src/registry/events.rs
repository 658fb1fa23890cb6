//! Which registry events an account wants published: DescribeEventConfigurations, UpdateEventConfigurations.
//!
//! Source: API Reference, UpdateEventConfigurations; Developer Guide, registry-events. For JOB and JOB_EXECUTION there
//! is nothing here that could happen; for POLICY and CERTIFICATE AWS documents no topic, and CA_CERTIFICATE is about
//! certificates that register themselves, which is not imitated: those settings are kept and told, and that is all.
//! Not here: what happened ([`super::Happening`]).

use std::collections::BTreeMap;

use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Change, Draft, Plan, Registry};

/// A kind of registry event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "AWS's own words")]
pub enum EventType {
    Thing,
    ThingGroup,
    ThingType,
    ThingGroupMembership,
    ThingGroupHierarchy,
    ThingTypeAssociation,
    Job,
    JobExecution,
    Policy,
    Certificate,
    CaCertificate,
}

impl EventType {
    /// Every kind, in the order of the API Reference.
    pub const ALL: [Self; 11] = [
        Self::Thing,
        Self::ThingGroup,
        Self::ThingType,
        Self::ThingGroupMembership,
        Self::ThingGroupHierarchy,
        Self::ThingTypeAssociation,
        Self::Job,
        Self::JobExecution,
        Self::Policy,
        Self::Certificate,
        Self::CaCertificate,
    ];
}

/// What is wanted; kinds that nobody ever set are off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSettings {
    enabled: BTreeMap<EventType, bool>,
    /// When a kind was first set; `None` when none ever was.
    pub created_at: Option<Timestamp>,
    /// When the setting was last changed.
    pub last_modified: Option<Timestamp>,
}

impl EventSettings {
    /// Whether events of a kind are wanted.
    pub fn wants(&self, kind: EventType) -> bool {
        self.enabled.get(&kind).copied().unwrap_or(false)
    }

    /// Whether events of any kind are wanted.
    pub fn wants_any(&self) -> bool {
        self.enabled.values().any(|wanted| *wanted)
    }
}

impl Registry {
    /// DescribeEventConfigurations.
    pub fn event_settings(&self) -> &EventSettings {
        &self.events
    }

    /// UpdateEventConfigurations: sets the kinds that are named, leaves the others.
    pub fn plan_update_events(&self, wanted: &BTreeMap<EventType, bool>, now: Timestamp) -> Plan<()> {
        let mut draft = Draft::new(self);
        let mut after = self.event_settings().clone();
        after.enabled.extend(wanted);
        if after != *self.event_settings() {
            after.created_at.get_or_insert(now);
            after.last_modified = Some(now);
            draft.write(Change::PutEventSettings(after.into()));
        }
        draft.plan(())
    }
}
