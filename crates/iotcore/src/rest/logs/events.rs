//! GetLogEvents and FilterLogEvents.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Context, PageQuery, Refusal, Reply, Route, target};
use super::{checked_limit, group, invalid, page};
use crate::functions::LogEvent;
use crate::log_groups::LogsError;

/// Events of one answer (API reference, GetLogEvents and FilterLogEvents, `limit`).
const MOST: u32 = 10_000;
/// Bytes of one answer's events, each counted as CloudWatch Logs does.
const ANSWER: usize = 1 << 20;
const EVENT: usize = 26;

pub(super) fn routes() -> Vec<Route> {
    vec![target("GetLogEvents", get_log_events), target("FilterLogEvents", filter_log_events)]
}

/// Which events of a group are meant.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    start_time: Option<u64>,
    end_time: Option<u64>,
}

impl Span {
    fn holds(&self, event: &LogEvent) -> bool {
        let at = event.at.as_millis();
        self.start_time.is_none_or(|start| at >= start) && self.end_time.is_none_or(|end| at < end)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetLogEvents {
    log_stream_name: String,
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    next_token: Option<String>,
    #[serde(default)]
    start_from_head: bool,
    limit: Option<u32>,
    #[serde(flatten)]
    span: Span,
}

async fn get_log_events(context: Context, input: GetLogEvents) -> Result<Reply, Refusal> {
    let limit = checked_limit(input.limit, MOST)?;
    let token = input.next_token.as_deref().map(Token::parse).transpose()?;
    let group = group(&context, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
    let mut events = context.log_groups.logs().events(&group.name);
    events.retain(|event| event.stream == input.log_stream_name);
    let end = events.last().ok_or(LogsError::NoSuchStream)?.number.saturating_add(1);
    events.retain(|event| input.span.holds(event));
    let token = token.unwrap_or(if input.start_from_head { Token::Forward(0) } else { Token::Backward(end) });
    let window = token.window(&events, limit);
    // At the end of the stream the token is the one that came, by which callers know.
    let (forward, backward) = match (window.first(), window.last()) {
        (Some(first), Some(last)) => (last.number.saturating_add(1), first.number),
        _ => (token.place(), token.place()),
    };
    Ok(Reply::json(&json!({
        "events": window.iter().map(told).collect::<Vec<_>>(),
        "nextForwardToken": Token::Forward(forward).text(),
        "nextBackwardToken": Token::Backward(backward).text(),
    })))
}

/// Where to go on reading a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// With the line of this number, to newer ones.
    Forward(u64),
    /// With the line before this number, to older ones.
    Backward(u64),
}

impl Token {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let number = |digits: &str| digits.parse().ok();
        let forward = text.strip_prefix("f/").and_then(number).map(Self::Forward);
        let backward = || text.strip_prefix("b/").and_then(number).map(Self::Backward);
        forward.or_else(backward).ok_or_else(|| invalid("The specified nextToken is invalid."))
    }

    fn text(self) -> String {
        match self {
            Self::Forward(number) => format!("f/{number:020}"),
            Self::Backward(number) => format!("b/{number:020}"),
        }
    }

    const fn place(self) -> u64 {
        match self {
            Self::Forward(number) | Self::Backward(number) => number,
        }
    }

    /// What lies this way of `events`, whose numbers rise, in their order.
    fn window(self, events: &[LogEvent], limit: usize) -> &[LogEvent] {
        let (older, newer) = events.split_at(events.partition_point(|event| event.number < self.place()));
        match self {
            Self::Forward(_) => newer.get(..fitting(newer.iter(), limit)).unwrap_or_default(),
            Self::Backward(_) => {
                older.get(older.len() - fitting(older.iter().rev(), limit)..).unwrap_or_default()
            }
        }
    }
}

/// How many of these one answer holds: at least one.
fn fitting<'a>(events: impl Iterator<Item = &'a LogEvent>, limit: usize) -> usize {
    let mut bytes = 0_usize;
    let fits = |event: &&LogEvent| {
        let first = bytes == 0;
        bytes = bytes.saturating_add(event.message.len() + EVENT);
        first || bytes <= ANSWER
    };
    events.take(limit).take_while(fits).count()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterLogEvents {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    #[serde(default)]
    log_stream_names: Vec<String>,
    log_stream_name_prefix: Option<String>,
    #[serde(default)]
    filter_pattern: String,
    limit: Option<u32>,
    #[serde(flatten)]
    span: Span,
    #[serde(flatten)]
    page: PageQuery,
}

/// Lines that contain the pattern, taken as one text: the pattern language of CloudWatch Logs is not here.
async fn filter_log_events(context: Context, input: FilterLogEvents) -> Result<Reply, Refusal> {
    let page = page(&input.page, input.limit, MOST)?;
    let group = group(&context, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
    if !input.log_stream_names.is_empty() && input.log_stream_name_prefix.is_some() {
        return Err(invalid("Only one of logStreamNames and logStreamNamePrefix may be specified"));
    }
    let logs = context.log_groups.logs();
    let streams = logs.streams(&group.name);
    if !input.log_stream_names.iter().all(|name| streams.iter().any(|stream| stream.name == *name)) {
        return Err(LogsError::NoSuchStream.into());
    }
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    let pattern = input.filter_pattern.trim_matches('"');
    let mut events = logs.events(&group.name);
    events.retain(|event| {
        (input.log_stream_names.is_empty() || input.log_stream_names.contains(&event.stream))
            && event.stream.starts_with(&prefix)
            && input.span.holds(event)
            && event.message.contains(pattern)
    });
    let (events, next) = page.cut(events, |event| format!("{:020}", event.number));
    let events: Vec<_> = events.iter().map(found).collect();
    Ok(Reply::json(&json!({"events": events, "searchedLogStreams": [], "nextToken": next})))
}

/// `FilteredLogEvent`.
fn found(event: &LogEvent) -> Value {
    let mut told = told(event);
    if let Value::Object(members) = &mut told {
        members.insert("eventId".into(), event.number.to_string().into());
        members.insert("logStreamName".into(), event.stream.clone().into());
    }
    told
}

/// `OutputLogEvent`.
fn told(event: &LogEvent) -> Value {
    let at = event.at.as_millis();
    json!({"timestamp": at, "ingestionTime": at, "message": event.message})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(numbers: std::ops::Range<u64>, bytes: usize) -> Vec<LogEvent> {
        let event = |number| LogEvent {
            number,
            stream: "s".into(),
            at: fleetkey_model::time::Timestamp::from_secs(number),
            message: "x".repeat(bytes),
        };
        numbers.map(event).collect()
    }

    fn numbers(window: &[LogEvent]) -> Vec<u64> {
        window.iter().map(|event| event.number).collect()
    }

    #[test]
    fn a_window_is_what_comes_next_in_its_direction() {
        let all = events(3..8, 1);
        assert_eq!(numbers(Token::Forward(0).window(&all, 2)), [3, 4]);
        assert_eq!(numbers(Token::Forward(5).window(&all, 9)), [5, 6, 7]);
        assert_eq!(numbers(Token::Backward(8).window(&all, 2)), [6, 7]);
        assert_eq!(numbers(Token::Backward(4).window(&all, 9)), [3]);
        assert!(
            Token::Forward(8).window(&all, 9).is_empty() && Token::Backward(3).window(&all, 9).is_empty()
        );
    }

    #[test]
    fn an_answer_has_a_mebibyte_of_events_and_one_event_at_least() {
        let all = events(0..4, ANSWER / 2 - EVENT);
        assert_eq!(numbers(Token::Forward(0).window(&all, 9)), [0, 1]);
        assert_eq!(numbers(Token::Backward(4).window(&all, 9)), [2, 3]);
        assert_eq!(numbers(Token::Forward(0).window(&events(0..2, ANSWER * 2), 9)), [0]);
    }

    #[test]
    fn a_token_reads_back_and_another_text_is_none() {
        for token in [Token::Forward(0), Token::Backward(u64::MAX)] {
            assert_eq!(Token::parse(&token.text()), Ok(token));
        }
        for text in ["", "f/", "f/end", "x/1", "f/-1", "1"] {
            assert_eq!(Token::parse(text).unwrap_err().code, "InvalidParameterException", "{text}");
        }
    }
}
