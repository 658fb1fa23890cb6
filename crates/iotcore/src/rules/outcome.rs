//! What a rule makes of a message: publications, invocations, and what is to be said of actions that failed.
//!
//! Source: Developer Guide, republish-rule-action, lambda-rule-action, rule-error-handling.

use bytes::Bytes;
use fleetkey_model::name::RuleName;
use fleetkey_model::topic::TopicName;
use fleetkey_mqtt::{Properties, Property, Publish, QoS, Text};
use serde_json::json;

use super::rule::{Action, Headers, Republish, Rule};
use super::sql::{Message, Scope, Selected, Sender, from_base64, to_base64};
use super::template::Template;

/// Bytes of a payload that AWS takes.
const MAX_PAYLOAD: usize = 128 * 1024;

/// What one rule asks for.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// To be published, in this order.
    pub(crate) publications: Vec<Publication>,
    /// Functions to be invoked, each with the result.
    pub(crate) invocations: Vec<(String, Bytes)>,
    /// What has failed already, and what to do about failures.
    pub(crate) failures: Failures,
}

/// A message to be published by a rule.
#[derive(Debug)]
pub(crate) struct Publication {
    /// The role that must allow it.
    pub(crate) role_arn: String,
    /// The message; its expiry is in its properties.
    pub(crate) publish: Publish,
}

/// An action that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `RepublishAction` or `LambdaAction`.
    pub(crate) action: &'static str,
    /// The topic or the function.
    pub(crate) resource: String,
    /// Why.
    pub(crate) message: String,
}

/// The failures of one rule for one message, and the error action that is told of them.
#[derive(Debug)]
pub(crate) struct Failures {
    rule: RuleName,
    topic: String,
    trace: String,
    client: String,
    payload: Bytes,
    failures: Vec<Failure>,
    then: Option<Then>,
}

/// The error action; its templates are filled from the message, its payload comes later.
#[derive(Debug)]
enum Then {
    Publish(Box<Publication>),
    Invoke(String),
}

/// What the error action asks for.
#[derive(Debug)]
pub(crate) enum ErrorAction {
    /// To be published.
    Publish(Publication),
    /// To be invoked.
    Invoke(String, Bytes),
}

impl Outcome {
    /// What `rule` makes of `message`; `None` when it does not select it.
    pub(super) fn of(rule: &Rule, message: &Message<'_>) -> Option<Self> {
        let payload = match rule.statement.select(message) {
            Selected::Nothing => return None,
            Selected::Payload => Bytes::copy_from_slice(message.payload),
            Selected::Made(payload) => payload.into(),
            Selected::TooLarge => {
                tracing::warn!(rule = %rule.name, topic = message.topic, "topic rule: the result is too large");
                return None;
            }
        };
        let scope = Scope::new(message, rule.statement.version);
        let mut outcome = Self {
            publications: Vec::new(),
            invocations: Vec::new(),
            failures: Failures::new(rule, message, &scope),
        };
        for action in &rule.actions {
            match action {
                Action::Lambda { function_arn } => {
                    outcome.invocations.push((function_arn.clone(), payload.clone()));
                }
                Action::Republish(republish) => match republish.publication(&scope, payload.clone()) {
                    Ok(publication) => outcome.publications.push(publication),
                    Err(failure) => outcome.failures.add(failure),
                },
            }
        }
        Some(outcome)
    }
}

impl Failures {
    fn new(rule: &Rule, message: &Message<'_>, scope: &Scope<'_>) -> Self {
        let then = rule.error_action.as_ref().and_then(|action| match action {
            Action::Lambda { function_arn } => Some(Then::Invoke(function_arn.clone())),
            Action::Republish(republish) => match republish.publication(scope, Bytes::new()) {
                Ok(publication) => Some(Then::Publish(Box::new(publication))),
                Err(failure) => {
                    tracing::warn!(rule = %rule.name, why = failure.message, "topic rule: bad error action");
                    None
                }
            },
        });
        let client = match message.sender {
            Sender::Device { client: Some(client), .. } => client.as_str(),
            Sender::Device { client: None, .. } | Sender::Caller { .. } | Sender::Broker => "n/a",
        };
        Self {
            rule: rule.name.clone(),
            topic: message.topic.to_owned(),
            trace: message.trace.to_owned(),
            client: client.to_owned(),
            payload: if then.is_some() { Bytes::copy_from_slice(message.payload) } else { Bytes::new() },
            failures: Vec::new(),
            then,
        }
    }

