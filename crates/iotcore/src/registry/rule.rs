//! Topic rules as the registry keeps them: the payload of CreateTopicRule, checked.
//!
//! What the SQL means and how a rule is carried out is [`crate::rules`]. Source: API Reference, CreateTopicRule.

use fleetkey_model::name::RuleName;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::quota::MAX_RULES;
use super::{Change, Draft, Plan, Registry, RegistryError, Tags};

/// A topic rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRecord {
    /// Its name, which is its identity.
    pub name: RuleName,
    /// What it does.
    pub payload: RulePayload,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the operator notes of it.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

/// `TopicRulePayload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RulePayload {
    /// The statement as it was written.
    pub sql: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What is done with each selected message, at most ten.
    #[serde(default)]
    pub actions: Vec<RuleAction>,
    /// Whether it is off.
    #[serde(default)]
    pub rule_disabled: bool,
    /// `2015-10-08`, `2016-03-23` or `beta`; absent means the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_iot_sql_version: Option<String>,
    /// What is done when an action fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_action: Option<RuleAction>,
}

/// The actions that the local IoT Core carries out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RuleAction {
    /// Publishes the result on another topic.
    Republish(RepublishAction),
    /// Invokes a function with the result, asynchronously.
    Lambda(LambdaAction),
}

/// `RepublishAction`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepublishAction {
    /// The role that allows the publish.
    pub role_arn: String,
    /// The topic, with `${…}` templates; a reserved one begins with `$$`.
    pub topic: String,
    /// 0 or 1.
    #[serde(default)]
    pub qos: u8,
    /// Properties of MQTT 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<MqttHeaders>,
}

/// `MqttHeaders`; each text may have templates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MqttHeaders {
    /// `UNSPECIFIED_BYTES` or `UTF8_DATA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_format_indicator: Option<String>,
    /// Content Type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Response Topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_topic: Option<String>,
    /// Correlation Data, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_data: Option<String>,
    /// Message Expiry Interval in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_expiry: Option<String>,
    /// User properties.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_properties: Vec<UserProperty>,
}

/// A user property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserProperty {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// `LambdaAction`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LambdaAction {
    /// The function.
    pub function_arn: String,
}

impl Registry {
    /// CreateTopicRule.
    ///
    /// # Errors
    /// When the name is taken, the payload is not acceptable, or there are [`MAX_RULES`] already.
    pub fn plan_create_rule(
        &self,
        name: &RuleName,
        payload: RulePayload,
        tags: Tags,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        crate::rules::check(name, &payload)?;
        if self.rule(name).is_some() {
            return Err(RegistryError::RuleExists(name.clone()));
        }
        if self.rules.len() >= MAX_RULES {
            return Err(RegistryError::TooManyRules(MAX_RULES));
        }
        Ok(self.plan_rule(RuleRecord { name: name.clone(), payload, created_at: now, tags }))
    }

    /// ReplaceTopicRule: everything but the name and the time of its making.
    ///
    /// # Errors
    /// When the rule does not exist or the payload is not acceptable.
    pub fn plan_replace_rule(
        &self,
        name: &RuleName,
        payload: RulePayload,
    ) -> Result<Plan<()>, RegistryError> {
        crate::rules::check(name, &payload)?;
        let before = self.require_rule(name)?;
        Ok(self.plan_rule(RuleRecord { payload, ..before.clone() }))
    }

    /// EnableTopicRule and DisableTopicRule.
    ///
    /// # Errors
    /// When the rule does not exist.
    pub fn plan_set_rule_disabled(&self, name: &RuleName, disabled: bool) -> Result<Plan<()>, RegistryError> {
        let mut record = self.require_rule(name)?.clone();
        record.payload.rule_disabled = disabled;
        Ok(self.plan_rule(record))
    }

    /// DeleteTopicRule.
    ///
    /// # Errors
    /// When the rule does not exist.
    pub fn plan_delete_rule(&self, name: &RuleName) -> Result<Plan<()>, RegistryError> {
        self.require_rule(name)?;
        let mut draft = Draft::new(self);
        draft.write(Change::DeleteRule(name.clone()));
        Ok(draft.plan(()))
    }

    /// The topic rule with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn require_rule(&self, name: &RuleName) -> Result<&RuleRecord, RegistryError> {
        self.rule(name).map(AsRef::as_ref).ok_or_else(|| RegistryError::NoSuchRule(name.clone()))
    }

    fn plan_rule(&self, record: RuleRecord) -> Plan<()> {
        let mut draft = Draft::new(self);
        if self.rule(&record.name).is_none_or(|before| **before != record) {
            draft.write(Change::PutRule(record.into()));
        }
        draft.plan(())
    }
}
