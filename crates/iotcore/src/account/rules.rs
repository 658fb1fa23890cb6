//! Topic rules of an account.

use std::sync::Arc;

use fleetkey_model::name::RuleName;

use super::{Account, AccountError};
use crate::registry::{RegistryError, RulePayload, RuleRecord, Tags};

impl Account {
    /// CreateTopicRule.
    ///
    /// # Errors
    /// When the name is taken, the SQL or an action is not acceptable, or there are a thousand rules.
    pub async fn create_rule(
        &self,
        name: &RuleName,
        payload: RulePayload,
        tags: Tags,
    ) -> Result<(), AccountError> {
        let now = self.clock.now();
        self.commit(|registry| registry.plan_create_rule(name, payload, tags, now)).await
    }

    /// ReplaceTopicRule.
    ///
    /// # Errors
    /// When the rule does not exist, or the SQL or an action is not acceptable.
    pub async fn replace_rule(&self, name: &RuleName, payload: RulePayload) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_replace_rule(name, payload)).await
    }

    /// EnableTopicRule and DisableTopicRule.
    ///
    /// # Errors
    /// When the rule does not exist.
    pub async fn set_rule_disabled(&self, name: &RuleName, disabled: bool) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_set_rule_disabled(name, disabled)).await
    }

    /// DeleteTopicRule.
    ///
    /// # Errors
    /// When the rule does not exist.
    pub async fn delete_rule(&self, name: &RuleName) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_delete_rule(name)).await
    }

    /// GetTopicRule.
    ///
    /// # Errors
    /// When the rule does not exist.
    pub fn describe_rule(&self, name: &RuleName) -> Result<Arc<RuleRecord>, AccountError> {
        let found = self.store.read().rule(name).cloned();
        found.ok_or_else(|| RegistryError::NoSuchRule(name.clone()).into())
    }

    /// ListTopicRules: all of them in the order of their names.
    pub fn list_rules(&self) -> Vec<Arc<RuleRecord>> {
        self.store.read().rules().cloned().collect()
    }
}
