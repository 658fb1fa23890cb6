//! What of the trial needs somebody to look, why, and what to do.

use std::time::Duration;

use fleetkey_dashboard::fleet::{Finding, Severity};
use fleetkey_lifecycle::Status;
use fleetkey_lifecycle::status::Alarm;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::{Entry, words};

/// So long a device may be gone before somebody is told: hand-overs and restarts are shorter.
const AWAY: Duration = Duration::from_secs(10);
/// So many rotations may fail in a row.
const FAILURES: u32 = 3;

/// What there is to say of one device.
pub(super) fn of(thing: &ThingName, entry: &Entry, status: &Status, now: Timestamp) -> Vec<Finding> {
    let finding = |severity, seen: String, matters: &str, remedy: &str, since| Finding {
        severity,
        thing: Some(thing.clone()),
        seen,
        matters: matters.to_owned(),
        remedy: remedy.to_owned(),
        since,
    };
    let mut found: Vec<Finding> = status
        .alarms
        .iter()
        .map(|alarm| {
            let (severity, matters, remedy) = advice(*alarm);
            finding(severity, words::alarm(*alarm).to_owned(), matters, remedy, None)
        })
        .collect();
    if status.failures >= FAILURES {
        found.push(finding(
            Severity::High,
            format!("{} rotations failed in a row", status.failures),
            "The certificate in use grows older than the schedule allows.",
            "Its timeline tells what the cloud answered. Check template, hook and policies.",
            None,
        ));
    }
    if let Some(since) = entry.down.filter(|since| now.since(*since) >= AWAY && status.current.is_some()) {
        found.push(finding(
            Severity::High,
            "it is not connected".to_owned(),
            "It sends nothing and cannot be told to rotate.",
            "Its timeline tells why the connection ended and what the broker answered since.",
            Some(since),
        ));
    }
    found
}

const fn advice(alarm: Alarm) -> (Severity, &'static str, &'static str) {
    match alarm {
        Alarm::Storage => (
            Severity::High,
            "Nothing new can be made durable, so nothing rotates.",
            "Make room, or repair the file system; the agent goes on by itself.",
        ),
        Alarm::DuplicateClientId => (
            Severity::Critical,
            "Most likely somebody has a copy of its disk, key included.",
            "Find the copy. Rotate as compromised, then retire every older certificate.",
        ),
        Alarm::NoIdentityAccepted => (
            Severity::Critical,
            "The device is cut off.",
            "Look at its certificates' status and policies; open the recovery template if they are gone.",
        ),
        Alarm::Frozen => (
            Severity::Critical,
            "Two parties may hold this thing's keys, or its newest certificate is not what it seems.",
            "Compare both generations on its page, decide which is rightful, and revoke the other.",
        ),
    }
}
