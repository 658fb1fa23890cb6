//! The registry: things, groups, certificates, policies and provisioning templates of one account.
//!
//! Pure: no I/O, no clock, no randomness. A mutating operation is planned on an unchanged registry
//! (`plan_…(&self, …) -> Result<Plan<T>, RegistryError>`), the plan's [`Change`]s are made durable by
//! [`crate::store::Store`], and only then applied ([`Registry::apply`]). An attachment lives in the
//! certificate's record alone, so that no operation can leave half of one behind.
//!
//! Not here: the disk ([`crate::store`]), minting ([`crate::ca`]), and what Fleet Provisioning adds on top
//! ([`crate::provisioning`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use fleetkey_model::certificate::{CertificateId, CertificateStatus, ThingPrincipalType};
use fleetkey_model::name::{GroupName, PolicyName, RuleName, TemplateName, ThingName};
use fleetkey_model::time::Timestamp;

pub use certificate::{CertificateRecord, NewCertificate, Ownership, Source};
pub use change::{Change, Key, Plan};
pub use error::RegistryError;
pub use events::{EventSettings, EventType};
pub use group::{GroupRecord, GroupUpdate, NewGroup};
pub use happening::{Happening, Named};
pub use policy::PolicyRecord;
pub use rule::{
    LambdaAction, MqttHeaders, RepublishAction, RuleAction, RulePayload, RuleRecord, UserProperty,
};
pub use tags::Tags;
pub use target::{Taggable, Target};
pub use template::{BuiltinHook, NewTemplate, SerialPattern, TemplateRecord};
pub use thing::{AttributeUpdate, Thing, ThingUpdate, TypeUpdate};
pub use thing_type::{
    Mqtt5Configuration, PropagatingAttribute, ThingType, ThingTypeName, ThingTypeProperties,
};
pub use token::TokenHash;
pub use versions::{OtherVersion, VersionRef, Versions};

pub(crate) use attributes::merge_attributes;
pub(crate) use draft::Draft;
pub(crate) use unique::membership_id;

pub mod quota;

mod attachment;
mod attributes;
mod certificate;
mod change;
mod claim;
mod draft;
mod effective;
mod error;
mod events;
mod expiry;
mod group;
mod happening;
mod membership;
mod policy;
mod require;
mod rule;
mod tags;
mod target;
mod template;
mod thing;
mod thing_type;
mod token;
mod unique;
mod versions;

/// Everything that one account has registered, in memory. A clone shares the records until one of the two changes.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    certificates: BTreeMap<CertificateId, Arc<CertificateRecord>>,
    things: BTreeMap<ThingName, Arc<Thing>>,
    thing_types: BTreeMap<ThingTypeName, Arc<ThingType>>,
    groups: BTreeMap<GroupName, Arc<GroupRecord>>,
    policies: BTreeMap<PolicyName, Arc<PolicyRecord>>,
    templates: BTreeMap<TemplateName, Arc<TemplateRecord>>,
    rules: BTreeMap<RuleName, Arc<RuleRecord>>,
    /// Rises with each change of a rule; not stored.
    rules_revision: u64,
    events: Arc<EventSettings>,
    // Derived from the records of certificates and things by `apply`, never stored.
    members: BTreeMap<GroupName, BTreeSet<ThingName>>,
    by_age: BTreeSet<(Timestamp, CertificateId)>,
    principals: BTreeMap<ThingName, BTreeSet<CertificateId>>,
    policy_principals: BTreeMap<PolicyName, BTreeSet<CertificateId>>,
    tokens: HashMap<TokenHash, CertificateId>,
    expiries: BTreeSet<(Timestamp, CertificateId)>,
}

static NO_CERTIFICATES: BTreeSet<CertificateId> = BTreeSet::new();
static NO_THINGS: BTreeMap<ThingName, ThingPrincipalType> = BTreeMap::new();

