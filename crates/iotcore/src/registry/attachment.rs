//! Attachments: policies to certificates and groups, certificates to things.
//!
//! Sources: Developer Guide, exclusive-thing and attach-thing-principal; quotas: AWS IoT Core endpoints and
//! quotas. That an attachment excluded by an exclusive one is an InvalidRequestException is inferred.

use fleetkey_model::certificate::{CertificateId, ThingPrincipalType};
use fleetkey_model::name::{GroupName, PolicyName, ThingName};

use super::quota::{MAX_GROUP_POLICIES, MAX_POLICIES};
use super::{CertificateRecord, Change, Draft, Plan, Registry, RegistryError};

impl Registry {
    /// AttachPolicy to a certificate; attaching twice changes nothing.
    ///
    /// # Errors
    /// When one of them does not exist, or the certificate has [`MAX_POLICIES`] already.
    pub fn plan_attach_policy(
        &self,
        policy: &PolicyName,
        id: &CertificateId,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.attach_policy(policy, id)?;
        Ok(draft.plan(()))
    }

    /// DetachPolicy from a certificate; detaching what is not attached changes nothing.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn plan_detach_policy(
        &self,
        policy: &PolicyName,
        id: &CertificateId,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.policy(policy)?;
        let mut record = draft.certificate(id)?.clone();
        if record.policies.remove(policy) {
            draft.put_certificate(record);
        }
        Ok(draft.plan(()))
    }

    /// AttachPolicy to a thing group; attaching twice changes nothing.
    ///
    /// # Errors
    /// When one of them does not exist, or the group has [`MAX_GROUP_POLICIES`] already.
    pub fn plan_attach_group_policy(
        &self,
        policy: &PolicyName,
        group: &GroupName,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.policy(policy)?;
        let mut record = draft.group(group)?.clone();
        if record.policies.insert(policy.clone()) {
            if record.policies.len() > MAX_GROUP_POLICIES {
                return Err(RegistryError::TooManyPolicies {
                    target: format!("thing group {group}"),
                    max: MAX_GROUP_POLICIES,
                });
            }
            draft.write(Change::PutGroup(record.into()));
        }
        Ok(draft.plan(()))
    }

    /// DetachPolicy from a thing group; detaching what is not attached changes nothing.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn plan_detach_group_policy(
        &self,
        policy: &PolicyName,
        group: &GroupName,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.policy(policy)?;
        let mut record = draft.group(group)?.clone();
        if record.policies.remove(policy) {
            draft.write(Change::PutGroup(record.into()));
        }
        Ok(draft.plan(()))
    }

    /// AttachThingPrincipal; attaching twice in the same way changes nothing.
    ///
    /// # Errors
    /// When one of them does not exist, or the attachment would not be exclusive where one of the two is.
    pub fn plan_attach_thing_principal(
        &self,
        thing: &ThingName,
        id: &CertificateId,
        kind: ThingPrincipalType,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.attach_thing(thing, id, kind)?;
        Ok(draft.plan(()))
    }

    /// DetachThingPrincipal; detaching what is not attached changes nothing.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn plan_detach_thing_principal(
        &self,
        thing: &ThingName,
        id: &CertificateId,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.thing(thing)?;
        let mut record = draft.certificate(id)?.clone();
        if record.things.remove(thing).is_some() {
            draft.put_certificate(record);
        }
        Ok(draft.plan(()))
    }
}

impl Draft<'_> {
    /// See [`Registry::plan_attach_policy`].
    pub(crate) fn attach_policy(
        &mut self,
        policy: &PolicyName,
        id: &CertificateId,
    ) -> Result<(), RegistryError> {
        self.policy(policy)?;
        let mut record = self.certificate(id)?.clone();
        if !record.policies.insert(policy.clone()) {
            return Ok(());
        }
        if record.policies.len() > MAX_POLICIES {
            return Err(RegistryError::TooManyPolicies {
                target: format!("certificate {id}"),
                max: MAX_POLICIES,
            });
        }
        self.put_certificate(record);
        Ok(())
    }

    /// See [`Registry::plan_attach_thing_principal`].
    pub(crate) fn attach_thing(
        &mut self,
        thing: &ThingName,
        id: &CertificateId,
        kind: ThingPrincipalType,
    ) -> Result<(), RegistryError> {
        self.thing(thing)?;
        let record = self.certificate(id)?;
        if record.things.get(thing) == Some(&kind) {
            return Ok(());
        }
        check_exclusiveness(record, thing, kind)?;
        let mut record = record.clone();
        record.things.insert(thing.clone(), kind);
        self.put_certificate(record);
        Ok(())
    }
}

/// An exclusive attachment is a certificate's only one.
fn check_exclusiveness(
    record: &CertificateRecord,
    thing: &ThingName,
    kind: ThingPrincipalType,
) -> Result<(), RegistryError> {
    let refuse = |holder: &ThingName, how| {
        Err(RegistryError::AttachedElsewhere { id: record.id, thing: holder.clone(), how })
    };
    if let Some(owner) = record.exclusive_thing() {
        let how = if owner == thing { "non-exclusively" } else { "to another thing" };
        return refuse(owner, how);
    }
    match (kind, record.things.keys().next()) {
        (ThingPrincipalType::ExclusiveThing, Some(holder)) => refuse(holder, "exclusively"),
        _ => Ok(()),
    }
}
