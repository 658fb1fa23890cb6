//! Policies of an account, and what they are attached to.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{GroupName, PolicyName};

use super::{Account, AccountError};
use crate::registry::PolicyRecord;

impl Account {
    /// CreatePolicy.
    ///
    /// # Errors
    /// When the name is taken or the document does not parse.
    pub async fn create_policy(&self, name: &PolicyName, document: &str) -> Result<(), AccountError> {
        let now = self.clock.now();
        self.commit(|registry| registry.plan_create_policy(name, document, now)).await
    }

    /// Another document for the default version; see [`crate::registry::Registry::plan_replace_policy`].
    ///
    /// # Errors
    /// When the policy does not exist or the document does not parse.
    pub async fn replace_policy(&self, name: &PolicyName, document: &str) -> Result<(), AccountError> {
        let now = self.clock.now();
        self.commit(|registry| registry.plan_replace_policy(name, document, now)).await
    }

    /// GetPolicy.
    ///
    /// # Errors
    /// When the policy does not exist.
    pub fn describe_policy(&self, name: &PolicyName) -> Result<PolicyRecord, AccountError> {
        Ok(self.store.read().require_policy(name)?.clone())
    }

    /// DeletePolicy.
    ///
    /// # Errors
    /// When the policy does not exist or is attached.
    pub async fn delete_policy(&self, name: &PolicyName) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_delete_policy(name)).await
    }

    /// AttachPolicy to a certificate.
    ///
    /// # Errors
    /// When one of them does not exist, or the certificate has ten policies.
    pub async fn attach_policy(&self, policy: &PolicyName, id: &CertificateId) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_attach_policy(policy, id)).await
    }

    /// DetachPolicy from a certificate.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub async fn detach_policy(&self, policy: &PolicyName, id: &CertificateId) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_detach_policy(policy, id)).await
    }

    /// AttachPolicy to a thing group.
    ///
    /// # Errors
    /// When one of them does not exist, or the group has two policies.
    pub async fn attach_group_policy(
        &self,
        policy: &PolicyName,
        group: &GroupName,
    ) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_attach_group_policy(policy, group)).await
    }

    /// DetachPolicy from a thing group.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub async fn detach_group_policy(
        &self,
        policy: &PolicyName,
        group: &GroupName,
    ) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_detach_group_policy(policy, group)).await
    }
}
