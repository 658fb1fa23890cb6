//! A plan's changes, and how one is applied to the registry in memory.
//!
//! A change replaces or removes one whole record, so that it is also exactly one row on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{GroupName, PolicyName, RuleName, TemplateName, ThingName};

use super::{
    CertificateRecord, EventSettings, GroupRecord, PolicyRecord, Registry, RuleRecord, TemplateRecord, Thing,
    ThingType, ThingTypeName,
};

/// What an operation will change and what it will answer, once the changes are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a plan does nothing until it is committed"]
pub struct Plan<T> {
    /// At most one for each record; empty when there is nothing to do.
    pub changes: Vec<Change>,
    /// The answer.
    pub output: T,
}

impl<T> Plan<T> {
    /// The same changes with another answer.
    pub fn map<U>(self, answer: impl FnOnce(T) -> U) -> Plan<U> {
        Plan { changes: self.changes, output: answer(self.output) }
    }
}

/// One record replaced (or made) or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A certificate: status, attachments and policies included.
    PutCertificate(Arc<CertificateRecord>),
    /// A certificate is gone.
    DeleteCertificate(CertificateId),
    /// A thing.
    PutThing(Arc<Thing>),
    /// A thing is gone.
    DeleteThing(ThingName),
    /// A thing type.
    PutThingType(Arc<ThingType>),
    /// A thing type is gone.
    DeleteThingType(ThingTypeName),
    /// A thing group.
    PutGroup(Arc<GroupRecord>),
    /// A thing group is gone.
    DeleteGroup(GroupName),
    /// A policy.
    PutPolicy(Arc<PolicyRecord>),
    /// A policy is gone.
    DeletePolicy(PolicyName),
    /// A provisioning template.
    PutTemplate(Arc<TemplateRecord>),
    /// A provisioning template is gone.
    DeleteTemplate(TemplateName),
    /// A topic rule.
    PutRule(Arc<RuleRecord>),
    /// A topic rule is gone.
    DeleteRule(RuleName),
    /// Which registry events are wanted.
    PutEventSettings(Arc<EventSettings>),
}

