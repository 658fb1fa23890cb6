//! Functions on texts. Lengths and positions count characters.

use serde_json::Value as Json;

use super::Function;
use crate::rules::sql::eval::Value;
use crate::rules::sql::value::text;

/// Bytes that one replacement may make.
const MOST: usize = 256 * 1024;

pub(super) fn of_one(function: Function, text: &str) -> Value {
    Some(match function {
        Function::Lower => text.to_lowercase().into(),
        Function::Upper => text.to_uppercase().into(),
        Function::Trim => text.trim().into(),
        Function::Ltrim => text.trim_start().into(),
        Function::Rtrim => text.trim_end().into(),
        Function::Length => text.chars().count().into(),
        Function::NumBytes => text.len().into(),
        _ => return None,
    })
}

pub(super) fn of_two(function: Function, text: &str, other: &str) -> Value {
    Some(match function {
        Function::StartsWith => text.starts_with(other).into(),
        Function::EndsWith => text.ends_with(other).into(),
        Function::IndexOf => {
            let before = text.find(other).and_then(|at| text.get(..at));
            before.map_or_else(|| Json::from(-1), |before| before.chars().count().into())
        }
        _ => return None,
    })
}

/// From `start` to the end, or to `end` and without it; positions outside the text are moved to its ends.
pub(super) fn substring(text: &str, start: i128, end: Option<i128>) -> Value {
    let position = |at: i128| usize::try_from(at.max(0)).unwrap_or(usize::MAX);
    let start = position(start);
    let length = end.map_or(usize::MAX, |end| position(end).saturating_sub(start));
    Some(text.chars().skip(start).take(length).collect::<String>().into())
}

/// One argument is left as it is; with an array all become one array; with a text all become one text.
pub(super) fn concat(arguments: Vec<Value>) -> Value {
    let mut values: Vec<Json> = arguments.into_iter().collect::<Option<_>>()?;
    if values.len() == 1 {
        return values.pop();
    }
    if values.iter().any(Json::is_array) {
        let items = values.into_iter().flat_map(|value| match value {
            Json::Array(items) => items,
            other => vec![other],
        });
        return Some(items.collect());
    }
    if !values.iter().any(Json::is_string) {
        return None;
    }
    values.iter().map(text).collect::<Option<String>>().map(Json::String)
}

pub(super) fn replace(whole: &str, part: &str, with: &str) -> Value {
    let hits = whole.matches(part).count();
    if hits.saturating_mul(with.len()).saturating_add(whole.len()) > MOST {
        return None;
    }
    Some(whole.replace(part, with).into())
}
