//! The operations of CloudWatch Logs that a fleet's set-up calls, and those that show what functions print.
//!
//! Source: botocore 1.44.5, logs/2014-03-28.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, Page, PageQuery, Refusal, Reply, Reset, Resetting, Route, target};
use crate::functions::LogEvent;
use crate::log_groups::{LogGroup, LogGroups, LogsError};

/// CloudWatch Logs' table of operations.
pub(super) fn routes() -> Vec<Route> {
    vec![
        target("CreateLogGroup", create_log_group),
        target("DeleteLogGroup", delete_log_group),
        target("DescribeLogGroups", describe_log_groups),
        target("PutRetentionPolicy", put_retention_policy),
        target("DeleteRetentionPolicy", delete_retention_policy),
        target("TagResource", tag_resource),
        target("UntagResource", untag_resource),
        target("ListTagsForResource", list_tags_for_resource),
        target("DescribeLogStreams", describe_log_streams),
        target("GetLogEvents", get_log_events),
        target("FilterLogEvents", filter_log_events),
    ]
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeLogStreams {
    log_group_name: String,
    #[serde(default)]
    log_stream_name_prefix: String,
    limit: Option<u32>,
    #[serde(flatten)]
    page: PageQuery,
}

async fn describe_log_streams(context: Context, input: DescribeLogStreams) -> Result<Reply, Refusal> {
    let group = context.log_groups.group(&input.log_group_name)?;
    let streams = context.log_groups.logs().streams(&group.name).into_iter();
    let streams = streams.filter(|stream| stream.name.starts_with(&input.log_stream_name_prefix));
    let (streams, next) = page(&input.page, input.limit, 50)?.cut(streams, |stream| stream.name.clone());
    let streams: Vec<_> = streams
        .iter()
        .map(|stream| {
            json!({
                "logStreamName": stream.name,
                "creationTime": stream.first.as_millis(),
                "firstEventTimestamp": stream.first.as_millis(),
                "lastEventTimestamp": stream.last.as_millis(),
                "lastIngestionTime": stream.last.as_millis(),
                "arn": format!("{}:log-stream:{}", arn(&context, &group.name), stream.name),
            })
        })
        .collect();
    Ok(Reply::json(&json!({"logStreams": streams, "nextToken": next})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Events {
    log_group_name: String,
    log_stream_name: Option<String>,
    #[serde(default)]
    log_stream_names: Vec<String>,
    #[serde(default)]
    filter_pattern: String,
    start_time: Option<u64>,
    end_time: Option<u64>,
    limit: Option<u32>,
    #[serde(flatten)]
    page: PageQuery,
}

/// The newest lines of a stream. There is no going back: both tokens mean "what comes next", which is nothing.
async fn get_log_events(context: Context, input: Events) -> Result<Reply, Refusal> {
    let found = found(&context, &input)?;
    let limit = usize::try_from(input.limit.unwrap_or(10_000)).unwrap_or(usize::MAX);
    let newest = found.get(found.len().saturating_sub(limit)..).unwrap_or_default();
    let events: Vec<_> = newest.iter().map(|(_, event)| told(event)).collect();
    Ok(Reply::json(&json!({"events": events, "nextForwardToken": "f/end", "nextBackwardToken": "b/end"})))
}

/// Lines that contain the pattern, taken as one text: the pattern language of CloudWatch Logs is not here.
async fn filter_log_events(context: Context, input: Events) -> Result<Reply, Refusal> {
    let found = found(&context, &input)?;
    let page = page(&input.page, input.limit, 10_000)?;
    let (found, next) = page.cut(found, |(number, _)| format!("{number:010}"));
    let with_id = |(number, event): &(usize, LogEvent)| {
        let mut told = told(event);
        if let Value::Object(members) = &mut told {
            members.insert("eventId".into(), number.to_string().into());
            members.insert("logStreamName".into(), event.stream.clone().into());
        }
        told
    };
    let events: Vec<_> = found.iter().map(with_id).collect();
    Ok(Reply::json(&json!({"events": events, "searchedLogStreams": [], "nextToken": next})))
}

fn found(context: &Context, input: &Events) -> Result<Vec<(usize, LogEvent)>, Refusal> {
    let group = context.log_groups.group(&input.log_group_name)?;
    let pattern = input.filter_pattern.trim_matches('"');
    let wanted = |event: &LogEvent| {
        let at = event.at.as_millis();
        input.log_stream_name.as_ref().is_none_or(|name| *name == event.stream)
            && (input.log_stream_names.is_empty() || input.log_stream_names.contains(&event.stream))
            && input.start_time.is_none_or(|start| at >= start)
            && input.end_time.is_none_or(|end| at < end)
            && event.message.contains(pattern)
    };
    let events = context.log_groups.logs().events(&group.name).into_iter().enumerate();
    Ok(events.filter(|(_, event)| wanted(event)).collect())
}

fn told(event: &LogEvent) -> Value {
    let at = event.at.as_millis();
    json!({"timestamp": at, "ingestionTime": at, "message": event.message})
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

fn page(query: &PageQuery, limit: Option<u32>, most: u32) -> Result<Page, Refusal> {
    let mut page =
        query.page(1..=most, most).map_err(|refusal| refusal.with_code("InvalidParameterException"))?;
    if let Some(limit) = limit {
        page.limit = usize::try_from(limit.clamp(1, most)).unwrap_or(usize::MAX);
    }
    Ok(page)
}
