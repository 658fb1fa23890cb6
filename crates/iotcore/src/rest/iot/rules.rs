//! Topic rules. Source: API Reference, CreateTopicRule and its neighbours.
//!
//! A rule that does not exist is answered with `UnauthorizedException`, as AWS does: it does not say which.

use fleetkey_model::name::RuleName;
use fleetkey_model::topic::Matching;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::parts::first_tags;
use crate::registry::quota::MAX_RULE_ACTIONS;
use crate::registry::{RuleAction, RulePayload, RuleRecord, Tags};
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route, text};
use crate::rules::topic_pattern;

/// The service's most and its default of rules on a page.
const MOST: u32 = 10_000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("CreateTopicRule", Method::POST, "/rules/{ruleName}", create).header("tags", "x-amz-tagging"),
        route("GetTopicRule", Method::GET, "/rules/{ruleName}", get),
        route("ListTopicRules", Method::GET, "/rules", list),
        route("ReplaceTopicRule", Method::PATCH, "/rules/{ruleName}", replace),
        route("DeleteTopicRule", Method::DELETE, "/rules/{ruleName}", delete),
        route("EnableTopicRule", Method::POST, "/rules/{ruleName}/enable", enable),
        route("DisableTopicRule", Method::POST, "/rules/{ruleName}/disable", disable),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    rule_name: RuleName,
}

/// `TopicRulePayload`, which is the whole body.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    rule_name: RuleName,
    #[serde(default)]
    tags: Option<String>,
    sql: String,
    #[serde(default)]
    description: Option<String>,
    actions: Vec<Map<String, Value>>,
    #[serde(default, deserialize_with = "text::boolean")]
    rule_disabled: bool,
    #[serde(default)]
    aws_iot_sql_version: Option<String>,
    #[serde(default)]
    error_action: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default)]
    topic: Option<String>,
    #[serde(default, deserialize_with = "text::optional_boolean")]
    rule_disabled: Option<bool>,
    #[serde(flatten)]
    page: PageQuery,
}

async fn create(context: Context, input: Payload) -> Result<Reply, Refusal> {
    let name = input.rule_name.clone();
    let tags = tags(input.tags.as_deref().unwrap_or_default())?;
    let payload = input.payload(&context)?;
    context.account.create_rule(&name, payload, tags).await?;
    Ok(Reply::empty())
}

async fn replace(context: Context, input: Payload) -> Result<Reply, Refusal> {
    let name = input.rule_name.clone();
    context.account.replace_rule(&name, input.payload(&context)?).await?;
    Ok(Reply::empty())
}

async fn get(context: Context, input: Named) -> Result<Reply, Refusal> {
    let record = context.account.describe_rule(&input.rule_name)?;
    let mut rule = serde_json::to_value(&record.payload).map_err(|_| Refusal::internal())?;
    if let Value::Object(rule) = &mut rule {
        rule.insert("ruleName".into(), record.name.as_str().into());
        rule.insert("createdAt".into(), seconds(&record));
    }
    Ok(Reply::json(&json!({"ruleArn": context.scope.rule(&record.name), "rule": rule})))
}

async fn list(context: Context, input: List) -> Result<Reply, Refusal> {
    let page = input.page.page(1..=MOST, MOST)?;
    let rules = context.account.list_rules().into_iter().filter_map(|rule| {
        let filter = topic_pattern(&rule);
        let wanted = input.rule_disabled.is_none_or(|disabled| rule.payload.rule_disabled == disabled)
            && input.topic.as_ref().is_none_or(|topic| {
                filter.as_ref().is_some_and(|filter| filter.matches(topic, Matching::Aws))
            });
        wanted.then_some((rule, filter))
    });
    let (rules, next) = page.cut(rules, |(rule, _)| rule.name.to_string());
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|(rule, filter)| {
            json!({
                "ruleArn": context.scope.rule(&rule.name), "ruleName": rule.name, "createdAt": seconds(&rule),
                "topicPattern": filter.as_ref().map(|filter| filter.as_str()),
                "ruleDisabled": rule.payload.rule_disabled,
            })
        })
        .collect();
    Ok(Reply::json(&json!({"rules": rules, "nextToken": next})))
}

async fn delete(context: Context, input: Named) -> Result<Reply, Refusal> {
    context.account.delete_rule(&input.rule_name).await?;
    Ok(Reply::empty())
}

async fn enable(context: Context, input: Named) -> Result<Reply, Refusal> {
    context.account.set_rule_disabled(&input.rule_name, false).await?;
    Ok(Reply::empty())
}

async fn disable(context: Context, input: Named) -> Result<Reply, Refusal> {
    context.account.set_rule_disabled(&input.rule_name, true).await?;
    Ok(Reply::empty())
}

/// AWS writes moments as seconds with a fraction.
#[allow(clippy::cast_precision_loss, reason = "milliseconds of our time fit a double")]
fn seconds(record: &RuleRecord) -> Value {
    (record.created_at.as_millis() as f64 / 1000.0).into()
}

impl Payload {
    fn payload(self, context: &Context) -> Result<RulePayload, Refusal> {
        if self.actions.len() > MAX_RULE_ACTIONS {
            let constraint = format!("Member must have length less than or equal to {MAX_RULE_ACTIONS}");
            return Err(Refusal::constraint(Some("[...]"), "topicRulePayload.actions", &constraint));
        }
        let actions: Vec<RuleAction> = self.actions.into_iter().map(action).collect::<Result<_, _>>()?;
        let error_action = self.error_action.map(action).transpose()?;
        for action in actions.iter().chain(&error_action) {
            if let RuleAction::Republish(republish) = action {
                check_role(context, &republish.role_arn)?;
            }
        }
        Ok(RulePayload {
            sql: self.sql,
            description: self.description,
            actions,
            rule_disabled: self.rule_disabled,
            // AWS fills in the edition that a rule without one has.
            aws_iot_sql_version: Some(self.aws_iot_sql_version.unwrap_or_else(|| "2015-10-08".into())),
            error_action,
        })
    }
}

/// AWS asks for the role when the rule is made, even one that is off, and says this.
fn check_role(context: &Context, role_arn: &str) -> Result<(), Refusal> {
    if context.broker.may_assume(role_arn) {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "AWS IoT (iot.amazonaws.com) is unable to assume role (sts:AssumeRole) on resource: {role_arn}. If the role \
         was just created or updated, please try again in a few seconds."
    )))
}

/// One action; those that the local IoT Core does not carry out are refused by name.
fn action(members: Map<String, Value>) -> Result<RuleAction, Refusal> {
    let mut given = members.into_iter().filter(|(_, value)| !value.is_null());
    let (Some((kind, value)), None) = (given.next(), given.next()) else {
        return Err(Refusal::invalid("An action has exactly one type"));
    };
    if !matches!(kind.as_str(), "republish" | "lambda") {
        let why =
            format!("The action {kind} is not supported by the local IoT Core: republish and lambda are");
        return Err(Refusal::invalid(why));
    }
    let tagged = Value::Object(Map::from_iter([(kind.clone(), value)]));
    serde_json::from_value(tagged)
        .map_err(|error| Refusal::invalid(format!("Invalid {kind} action: {error}")))
}

/// Tags in a header: the pairs of a query string.
fn tags(header: &str) -> Result<Tags, Refusal> {
    let pairs = text::form_pairs(header).ok_or_else(|| Refusal::invalid("Invalid tags: no query string"))?;
    first_tags(pairs)
}
