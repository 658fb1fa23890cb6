//! What of the trial needs somebody to look, why, and what to do.

use std::time::Duration;

use fleetkey_dashboard::fleet::{Finding, FindingPage, FindingQuery, Severity};
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

/// Where a finding stands among all of them: the number counts those of one device.
type Place = (Severity, ThingName, usize);

/// Some of the findings of all devices.
pub(super) fn page(
    each: impl Iterator<Item = (ThingName, Vec<Finding>)>,
    query: &FindingQuery,
) -> FindingPage {
    let mut all: Vec<(Place, Finding)> = Vec::new();
    for (thing, found) in each {
        let placed = found.into_iter().enumerate();
        all.extend(placed.map(|(number, found)| ((found.severity, thing.clone(), number), found)));
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let total = all.len();
    let after = read(&query.after);
    let mut rest = all.into_iter().filter(|(place, _)| after.as_ref().is_none_or(|after| place > after));
    let shown: Vec<(Place, Finding)> = rest.by_ref().take(query.limit).collect();
    let more = rest.next().is_some();
    let next = shown.last().filter(|_| more).map(|(place, _)| write(place));
    FindingPage { findings: shown.into_iter().map(|(_, found)| found).collect(), next, total }
}

/// No name has a comma.
fn write((severity, thing, number): &Place) -> String {
    format!("{},{thing},{number}", severity.word())
}

fn read(text: &str) -> Option<Place> {
    let mut parts = text.split(',');
    let (severity, thing, number) = (parts.next()?, parts.next()?, parts.next()?);
    let known = [Severity::Critical, Severity::High, Severity::Medium];
    let severity = known.into_iter().find(|known| known.word() == severity)?;
    Some((severity, ThingName::new(thing).ok()?, number.parse().ok()?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_by_page_every_finding_comes_once_and_the_gravest_first() {
        let finding = |thing: &ThingName, severity| Finding {
            severity,
            thing: Some(thing.clone()),
            seen: "x".to_owned(),
            matters: String::new(),
            remedy: String::new(),
            since: None,
        };
        let things = (0..9).map(|n| ThingName::new(format!("press:{n}")).unwrap());
        let kinds = [Severity::High, Severity::Critical, Severity::High];
        let each: Vec<_> =
            things.map(|thing| (thing.clone(), kinds.map(|kind| finding(&thing, kind)).into())).collect();
        for limit in [1, 4, 27, 28] {
            let (mut query, mut seen) = (FindingQuery { limit, ..FindingQuery::default() }, Vec::new());
            loop {
                let found = page(each.clone().into_iter(), &query);
                assert_eq!(found.total, 27);
                seen.extend(found.findings);
                let Some(next) = found.next else { break };
                query.after = next;
            }
            assert_eq!(seen.len(), 27, "by {limit}");
            assert!(seen.is_sorted_by_key(|found| (found.severity, found.thing.clone())));
        }
        let begin = page(each.clone().into_iter(), &FindingQuery { limit: 4, ..FindingQuery::default() });
        let strange = FindingQuery { limit: 4, after: "high,..,x".to_owned() };
        assert_eq!(page(each.into_iter(), &strange), begin);
    }
}
