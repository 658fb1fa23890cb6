//! The operations of CloudWatch Logs that a fleet's set-up calls, and those that show what functions print.
//!
//! Source: botocore 1.44.5, logs/2014-03-28.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, Page, PageQuery, Refusal, Reply, Reset, Resetting, Route, target};
use crate::log_groups::{LogGroup, LogGroups, LogsError};

mod events;
mod streams;

/// CloudWatch Logs' table of operations.
pub(super) fn routes() -> Vec<Route> {
    let mut all = vec![
        target("CreateLogGroup", create_log_group),
        target("DeleteLogGroup", delete_log_group),
        target("DescribeLogGroups", describe_log_groups),
        target("PutRetentionPolicy", put_retention_policy),
        target("DeleteRetentionPolicy", delete_retention_policy),
        target("TagResource", tag_resource),
        target("UntagResource", untag_resource),
        target("ListTagsForResource", list_tags_for_resource),
    ];
    all.extend(streams::routes());
    all.extend(events::routes());
    all
}

impl From<LogsError> for Refusal {
    fn from(error: LogsError) -> Self {
        if error.status() >= 500 {
            tracing::error!(%error, "an operation of CloudWatch Logs failed");
        }
        Self::new(error.status(), error.code(), error.to_string())
    }
}

impl Reset for LogGroups {
    fn reset(&self) -> Resetting<'_> {
        Box::pin(async { Self::reset(self).await.map_err(|error| error.to_string()) })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateLogGroup {
    log_group_name: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

async fn create_log_group(context: Context, input: CreateLogGroup) -> Result<Reply, Refusal> {
    context.log_groups.create(&input.log_group_name, input.tags).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupName {
    log_group_name: String,
}

async fn delete_log_group(context: Context, input: GroupName) -> Result<Reply, Refusal> {
    context.log_groups.delete(&input.log_group_name).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeLogGroups {
    #[serde(default)]
    log_group_name_prefix: String,
    #[serde(default)]
    log_group_name_pattern: String,
    limit: Option<u32>,
    #[serde(flatten)]
    page: PageQuery,
}

async fn describe_log_groups(context: Context, input: DescribeLogGroups) -> Result<Reply, Refusal> {
    let named = |group: &LogGroup| {
        group.name.starts_with(&input.log_group_name_prefix)
            && group.name.contains(&input.log_group_name_pattern)
    };
    let groups = context.log_groups.all().into_values().filter(named);
    let (groups, next) = page(&input.page, input.limit, 50)?.cut(groups, |group| group.name.clone());
    let groups: Vec<_> = groups.iter().map(|group| described(&context, group)).collect();
    Ok(Reply::json(&json!({"logGroups": groups, "nextToken": next})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutRetentionPolicy {
    log_group_name: String,
    retention_in_days: u32,
}

async fn put_retention_policy(context: Context, input: PutRetentionPolicy) -> Result<Reply, Refusal> {
    context.log_groups.retain(&input.log_group_name, Some(input.retention_in_days)).await?;
    Ok(Reply::empty())
}

async fn delete_retention_policy(context: Context, input: GroupName) -> Result<Reply, Refusal> {
    context.log_groups.retain(&input.log_group_name, None).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagResource {
    resource_arn: String,
    tags: BTreeMap<String, String>,
}

async fn tag_resource(context: Context, input: TagResource) -> Result<Reply, Refusal> {
    context.log_groups.tag(name(&context, &input.resource_arn)?, input.tags).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UntagResource {
    resource_arn: String,
    tag_keys: Vec<String>,
}

async fn untag_resource(context: Context, input: UntagResource) -> Result<Reply, Refusal> {
    context.log_groups.untag(name(&context, &input.resource_arn)?, &input.tag_keys).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource_arn: String,
}

async fn list_tags_for_resource(context: Context, input: Resource) -> Result<Reply, Refusal> {
    let group = context.log_groups.group(name(&context, &input.resource_arn)?)?;
    Ok(Reply::json(&json!({"tags": group.tags})))
}

fn described(context: &Context, group: &LogGroup) -> Value {
    let arn = arn(context, &group.name);
    json!({
        "logGroupName": group.name,
        "creationTime": group.created_at.as_millis(),
        "retentionInDays": group.retention,
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "logGroupArn": arn,
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
    })
}

fn arn(context: &Context, name: &str) -> String {
    let scope = &context.scope;
    format!("arn:{}:logs:{}:{}:log-group:{name}", scope.partition, scope.region, scope.account)
}

/// The name of the group that an ARN means.
fn name<'a>(context: &Context, text: &'a str) -> Result<&'a str, Refusal> {
    let name = text.strip_prefix(&arn(context, "")).unwrap_or_default();
    let name = name.strip_suffix(":*").unwrap_or(name);
    if name.is_empty() {
        return Err(LogsError::NoSuchGroup.into());
    }
    Ok(name)
}

/// The group that is meant by its name or, in newer operations, by its name or ARN.
fn group(context: &Context, name: Option<&str>, identifier: Option<&str>) -> Result<LogGroup, Refusal> {
    let name = match (name, identifier) {
        (Some(name), None) => name,
        (None, Some(arn)) if arn.starts_with("arn:") => self::name(context, arn)?,
        (None, Some(name)) => name,
        (None, None) | (Some(_), Some(_)) => {
            return Err(invalid("Exactly one of logGroupName and logGroupIdentifier must be specified"));
        }
    };
    Ok(context.log_groups.group(name)?)
}

/// A page of 1 to `most` items, `most` when no number is given.
fn page(query: &PageQuery, limit: Option<u32>, most: u32) -> Result<Page, Refusal> {
    let mut page = query.page(1..=most, most).map_err(|_| invalid("The specified nextToken is invalid."))?;
    page.limit = checked_limit(limit, most)?;
    Ok(page)
}

/// How many items are asked for: 1 to `most`.
fn checked_limit(limit: Option<u32>, most: u32) -> Result<usize, Refusal> {
    let limit = limit.unwrap_or(most);
    let constraint = match limit {
        0 => "Member must have value greater than or equal to 1".to_owned(),
        limit if limit > most => format!("Member must have value less than or equal to {most}"),
        limit => return Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
    };
    Err(Refusal::constraint(Some(&limit.to_string()), "limit", &constraint))
}

fn invalid(message: &str) -> Refusal {
    LogsError::Invalid(message.to_owned()).into()
}
