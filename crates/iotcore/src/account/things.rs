//! Things, thing groups and thing types of an account, and the certificates attached to things.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::certificate::{CertificateId, ThingPrincipalType};
use fleetkey_model::name::{GroupName, ThingName};

use super::{Account, AccountError};
use crate::registry::{
    AttributeUpdate, CertificateRecord, GroupRecord, Tags, Thing, ThingTypeName, ThingTypeProperties,
    ThingUpdate,
};

impl Account {
    /// CreateThing.
    ///
    /// # Errors
    /// When a thing of the name has other properties, or a limit is exceeded.
    pub async fn create_thing(
        &self,
        name: &ThingName,
        type_name: Option<ThingTypeName>,
        attributes: BTreeMap<String, String>,
    ) -> Result<(), AccountError> {
        let now = self.clock.now();
        self.commit(|registry| registry.plan_create_thing(name, type_name, attributes, now)).await
    }

    /// UpdateThing: replaces the attributes, or merges them.
    ///
    /// # Errors
    /// When the thing does not exist or a limit is exceeded.
    pub async fn update_thing(
        &self,
        name: &ThingName,
        attributes: &BTreeMap<String, String>,
        merge: bool,
    ) -> Result<(), AccountError> {
        let attributes = Some(AttributeUpdate { attributes: attributes.clone(), merge });
        let update = ThingUpdate { attributes, ..ThingUpdate::default() };
        self.commit(|registry| registry.plan_update_thing(name, &update)).await
    }

    /// DeleteThing; a thing that does not exist is deleted already.
    ///
    /// # Errors
    /// When the thing has certificates.
    pub async fn delete_thing(&self, name: &ThingName) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_delete_thing(name, None)).await
    }

    /// DescribeThing.
    ///
    /// # Errors
    /// When the thing does not exist.
    pub fn describe_thing(&self, name: &ThingName) -> Result<Thing, AccountError> {
        Ok(self.store.read().require_thing(name)?.clone())
    }

    /// ListThings: up to `limit` in the order of their names, those after `after`.
    pub fn list_things(&self, after: Option<&ThingName>, limit: usize) -> Vec<Thing> {
        self.store.read().things_after(after).take(limit).cloned().collect()
    }

    /// ListThingPrincipals.
    ///
    /// # Errors
    /// When the thing does not exist.
    pub fn list_thing_principals(&self, name: &ThingName) -> Result<BTreeSet<CertificateId>, AccountError> {
        let registry = self.store.read();
        registry.require_thing(name)?;
        Ok(registry.principals_of(name).clone())
    }

    /// ListThingPrincipals with DescribeCertificate: every certificate attached to a thing, whatever its status.
    ///
    /// # Errors
    /// When the thing does not exist.
    pub fn thing_certificates(&self, name: &ThingName) -> Result<Vec<CertificateRecord>, AccountError> {
        let registry = self.store.read();
        registry.require_thing(name)?;
        let records = registry.principals_of(name).iter();
        Ok(records.filter_map(|id| registry.certificate(id)).cloned().collect())
    }

    /// ListPrincipalThings, with how each is attached.
    ///
    /// # Errors
    /// When the certificate does not exist.
    pub fn list_principal_things(
        &self,
        id: &CertificateId,
    ) -> Result<BTreeMap<ThingName, ThingPrincipalType>, AccountError> {
        Ok(self.describe_certificate(id)?.things)
    }

    /// AttachThingPrincipal.
    ///
    /// # Errors
    /// When one of them does not exist, or an exclusive attachment stands against it.
    pub async fn attach_thing_principal(
        &self,
        thing: &ThingName,
        id: &CertificateId,
        kind: ThingPrincipalType,
    ) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_attach_thing_principal(thing, id, kind)).await
    }

    /// DetachThingPrincipal.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub async fn detach_thing_principal(
        &self,
        thing: &ThingName,
        id: &CertificateId,
    ) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_detach_thing_principal(thing, id)).await
    }

    /// CreateThingGroup.
    ///
    /// # Errors
    /// When the parent does not exist, or the name has another parent.
    pub async fn create_thing_group(
        &self,
        name: &GroupName,
        parent: Option<GroupName>,
    ) -> Result<(), AccountError> {
        let now = self.clock.now();
        self.commit(|registry| registry.plan_create_group(name, parent, now)).await
    }

    /// DescribeThingGroup.
    ///
    /// # Errors
    /// When the group does not exist.
    pub fn describe_thing_group(&self, name: &GroupName) -> Result<GroupRecord, AccountError> {
        Ok(self.store.read().require_group(name)?.clone())
    }

    /// DeleteThingGroup; a group that does not exist is deleted already.
    ///
    /// # Errors
    /// When the group has child groups.
    pub async fn delete_thing_group(&self, name: &GroupName) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_delete_group(name, None)).await
    }

    /// AddThingToThingGroup.
    ///
    /// # Errors
    /// When one of them does not exist or the thing is in ten groups.
    pub async fn add_thing_to_group(&self, name: &ThingName, group: &GroupName) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_add_to_group(name, group)).await
    }

    /// RemoveThingFromThingGroup.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub async fn remove_thing_from_group(
        &self,
        name: &ThingName,
        group: &GroupName,
    ) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_remove_from_group(name, group)).await
    }

    /// CreateThingType.
    ///
    /// # Errors
    /// When a type of the name has other properties.
    pub async fn create_thing_type(&self, name: &ThingTypeName) -> Result<(), AccountError> {
        let now = self.clock.now();
        let (properties, tags) = (ThingTypeProperties::default(), Tags::default());
        self.commit(|registry| registry.plan_create_thing_type(name, properties, tags, now)).await
    }
}
