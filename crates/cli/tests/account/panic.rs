//! The panic path: a leaked claim, or everybody with a policy, is stopped at once, and set going again.

use serde_json::Value;

use crate::core::{Core, Outcome, a_directory};
use crate::inventory::Clients;
use crate::least_privilege::exact;
use crate::serve::Fleet;

fn panic(fleet: &Fleet, words: &[&str]) -> Outcome {
    let words: Vec<_> = ["panic"].iter().chain(words).copied().collect();
    fleet.core.run(&words, fleet.path())
}

fn default_version(clients: &Clients, policy: &str) -> (String, String) {
    let found = clients.wait(clients.iot.get_policy().policy_name(policy).send()).unwrap();
    (found.default_version_id().unwrap().to_owned(), found.policy_document().unwrap().to_owned())
}

fn versions(clients: &Clients, policy: &str) -> Vec<String> {
    let listed = clients.wait(clients.iot.list_policy_versions().policy_name(policy).send()).unwrap();
    let mut ids: Vec<_> =
        listed.policy_versions().iter().map(|version| version.version_id().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Every device of the policy is refused from its next message on, and cannot come back; afterwards it can, with the very
/// version that counted before, although five versions had to make room for the sixth.
#[test]
fn a_policy_that_denies_everything_stops_a_connected_device_until_it_is_undone() {
    let fleet = Fleet::of_one();
    let clients = Clients::of(&fleet.core);
    // Five versions: the newest counts.
    for root in ["b", "c", "d", "e"] {
        fleet.core.set_up(&["--topic-root", root], fleet.path()).good();
    }
    fleet.core.set_up(&["--topic-root", "device"], fleet.path()).good();
    let (before, document) = default_version(&clients, "DevicePolicy");
    let all = versions(&clients, "DevicePolicy");
    assert_eq!(all.len(), 5, "{all:?}");
    fleet.can_speak(true);

    let refused = panic(&fleet, &["policy", "DevicePolicy", "--why", "x"]);
    assert!(refused.code == 1 && refused.errors.contains("--yes"), "{}", refused.errors);
    let planned = panic(&fleet, &["policy", "DevicePolicy", "--plan"]).good();
    assert_eq!(planned.last()["action"], "deny all");
    assert_eq!(default_version(&clients, "DevicePolicy").0, before, "a plan and a refusal change nothing");
    let stopped = panic(&fleet, &["policy", "DevicePolicy", "--yes", "--why", "keys on a forum"]).good();
    let step = stopped.lines.iter().find(|line| line["event"] == "stopped").unwrap();
    assert!(step["seconds"].as_f64().unwrap() < 60.0 && step["what"].as_str().unwrap().contains("denies"));
    assert!(stopped.last()["left_to_do"].to_string().contains("fleetkey revoke"), "{:#}", stopped.last());
    let (denying, document_now) = default_version(&clients, "DevicePolicy");
    assert!(denying != before && document_now.contains("Deny") && !document_now.contains("Allow"));
    fleet.can_speak(false);
    let again = panic(&fleet, &["policy", "DevicePolicy", "--yes", "--why", "again"]).good();
    assert_eq!(again.last()["stopped"], 0);
    assert_eq!(default_version(&clients, "DevicePolicy").0, denying);
    exact(&fleet.core, &["panic", "policy"], &[stopped, again]);

    let blocked = fleet.core.set_up(&[], fleet.path());
    assert!(blocked.code == 1 && blocked.errors.contains("panic undo"), "{}", blocked.errors);
    let undone = panic(&fleet, &["undo", "--yes", "--why", "they were revoked"]).good();
    assert_eq!(undone.last()["restored"], 1);
    assert_eq!(default_version(&clients, "DevicePolicy"), (before, document));
    assert!(!versions(&clients, "DevicePolicy").contains(&denying));
    fleet.can_speak(true);
    assert_eq!(panic(&fleet, &["undo", "--yes", "--why", "again"]).good().last()["restored"], 0);
    let directory = fleet.path().to_str().unwrap();
    let shown =
        crate::process::run(&["journal", "show", "--about", "DevicePolicy", "--fleet-dir", directory]).1;
    assert!(shown.contains("keys on a forum") && shown.contains("allow again"), "{shown}");
}

/// The claim provisions nobody any more, devices notice nothing, and afterwards it provisions again.
#[test]
fn a_leaked_claim_is_stopped_and_devices_notice_nothing() {
    let fleet = Fleet::of_one();
    let clients = Clients::of(&fleet.core);
    let window = ["recovery", "open", "--serial", "press-9", "--for", "1h", "--why", "x"];
    fleet.core.run(&window, fleet.path()).good();
    let enabled = |name: &str| {
        let found = clients.wait(clients.iot.describe_provisioning_template().template_name(name).send());
        found.unwrap().enabled().unwrap()
    };
    let planned = panic(&fleet, &["claim", "--plan", "--client", "claim~press-2"]).good();
    assert_eq!(planned.lines.iter().filter(|line| line["action"] == "keep").count(), 0);
    // One that is connected: it is back at once, with its own certificate.
    let leaked = ["claim", "--yes", "--why", "an image on a forum", "--client", "press-1"];
    let stopped = panic(&fleet, &leaked).good();
    let steps = stopped.lines.iter().filter(|line| line["event"] == "stopped").count();
    assert_eq!(
        (steps, enabled("CertRotationTemplate"), enabled("CertRotationTemplate-recover")),
        (3, false, false)
    );
    assert!(stopped.last()["left_to_do"].to_string().contains("rotate-claim"), "{:#}", stopped.last());
    assert!(enabled("CertRotationTemplate-rotate"), "devices rotate on");
    fleet.can_speak(true);
    let directory = fleet.path().to_str().unwrap();
    let newcomer = ["device", "provision", "--serial", "press-2", "--timeout", "5s", "--data-dir", directory];
    assert_ne!(crate::process::run(&newcomer).0, 0, "the claim is worth nothing");
    let blocked = fleet.core.run(&window, fleet.path());
    assert!(blocked.code == 1 && blocked.errors.contains("panic undo"), "{}", blocked.errors);
    let again = panic(&fleet, &["claim", "--yes", "--why", "again"]).good();
    assert_eq!(again.last()["stopped"], 0);

    let undone = panic(&fleet, &["undo", "--yes", "--why", "it was another fleet's"]).good();
    assert_eq!(undone.last()["restored"], 3, "{:#?}", undone.lines);
    assert!(enabled("CertRotationTemplate") && enabled("CertRotationTemplate-recover"));
    let newcomer = ["device", "provision", "--serial", "press-2", "--data-dir", directory];
    let (code, out, errors) = crate::process::run(&newcomer);
    assert_eq!(code, 0, "{out}\n{errors}");
    // What undoing asks for, all of it: a policy, too.
    panic(&fleet, &["policy", "ClaimPolicy", "--yes", "--why", "x"]).good();
    let both = panic(&fleet, &["undo", "--yes", "--why", "x"]).good();
    exact(&fleet.core, &["panic", "claim"], &[stopped, again]);
    exact(&fleet.core, &["panic", "undo"], &[undone, both]);
}

/// A claim that was exchanged meanwhile is gone, and stays so.
#[test]
fn a_claim_that_was_exchanged_is_not_brought_back() {
    let (core, directory) = (Core::empty(), a_directory());
    core.set_up(&[], directory.path()).good();
    let run = |words: &[&str]| core.run(words, directory.path()).good();
    run(&["panic", "claim", "--yes", "--why", "leaked"]);
    run(&["rotate-claim"]);
    let undone = run(&["panic", "undo", "--yes", "--why", "exchanged"]);
    let outcomes: Vec<_> = undone.lines.iter().filter_map(|line| line["outcome"].as_str()).collect();
    assert!(outcomes.contains(&"it is gone") && outcomes.contains(&"enabled again"), "{outcomes:?}");
    core.provision("press-1", directory.path());
}

/// What it cannot do it says before it has done anything.
#[test]
fn what_is_nobodys_is_refused() {
    let (core, directory) = (Core::empty(), a_directory());
    let missing = core.run(&["panic", "claim", "--yes", "--why", "x"], &directory.path().join("none"));
    assert!(missing.code == 1 && missing.errors.contains("no fleetkey data directory"), "{}", missing.errors);
    core.set_up(&[], directory.path()).good();
    let other = core.run(&["panic", "policy", "Theirs", "--yes", "--why", "x"], directory.path());
    assert!(other.code == 1 && other.errors.contains("DevicePolicy"), "{}", other.errors);
    let nothing = core.run(&["panic", "undo", "--yes", "--why", "x"], directory.path()).good();
    assert_eq!(nothing.last()["restored"], Value::from(0));
    let nobody = core.run(&["recovery", "approve", "press-9", "--why", "x"], directory.path());
    assert!(nobody.code == 1 && nobody.errors.contains("no thing press-9"), "{}", nobody.errors);
    let none = core.run(&["recovery", "close", "7"], directory.path());
    assert!(none.code == 1 && none.errors.contains("no recovery window 7"), "{}", none.errors);
}