    /// Whose failures they are.
    pub(crate) const fn rule(&self) -> &RuleName {
        &self.rule
    }

    /// Notes a failure.
    pub(crate) fn add(&mut self, failure: Failure) {
        tracing::warn!(rule = %self.rule, topic = self.topic, action = failure.action, resource = failure.resource,
            why = failure.message, "topic rule: action failed");
        self.failures.push(failure);
    }

    /// The error action, once all actions are done; `None` when nothing failed or the rule has none.
    pub(crate) fn conclude(self) -> Option<ErrorAction> {
        if self.failures.is_empty() {
            return None;
        }
        let payload = Bytes::from(self.report());
        match self.then? {
            Then::Invoke(function_arn) => Some(ErrorAction::Invoke(function_arn, payload)),
            Then::Publish(mut publication) => {
                publication.publish.payload = payload;
                Some(ErrorAction::Publish(*publication))
            }
        }
    }

    fn report(&self) -> String {
        let failure = |failure: &Failure| json!({"failedAction": failure.action, "failedResource": failure.resource, "errorMessage": failure.message});
        let failures: Vec<_> = self.failures.iter().map(failure).collect();
        json!({
            "ruleName": self.rule, "topic": self.topic, "cloudwatchTraceId": self.trace, "clientId": self.client,
            "base64OriginalPayload": to_base64(&self.payload), "failures": failures,
        })
        .to_string()
    }
}

impl Republish {
    fn publication(&self, scope: &Scope<'_>, payload: Bytes) -> Result<Publication, Failure> {
        let failed = |resource: &str, message: String| Failure {
            action: "RepublishAction",
            resource: resource.to_owned(),
            message,
        };
        let topic = self.topic.render(scope).map_err(|why| failed("", why))?;
        // `$$aws/…` is how a rule names `$aws/…`.
        let target = if topic.starts_with("$$") { topic.get(1..).unwrap_or_default() } else { &topic };
        let name = TopicName::new(target).map_err(|error| failed(&topic, error.to_string()))?;
        if name.is_reserved() && !topic.starts_with("$$") {
            return Err(failed(&topic, "A reserved topic begins with $$".into()));
        }
        if payload.len() > MAX_PAYLOAD {
            return Err(failed(
                &topic,
                format!("The result has {} bytes, at most {MAX_PAYLOAD} are allowed", payload.len()),
            ));
        }
        let mut publish = Publish::new(name.as_str(), payload);
        publish.qos = if self.qos == QoS::AtMostOnce { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        publish.properties = self.headers.properties(scope).map_err(|why| failed(&topic, why))?;
        Ok(Publication { role_arn: self.role_arn.clone(), publish })
    }
}

impl Headers {
    fn properties(&self, scope: &Scope<'_>) -> Result<Properties, String> {
        let mut properties = Properties::new();
        let text = |template: &Option<Template>| {
            template.as_ref().map(|template| template.render(scope)).transpose()
        };
        let as_text = |value: String| Text::new(&value).map_err(|error| error.to_string());
        if let Some(value) = text(&self.payload_format_indicator)? {
            properties.push(Property::PayloadFormatIndicator(format_indicator(&value)?));
        }
        if let Some(value) = text(&self.message_expiry)? {
            let seconds =
                value.parse().map_err(|_| format!("messageExpiry {value:?} is no number of seconds"))?;
            properties.push(Property::MessageExpiryInterval(seconds));
        }
        if let Some(value) = text(&self.content_type)? {
            properties.push(Property::ContentType(as_text(value)?));
        }
        if let Some(value) = text(&self.response_topic)? {
            properties.push(Property::ResponseTopic(as_text(value)?));
        }
        if let Some(value) = text(&self.correlation_data)? {
            let data = from_base64(&value).ok_or("correlationData is not base64")?;
            properties.push(Property::CorrelationData(data.into()));
        }
        for (key, value) in &self.user_properties {
            let (key, value) = (as_text(key.render(scope)?)?, as_text(value.render(scope)?)?);
            properties.push(Property::UserProperty(key, value));
        }
        Ok(properties)
    }
}

/// The property that `UTF8_DATA` and `UNSPECIFIED_BYTES` name.
fn format_indicator(text: &str) -> Result<u8, String> {
    match text {
        "UTF8_DATA" => Ok(1),
        "UNSPECIFIED_BYTES" => Ok(0),
        other => Err(format!("payloadFormatIndicator {other:?} is neither UTF8_DATA nor UNSPECIFIED_BYTES")),
    }
}
