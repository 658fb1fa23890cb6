//! DescribeLogStreams.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Context, PageQuery, Refusal, Reply, Route, target};
use super::{arn, group, invalid, page};
use crate::functions::LogStream;

pub(super) fn routes() -> Vec<Route> {
    vec![target("DescribeLogStreams", describe_log_streams)]
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeLogStreams {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    #[serde(default)]
    order_by: OrderBy,
    #[serde(default)]
    descending: bool,
    limit: Option<u32>,
    #[serde(flatten)]
    page: PageQuery,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum OrderBy {
    #[default]
    LogStreamName,
    LastEventTime,
}

async fn describe_log_streams(context: Context, input: DescribeLogStreams) -> Result<Reply, Refusal> {
    let group = group(&context, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
    if input.order_by == OrderBy::LastEventTime && input.log_stream_name_prefix.is_some() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    let key = |stream: &LogStream| match input.order_by {
        OrderBy::LogStreamName => stream.name.clone(),
        OrderBy::LastEventTime => format!("{:020} {}", stream.last.as_millis(), stream.name),
    };
    let mut streams = context.log_groups.logs().streams(&group.name);
    streams.retain(|stream| stream.name.starts_with(&prefix));
    streams.sort_by_key(key);
    let mut page = page(&input.page, input.limit, 50)?;
    if input.descending {
        streams.reverse();
        page.ascending = Some(false);
    }
    let (streams, next) = page.cut(streams, key);
    let arn = arn(&context, &group.name);
    let streams: Vec<_> = streams.iter().map(|stream| described(&arn, stream)).collect();
    Ok(Reply::json(&json!({"logStreams": streams, "nextToken": next})))
}

/// `LogStream`.
fn described(group: &str, stream: &LogStream) -> Value {
    json!({
        "logStreamName": stream.name,
        "creationTime": stream.first.as_millis(),
        "firstEventTimestamp": stream.first.as_millis(),
        "lastEventTimestamp": stream.last.as_millis(),
        "lastIngestionTime": stream.last.as_millis(),
        "arn": format!("{group}:log-stream:{}", stream.name),
    })
}