/// The record that a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// A certificate.
    Certificate(&'a CertificateId),
    /// A thing.
    Thing(&'a ThingName),
    /// A thing type.
    ThingType(&'a ThingTypeName),
    /// A thing group.
    Group(&'a GroupName),
    /// A policy.
    Policy(&'a PolicyName),
    /// A provisioning template.
    Template(&'a TemplateName),
    /// A topic rule.
    Rule(&'a RuleName),
    /// The one record of which registry events are wanted.
    EventSettings,
}

impl Change {
    /// The record that this change replaces or removes.
    pub fn key(&self) -> Key<'_> {
        match self {
            Self::PutCertificate(record) => Key::Certificate(&record.id),
            Self::DeleteCertificate(id) => Key::Certificate(id),
            Self::PutThing(thing) => Key::Thing(&thing.name),
            Self::DeleteThing(name) => Key::Thing(name),
            Self::PutThingType(kind) => Key::ThingType(&kind.name),
            Self::DeleteThingType(name) => Key::ThingType(name),
            Self::PutGroup(group) => Key::Group(&group.name),
            Self::DeleteGroup(name) => Key::Group(name),
            Self::PutPolicy(policy) => Key::Policy(&policy.name),
            Self::DeletePolicy(name) => Key::Policy(name),
            Self::PutTemplate(template) => Key::Template(&template.name),
            Self::DeleteTemplate(name) => Key::Template(name),
            Self::PutRule(rule) => Key::Rule(&rule.name),
            Self::DeleteRule(name) => Key::Rule(name),
            Self::PutEventSettings(_) => Key::EventSettings,
        }
    }

    /// The certificate that this change is about, if it is about one.
    pub fn certificate_id(&self) -> Option<&CertificateId> {
        match self.key() {
            Key::Certificate(id) => Some(id),
            Key::Thing(_)
            | Key::ThingType(_)
            | Key::Group(_)
            | Key::Policy(_)
            | Key::Template(_)
            | Key::Rule(_)
            | Key::EventSettings => None,
        }
    }
}

impl Registry {
    /// Applies a change that is durable. Applying one twice is applying it once.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::PutCertificate(record) => self.put_certificate(record.clone()),
            Change::DeleteCertificate(id) => self.forget_certificate(id),
            Change::PutThing(thing) => self.put_thing(thing.clone()),
            Change::DeleteThing(name) => self.forget_thing(name),
            Change::PutThingType(kind) => {
                self.thing_types.insert(kind.name.clone(), kind.clone());
            }
            Change::DeleteThingType(name) => {
                self.thing_types.remove(name);
            }
            Change::PutGroup(group) => {
                self.groups.insert(group.name.clone(), group.clone());
            }
            Change::DeleteGroup(name) => {
                self.groups.remove(name);
            }
            Change::PutPolicy(policy) => {
                self.policies.insert(policy.name.clone(), policy.clone());
            }
            Change::DeletePolicy(name) => {
                self.policies.remove(name);
            }
            Change::PutTemplate(template) => {
                self.templates.insert(template.name.clone(), template.clone());
            }
            Change::DeleteTemplate(name) => {
                self.templates.remove(name);
            }
            Change::PutRule(rule) => {
                self.rules_revision += 1;
                self.rules.insert(rule.name.clone(), rule.clone());
            }
            Change::DeleteRule(name) => {
                self.rules_revision += 1;
                self.rules.remove(name);
            }
            Change::PutEventSettings(settings) => self.events = settings.clone(),
        }
    }

    fn put_thing(&mut self, thing: Arc<Thing>) {
        self.forget_thing(&thing.name);
        for group in &thing.groups {
            self.members.entry(group.clone()).or_default().insert(thing.name.clone());
        }
        self.things.insert(thing.name.clone(), thing);
    }

    fn forget_thing(&mut self, name: &ThingName) {
        let groups = self.things.remove(name).map(|thing| thing.groups.clone()).unwrap_or_default();
        for group in &groups {
            remove_member(&mut self.members, group, name);
        }
    }

    fn put_certificate(&mut self, record: Arc<CertificateRecord>) {
        self.forget_certificate(&record.id);
        for thing in record.things.keys() {
            self.principals.entry(thing.clone()).or_default().insert(record.id);
        }
        for policy in &record.policies {
            self.policy_principals.entry(policy.clone()).or_default().insert(record.id);
        }
        if let Some(ownership) = &record.ownership {
            self.tokens.insert(ownership.token, record.id);
            self.expiries.insert((ownership.expires_at, record.id));
        }
        if record.claim_for.is_some() {
            self.expiries.insert((record.not_after, record.id));
        }
        self.by_age.insert((record.created_at, record.id));
        self.certificates.insert(record.id, record);
    }

    fn forget_certificate(&mut self, id: &CertificateId) {
        let Some(record) = self.certificates.remove(id) else {
            return;
        };
        for thing in record.things.keys() {
            remove_member(&mut self.principals, thing, id);
        }
        for policy in &record.policies {
            remove_member(&mut self.policy_principals, policy, id);
        }
        if let Some(ownership) = &record.ownership {
            self.tokens.remove(&ownership.token);
            self.expiries.remove(&(ownership.expires_at, record.id));
        }
        self.expiries.remove(&(record.not_after, record.id));
        self.by_age.remove(&(record.created_at, record.id));
    }
}

/// Removes `member` from the set at `key`, and the set when it is empty.
fn remove_member<K: Ord, M: Ord>(index: &mut BTreeMap<K, BTreeSet<M>>, key: &K, member: &M) {
    if let Some(members) = index.get_mut(key) {
        members.remove(member);
        if members.is_empty() {
            index.remove(key);
        }
    }
}