/// Reading.
impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The certificate with this id, whatever its status.
    pub fn certificate(&self, id: &CertificateId) -> Option<&CertificateRecord> {
        self.certificates.get(id).map(Arc::as_ref)
    }

    /// All certificates in the order of their ids.
    pub fn certificates(&self) -> impl Iterator<Item = &CertificateRecord> {
        self.certificates.values().map(Arc::as_ref)
    }

    /// The certificates after this id, or from the first, in the order of their ids.
    pub fn certificates_after(
        &self,
        after: Option<&CertificateId>,
    ) -> impl Iterator<Item = &CertificateRecord> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.certificates.range::<CertificateId, _>((start, Bound::Unbounded));
        rest.map(|(_, record)| record.as_ref())
    }

    /// The certificates in the order of their registration, from the oldest; those of one moment by their ids.
    pub fn certificates_by_age(&self) -> impl DoubleEndedIterator<Item = &CertificateRecord> {
        self.by_age.iter().filter_map(|(_, id)| self.certificate(id))
    }

    /// How many certificates there are of each status; statuses with none are absent.
    pub fn count_by_status(&self) -> BTreeMap<CertificateStatus, usize> {
        let mut counts = BTreeMap::new();
        for certificate in self.certificates() {
            *counts.entry(certificate.status).or_insert(0) += 1;
        }
        counts
    }

    /// The things that a certificate is attached to, and how.
    pub fn things_of(&self, id: &CertificateId) -> &BTreeMap<ThingName, ThingPrincipalType> {
        self.certificate(id).map_or(&NO_THINGS, |record| &record.things)
    }

    /// The certificates attached to a thing.
    pub fn principals_of(&self, thing: &ThingName) -> &BTreeSet<CertificateId> {
        self.principals.get(thing).unwrap_or(&NO_CERTIFICATES)
    }

    /// Whether the certificate is attached to the thing, exclusively or not.
    pub fn is_attached(&self, id: &CertificateId, thing: &ThingName) -> bool {
        self.things_of(id).contains_key(thing)
    }

    /// The thing that owns the certificate exclusively, if one does.
    pub fn exclusive_thing(&self, id: &CertificateId) -> Option<&ThingName> {
        self.certificate(id)?.exclusive_thing()
    }

    /// The thing with this name.
    pub fn thing(&self, name: &ThingName) -> Option<&Thing> {
        self.things.get(name).map(Arc::as_ref)
    }

    /// All things in the order of their names.
    pub fn things(&self) -> impl Iterator<Item = &Thing> {
        self.things.values().map(Arc::as_ref)
    }

    /// The things after this name, or from the first, in the order of their names.
    pub fn things_after(&self, after: Option<&ThingName>) -> impl Iterator<Item = &Thing> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.things.range::<ThingName, _>((start, Bound::Unbounded));
        rest.map(|(_, thing)| thing.as_ref())
    }

    /// The thing type with this name.
    pub fn thing_type(&self, name: &ThingTypeName) -> Option<&ThingType> {
        self.thing_types.get(name).map(Arc::as_ref)
    }

    /// All thing types in the order of their names.
    pub fn thing_types(&self) -> impl Iterator<Item = &ThingType> {
        self.thing_types.values().map(Arc::as_ref)
    }

    /// The thing group with this name.
    pub fn group(&self, name: &GroupName) -> Option<&GroupRecord> {
        self.groups.get(name).map(Arc::as_ref)
    }

    /// All thing groups in the order of their names.
    pub fn groups(&self) -> impl Iterator<Item = &GroupRecord> {
        self.groups.values().map(Arc::as_ref)
    }

    /// The policy with this name.
    pub fn policy(&self, name: &PolicyName) -> Option<&PolicyRecord> {
        self.policies.get(name).map(Arc::as_ref)
    }

    /// All policies in the order of their names.
    pub fn policies(&self) -> impl Iterator<Item = &PolicyRecord> {
        self.policies.values().map(Arc::as_ref)
    }

    /// The provisioning template with this name, enabled or not.
    pub fn template(&self, name: &TemplateName) -> Option<&TemplateRecord> {
        self.templates.get(name).map(Arc::as_ref)
    }

    /// All provisioning templates in the order of their names.
    pub fn templates(&self) -> impl Iterator<Item = &TemplateRecord> {
        self.templates.values().map(Arc::as_ref)
    }

    /// The topic rule with this name, enabled or not.
    pub fn rule(&self, name: &RuleName) -> Option<&Arc<RuleRecord>> {
        self.rules.get(name)
    }

    /// All topic rules in the order of their names.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<RuleRecord>> {
        self.rules.values()
    }

    /// Rises with each change of a rule, for whoever keeps them compiled.
    pub(crate) const fn rules_revision(&self) -> u64 {
        self.rules_revision
    }

    /// When the next ownership token or provisioning claim expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests;
