//! A registry with changes that are not yet applied: what an operation of several steps works on.
//!
//! Reads see the draft's own writes; the registry beneath is never touched.

use std::sync::Arc;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{GroupName, PolicyName, ThingName};

use super::{CertificateRecord, Change, GroupRecord, Plan, PolicyRecord, Registry, RegistryError, Thing};

/// Changes on top of a registry. Finish it with [`Draft::plan`]; dropping it changes nothing.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(super) base: &'a Registry,
    changes: Vec<Change>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(base: &'a Registry) -> Self {
        Self { base, changes: Vec::new() }
    }

    /// The changes so far, with the operation's answer.
    pub(crate) fn plan<T>(self, output: T) -> Plan<T> {
        Plan { changes: self.changes, output }
    }

    /// Writes a record, replacing what the draft wrote for the same record before.
    pub(super) fn write(&mut self, change: Change) {
        self.changes.retain(|earlier| earlier.key() != change.key());
        self.changes.push(change);
    }

    pub(crate) fn certificate(&self, id: &CertificateId) -> Result<&CertificateRecord, RegistryError> {
        let written = self.changes.iter().find_map(|change| match change {
            Change::PutCertificate(record) if record.id == *id => Some(Some(record.as_ref())),
            Change::DeleteCertificate(gone) if gone == id => Some(None),
            _ => None,
        });
        written.unwrap_or_else(|| self.base.certificate(id)).ok_or(RegistryError::NoSuchCertificate(*id))
    }

    pub(crate) fn find_thing(&self, name: &ThingName) -> Option<&Thing> {
        let written = self.changes.iter().find_map(|change| match change {
            Change::PutThing(thing) if thing.name == *name => Some(Some(thing.as_ref())),
            Change::DeleteThing(gone) if gone == name => Some(None),
            _ => None,
        });
        written.unwrap_or_else(|| self.base.thing(name))
    }

    pub(crate) fn thing(&self, name: &ThingName) -> Result<&Thing, RegistryError> {
        self.find_thing(name).ok_or_else(|| RegistryError::NoSuchThing(name.clone()))
    }

    pub(crate) fn find_policy(&self, name: &PolicyName) -> Option<&PolicyRecord> {
        let written = self.changes.iter().find_map(|change| match change {
            Change::PutPolicy(policy) if policy.name == *name => Some(Some(policy.as_ref())),
            Change::DeletePolicy(gone) if gone == name => Some(None),
            _ => None,
        });
        written.unwrap_or_else(|| self.base.policy(name))
    }

    pub(crate) fn policy(&self, name: &PolicyName) -> Result<&PolicyRecord, RegistryError> {
        self.find_policy(name).ok_or_else(|| RegistryError::NoSuchPolicy(name.clone()))
    }

    /// A thing group; no operation of several steps writes groups, so the registry's are the truth.
    pub(crate) fn group(&self, name: &GroupName) -> Result<&GroupRecord, RegistryError> {
        self.base.require_group(name)
    }

    pub(super) fn put_certificate(&mut self, record: CertificateRecord) {
        self.write(Change::PutCertificate(Arc::new(record)));
    }

    pub(super) fn put_thing(&mut self, thing: Thing) {
        self.write(Change::PutThing(Arc::new(thing)));
    }
}
