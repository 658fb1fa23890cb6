//! A topic rule, compiled: statement and templates parsed, fields checked.
//!
//! Source: API Reference, CreateTopicRule, RepublishAction, MqttHeaders; Developer Guide, republish-rule-action.

use fleetkey_model::name::RuleName;
use fleetkey_model::topic::{FleetTopic, TopicFilter};
use fleetkey_mqtt::QoS;

use super::sql::{SqlVersion, Statement};
use super::template::Template;
use crate::registry::quota::MAX_RULE_ACTIONS;
use crate::registry::{MqttHeaders, RegistryError, RepublishAction, RuleAction, RulePayload};

/// Characters of one header.
const MAX_HEADER: usize = 1024;
/// User properties of one republish action.
const MAX_USER_PROPERTIES: usize = 100;

/// A rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: RuleName,
    pub(super) statement: Statement,
    pub(super) actions: Vec<Action>,
    pub(super) error_action: Option<Action>,
}

/// What a rule does.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Republish(Box<Republish>),
    Lambda { function_arn: String },
}

/// Where and how a result is published.
#[derive(Debug, Clone)]
pub(super) struct Republish {
    pub(super) role_arn: String,
    pub(super) topic: Template,
    pub(super) qos: QoS,
    pub(super) headers: Headers,
}

/// Properties of MQTT 5.
#[derive(Debug, Clone, Default)]
pub(super) struct Headers {
    pub(super) payload_format_indicator: Option<Template>,
    pub(super) content_type: Option<Template>,
    pub(super) response_topic: Option<Template>,
    pub(super) correlation_data: Option<Template>,
    pub(super) message_expiry: Option<Template>,
    pub(super) user_properties: Vec<(Template, Template)>,
}

impl Rule {
    /// Compiles a rule.
    ///
    /// # Errors
    /// See [`super::check`].
    pub(super) fn compile(name: &RuleName, payload: &RulePayload) -> Result<Self, RegistryError> {
        let version = SqlVersion::parse(payload.aws_iot_sql_version.as_deref());
        let version =
            version.ok_or_else(|| bad("The awsIotSqlVersion is none of 2015-10-08, 2016-03-23, beta"))?;
        let statement = Statement::parse(&payload.sql, version)
            .map_err(|error| RegistryError::BadSql(error.to_string()))?;
        if payload.actions.len() > MAX_RULE_ACTIONS {
            return Err(bad(format!("A topic rule has at most {MAX_RULE_ACTIONS} actions")));
        }
        let actions = payload.actions.iter().map(|action| Action::compile(action, version));
        let error_action = payload.error_action.as_ref().map(|action| Action::compile(action, version));
        Ok(Self {
            name: name.clone(),
            statement,
            actions: actions.collect::<Result<_, _>>()?,
            error_action: error_action.transpose()?,
        })
    }

    /// Whether it says, in the built-in attestation's place, who sent a request of the fleet.
    pub(super) fn attests(&self) -> bool {
        let (attested, _) =
            FleetTopic::ALL_ATTESTED.split_once('+').unwrap_or((FleetTopic::ALL_ATTESTED, ""));
        self.actions.iter().any(|action| match action {
            Action::Republish(republish) => republish.topic.beginning().starts_with(attested),
            Action::Lambda { .. } => false,
        })
    }
}

impl Action {
    fn compile(action: &RuleAction, version: SqlVersion) -> Result<Self, RegistryError> {
        match action {
            RuleAction::Republish(action) => {
                Republish::compile(action, version).map(Box::new).map(Self::Republish)
            }
            RuleAction::Lambda(action) => {
                let arn = &action.function_arn;
                if !arn.starts_with("arn:") || !arn.contains(":lambda:") || !arn.contains(":function:") {
                    return Err(bad(format!("Invalid function ARN: {arn}")));
                }
                Ok(Self::Lambda { function_arn: arn.clone() })
            }
        }
    }
}

impl Republish {
    fn compile(action: &RepublishAction, version: SqlVersion) -> Result<Self, RegistryError> {
        let role = &action.role_arn;
        if !role.starts_with("arn:") || !role.contains(":iam::") || !role.contains(":role/") {
            return Err(bad(format!("Invalid role ARN: {role}")));
        }
        let topic = template(&action.topic, version)?;
        if topic.constant().is_some_and(|topic| !is_publishable(topic))
            || topic.beginning().contains(['+', '#'])
        {
            return Err(bad(format!("Invalid republish topic: {}", action.topic)));
        }
        Ok(Self {
            role_arn: role.clone(),
            topic,
            qos: QoS::from_bits(action.qos)
                .filter(|qos| *qos != QoS::ExactlyOnce)
                .ok_or_else(|| bad("The qos of a republish action is 0 or 1"))?,
            headers: action
                .headers
                .as_ref()
                .map(|headers| Headers::compile(headers, version))
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// A reserved topic begins with `$$` (Developer Guide, republish-rule-action).
fn is_publishable(topic: &str) -> bool {
    let topic = topic.strip_prefix('$').unwrap_or(topic);
    TopicFilter::new(topic).is_ok_and(|filter| !filter.has_wildcard())
}

impl Headers {
    fn compile(headers: &MqttHeaders, version: SqlVersion) -> Result<Self, RegistryError> {
        if headers.user_properties.len() > MAX_USER_PROPERTIES {
            return Err(bad(format!("A republish action has at most {MAX_USER_PROPERTIES} user properties")));
        }
        let one = |text: &Option<String>| text.as_deref().map(|text| header(text, version)).transpose();
        let pairs = headers.user_properties.iter();
        let pairs = pairs.map(|pair| Ok((header(&pair.key, version)?, header(&pair.value, version)?)));
        Ok(Self {
            payload_format_indicator: one(&headers.payload_format_indicator)?,
            content_type: one(&headers.content_type)?,
            response_topic: one(&headers.response_topic)?,
            correlation_data: one(&headers.correlation_data)?,
            message_expiry: one(&headers.message_expiry)?,
            user_properties: pairs.collect::<Result<_, RegistryError>>()?,
        })
    }
}

fn header(text: &str, version: SqlVersion) -> Result<Template, RegistryError> {
    if text.chars().count() > MAX_HEADER {
        return Err(bad(format!("A header of a republish action has at most {MAX_HEADER} characters")));
    }
    template(text, version)
}

fn template(text: &str, version: SqlVersion) -> Result<Template, RegistryError> {
    let parsed = Template::parse(text, version);
    parsed.map_err(|error| RegistryError::BadSql(format!("Bad substitution template {text:?}: {error}")))
}

fn bad(why: impl Into<String>) -> RegistryError {
    RegistryError::BadRule(why.into())
}
