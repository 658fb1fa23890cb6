//! The journal against the account's own record of what was done to it.

use std::collections::BTreeSet;
use std::path::Path;

use fleetkey_operator::chain::{self, JOURNAL_FILE};
use serde_json::Value;

use crate::core::{Core, a_directory};

fn journal(fleet: &Path) -> Vec<Value> {
    let path = fleet.join("operator").join(JOURNAL_FILE);
    chain::verify(&path).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Operation and the service's id of the request, of every call that the journal tells of.
fn journaled(lines: &[Value]) -> BTreeSet<(String, String)> {
    let calls = lines.iter().flat_map(|line| line["calls"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |call: &Value| text(&call["call"]).split(':').nth(1).unwrap().to_owned();
    calls.map(|call| (name(call), text(&call["request"]))).collect()
}

/// Whatever the account has recorded as a change stands in the journal under the same request id, refused attempts
/// too; and every change has a line before its first call and a line after its last, with who, what, before and after.
#[test]
fn every_change_of_the_account_is_in_the_journal() {
    let (core, fleet) = (Core::resting("2s"), a_directory());
    core.set_up(&[], fleet.path()).good();
    core.provision("press-1", fleet.path());
    core.provision("press-2", fleet.path());
    core.set_up(&["--topic-root", "pm500", "--allow-serial", "press-*"], fleet.path()).good();
    core.run(&["rotate-claim"], fleet.path()).good();
    core.run(&["decommission", "press-1"], fleet.path()).good();
    core.run(&["cleanup"], fleet.path()).good();

    let lines = journal(fleet.path());
    let journaled = journaled(&lines);
    let events = core.management_events();
    // What the account does by itself for a device has no request of ours.
    let ours = events
        .iter()
        .filter(|event| event["userAgent"].as_str().unwrap_or_default().contains("aws-sdk-rust"));
    let mut changes = 0;
    for event in ours {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        assert!(journaled.contains(&(text("eventName"), text("requestID"))), "{event:#}");
        changes += 1;
    }
    assert!(changes > 50, "{changes}");

    let mut open: Vec<(&Value, &Value)> = Vec::new();
    for line in &lines {
        assert_eq!(line["who"], "arn:aws:iam::123456789012:user/fleetkey");
        let change = (&line["action"], &line["what"]);
        match line["phase"].as_str().unwrap() {
            "begun" => open.push(change),
            _ => assert_eq!(open.pop(), Some(change), "{line}"),
        }
    }
    assert_eq!(open, []);
    let changed =
        lines.iter().find(|line| line["what"] == "policy DevicePolicy" && line["action"] == "change");
    let changed = changed.unwrap();
    assert!(
        changed["before"].to_string().contains("device/") && changed["after"].to_string().contains("pm500/")
    );
    let text = std::fs::read_to_string(fleet.path().join("operator").join(JOURNAL_FILE)).unwrap();
    assert!(!text.contains("PRIVATE KEY") && !text.contains(core.key().secret_access_key.expose()));
}
