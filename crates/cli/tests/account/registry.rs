//! What the account publishes of things, and the controller that hears it.

use aws_sdk_iot::types::EventType;
use fleetkey_operator::chain::CONTROLLER_JOURNAL_FILE;

use crate::core::{Core, Outcome, a_directory};
use crate::inventory::Clients;
use crate::process::Process;
use crate::serve::{HASTE, get, inventory_is_taken, until};

fn publishes(clients: &Clients) -> bool {
    let told = clients.wait(clients.iot.describe_event_configurations().send()).unwrap();
    told.event_configurations().unwrap()[&EventType::Thing].enabled
}

/// Nobody turns a setting of the whole account on by the way. Once it is asked for, it is on, and on record; and a device
/// that is provisioned is known within seconds, an hour before the account is listed again.
#[test]
fn what_is_made_is_known_before_the_next_list_where_the_account_tells_of_it() {
    let (core, fleet) = (Core::empty(), a_directory());
    core.set_up(&[], fleet.path()).good();
    let clients = Clients::of(&core);
    assert!(!publishes(&clients), "off at first, as with AWS");
    let words: Vec<_> = HASTE.into_iter().chain(["--registry-events", "--soonest", "2"]).collect();
    let mut process = Process::of(core.command(core.url(), &words, fleet.path()).spawn().unwrap());
    let url = process.event("serving")["url"].as_str().unwrap().to_owned();
    process.event("ready");
    inventory_is_taken(&url);
    until("the setting", || publishes(&clients));
    let journal = fleet.path().join("operator").join(CONTROLLER_JOURNAL_FILE);
    until("its end on record", || std::fs::read_to_string(&journal).unwrap().contains("\"enabled\""));

    let page = || get(&url, "/metrics").1;
    let has = |line: &str| page().lines().any(|found| found == line);
    assert!(has("fleetkey_fleet_certificates{status=\"ACTIVE\"} 3"), "{}", page());
    core.provision("press-1", fleet.path());
    until("the new one", || has("fleetkey_fleet_certificates{status=\"ACTIVE\"} 4"));
    assert!(page().contains("fleetkey_controller_messages_total{kind=\"registry\"}"), "{}", page());

    let soonest = || page().lines().filter(|line| line.starts_with("x509_cert_not_after{")).count();
    until("as many ends as were asked for", || soonest() == 2);

    process.signal("TERM");
    let (status, lines, errors) = process.end();
    assert!(status.success(), "{errors}");
    let lines: Vec<serde_json::Value> =
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let run = Outcome { code: 0, lines, errors };
    let command = (&["serve", "--registry-events"][..], &["serve"][..]);
    crate::least_privilege::exact_beside(&core, command, &run);
}
