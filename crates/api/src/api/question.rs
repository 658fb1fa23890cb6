//! From a query string to a checked question.

use std::time::Duration;

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::ThingName;

use super::{Refusal, bad};
use crate::backend::{Journal, Question, Selection, ThingSelection};

/// The most rows or lines of an answer, and how many where nobody says.
const MOST: usize = 1000;
const USUAL: usize = 100;

/// `status`, `thing`, `older_than`, `unseen_for` (seconds), `connected`, `rule`, `state`, `after`, `limit`.
pub(super) fn selection(query: &str) -> Result<Selection, Refusal> {
    let mut selection = Selection { limit: USUAL, ..Selection::default() };
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "status" => selection.status = Some(status(&value)?),
            "thing" => selection.thing = Some(value),
            "older_than" => selection.older_than = Some(seconds(&value)?),
            "unseen_for" => selection.unseen_for = Some(seconds(&value)?),
            "connected" => selection.connected = Some(truth(&value)?),
            "rule" => selection.rule = Some(value),
            "state" => selection.state = Some(value),
            "after" => selection.after = Some(value.parse().map_err(|error| bad(&error))?),
            "limit" => selection.limit = limit(&value)?,
            other => return Err(unknown(other)),
        }
    }
    Ok(selection)
}

/// `thing`, `state`, `connected`, `after`, `limit`.
pub(super) fn things(query: &str) -> Result<ThingSelection, Refusal> {
    let mut selection = ThingSelection { limit: USUAL, ..ThingSelection::default() };
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "thing" => selection.thing = Some(value),
            "state" => selection.state = Some(value),
            "connected" => selection.connected = Some(truth(&value)?),
            "after" => selection.after = Some(ThingName::new(value).map_err(|error| bad(&error))?),
            "limit" => selection.limit = limit(&value)?,
            other => return Err(unknown(other)),
        }
    }
    Ok(selection)
}

/// `rule`.
pub(super) fn rule(query: &str) -> Result<Option<String>, Refusal> {
    let mut rule = None;
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "rule" => rule = Some(value),
            other => return Err(unknown(other)),
        }
    }
    Ok(rule)
}

/// `of`, `after`, `limit`.
pub(super) fn journal(query: &str) -> Result<Question, Refusal> {
    let (mut of, mut from, mut most) = (Journal::default(), 0, USUAL);
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "of" => of = book(&value)?,
            "after" => from = value.parse().map_err(|_| Refusal::bad("after: the number of a line"))?,
            "limit" => most = limit(&value)?,
            other => return Err(unknown(other)),
        }
    }
    Ok(Question::Journal { of, after: from, limit: most })
}

fn book(text: &str) -> Result<Journal, Refusal> {
    match text {
        "controller" => Ok(Journal::Controller),
        "setup" => Ok(Journal::Setup),
        _ => Err(Refusal::bad("of: controller or setup")),
    }
}

/// Names and values of a query string, decoded.
pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Some((decoded(name)?, decoded(value)?))
    };
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| pair(part).ok_or_else(|| Refusal::bad("the query is not percent-encoded UTF-8")))
        .collect()
}

/// Percent-decoding (RFC 3986, 2.1) to UTF-8; `None` for what is neither.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn status(text: &str) -> Result<CertificateStatus, Refusal> {
    use CertificateStatus::{Active, Inactive, PendingActivation, PendingTransfer, Revoked};
    let all = [Active, Inactive, Revoked, PendingActivation, PendingTransfer];
    let found = all.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        Refusal::bad("status: ACTIVE, INACTIVE, REVOKED, PENDING_ACTIVATION or PENDING_TRANSFER")
    })
}

fn seconds(text: &str) -> Result<Duration, Refusal> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| Refusal::bad(format!("{text:?} is no number of seconds")))
}

fn truth(text: &str) -> Result<bool, Refusal> {
    text.parse().map_err(|_| Refusal::bad("connected: true or false"))
}

fn limit(text: &str) -> Result<usize, Refusal> {
    let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| Refusal::bad(format!("limit: 1 to {MOST}")))
}

fn unknown(name: &str) -> Refusal {
    Refusal::bad(format!("there is no parameter {:?} here", name.chars().take(40).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_becomes_a_selection_or_is_refused_with_the_reason() {
        let read = selection("status=active&thing=press-%2A&older_than=60&connected=true&limit=5").unwrap();
        assert_eq!(read.status, Some(CertificateStatus::Active));
        assert_eq!((read.thing.as_deref(), read.connected, read.limit), (Some("press-*"), Some(true), 5));
        assert_eq!(read.older_than, Some(Duration::from_secs(60)));
        assert_eq!(selection("").unwrap().limit, USUAL);
        for (query, words) in [
            ("status=dead", "status:"),
            ("limit=0", "limit:"),
            ("limit=1001", "limit:"),
            ("older_than=x", "seconds"),
            ("after=x", "64 hexadecimal"),
            ("colour=red", "no parameter"),
            ("thing=%ff", "percent-encoded"),
            ("thing=%4", "percent-encoded"),
        ] {
            let Refusal(_, why) = selection(query).unwrap_err();
            assert!(why.contains(words), "{query}: {why}");
        }
    }

    #[test]
    fn either_journal_is_read_and_the_controllers_where_none_is_named() {
        let asked = |query| match journal(query).unwrap() {
            Question::Journal { of, after, limit } => (of, after, limit),
            other => panic!("{other:?}"),
        };
        assert_eq!(asked(""), (Journal::Controller, 0, USUAL));
        assert_eq!(asked("of=setup&after=7&limit=5"), (Journal::Setup, 7, 5));
        assert_eq!(asked("of=controller").0, Journal::Controller);
        for (query, words) in
            [("of=agent", "controller or setup"), ("after=x", "number"), ("a=1", "no parameter")]
        {
            let Refusal(_, why) = journal(query).unwrap_err();
            assert!(why.contains(words), "{query}: {why}");
        }
    }

    #[test]
    fn things_are_selected_by_name_state_and_connection_and_by_nothing_else() {
        let read = things("thing=press-%2A&state=rotating&connected=false&after=press-1&limit=7").unwrap();
        assert_eq!((read.thing.as_deref(), read.state.as_deref()), (Some("press-*"), Some("rotating")));
        assert_eq!((read.connected, read.limit), (Some(false), 7));
        assert_eq!(read.after.unwrap().as_str(), "press-1");
        for (query, words) in [
            ("after=a%20b", "contains"),
            ("connected=yes", "true or false"),
            ("status=ACTIVE", "no parameter"),
        ] {
            let Refusal(_, why) = things(query).unwrap_err();
            assert!(why.contains(words), "{query}: {why}");
        }
    }
}
