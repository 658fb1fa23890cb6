//! What an operation answers when it succeeds. How the service writes it is [`super::protocol`]'s.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value};

/// A successful answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Headers besides those that every answer has.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What is in it.
    pub(crate) content: Content,
}

/// The body of a [`Reply`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// The operation's output as its model has it; the protocol makes JSON or XML of it.
    Model(Value),
    /// Bytes of a content type, as they are.
    Raw(&'static str, Bytes),
}

impl Reply {
    /// 200 with the output's members. Members that are `null` stay out, as AWS leaves them out.
    pub(crate) fn json<T: Serialize>(output: &T) -> Self {
        match serde_json::to_value(output) {
            Ok(value) => {
                Self { status: 200, headers: Vec::new(), content: Content::Model(without_nulls(value)) }
            }
            // Our own outputs have text for keys; one that has not is a mistake that a client should see.
            Err(error) => {
                tracing::error!(%error, "an output cannot be written");
                Self::empty().with_status(500)
            }
        }
    }

    /// 200 with no members.
    pub(crate) fn empty() -> Self {
        Self { status: 200, headers: Vec::new(), content: Content::Model(Value::Object(Map::new())) }
    }

    /// 200 with bytes as they are.
    pub(crate) const fn raw(content_type: &'static str, body: Bytes) -> Self {
        Self { status: 200, headers: Vec::new(), content: Content::Raw(content_type, body) }
    }

    /// The same with another status.
    pub(crate) const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with one more header. A value that no header can carry (a line break) stays out.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(members.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_without_a_value_stay_out() {
        let reply = Reply::json(&json!({"a": 1, "b": null, "c": [{"d": null}]}));
        assert_eq!(reply.content, Content::Model(json!({"a": 1, "c": [{}]})));
    }

    #[test]
    fn a_header_that_would_break_the_line_stays_out() {
        assert!(Reply::empty().with_header("x-a", "1\r\nx-b: 2").headers.is_empty());
    }
}
