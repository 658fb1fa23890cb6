//! `fleetkey inventory` on an account that is another process.

use serde_json::Value;

use crate::core::{Core, Outcome, a_directory};
use crate::inventory::Clients;
use crate::least_privilege::exact;

const DAY_MILLIS: u64 = 86_400_000;

/// The certificates that a run has printed.
fn rows(outcome: &Outcome) -> Vec<&Value> {
    outcome.lines.iter().filter(|line| line["event"] == "certificate").collect()
}

/// Two devices, and a certificate that is on no thing.
fn a_fleet() -> (Core, tempfile::TempDir, Clients) {
    let (core, fleet) = (Core::empty(), a_directory());
    core.set_up(&[], fleet.path()).good();
    core.provision("press-1", fleet.path());
    core.provision("press-2", fleet.path());
    let clients = Clients::of(&core);
    clients.wait(clients.iot.create_keys_and_certificate().set_as_active(true).send()).unwrap();
    (core, fleet, clients)
}

/// Every certificate is listed with its thing, the operator's own as such; a second look asks nothing; filters, CSV and
/// findings are of the same rows; the account sees the calls that `--print-iam` says.
#[test]
fn every_certificate_is_listed_once_and_known_from_then_on() {
    let (core, fleet, clients) = a_fleet();
    let inventory = |more: &[&str]| {
        let words: Vec<_> = ["inventory"].iter().chain(more).copied().collect();
        core.run(&words, fleet.path()).good()
    };
    let first = inventory(&["--deep"]);
    let all = rows(&first);
    assert_eq!(all.len(), 3 + 2 + 1);
    let part = |name: &str| all.iter().filter(|row| row["part"] == name).count();
    assert_eq!((part("own"), part("current")), (3, 2));
    let of_press = all.iter().find(|row| row["thing"] == "press-1").unwrap();
    assert_eq!(of_press["status"], "ACTIVE");
    assert!(all.iter().all(|row| row["not_after"].as_u64().is_some()));
    assert_eq!((&of_press["state"], &of_press["age"].is_u64()), (&"Ready".into(), &true));
    let moment = |name: &str| of_press[name].as_u64().unwrap();
    let (due, latest) = (moment("rotation_due"), moment("created_at") + 30 * DAY_MILLIS);
    assert!(due < latest && due >= latest - DAY_MILLIS, "each device at its own offset: {due} {latest}");
    assert!(first.last()["ages"]["certificates"].as_u64().is_some());
    exact(&core, &["inventory"], std::slice::from_ref(&first));

    let again = inventory(&["--thing", "press-*"]);
    assert_eq!((rows(&again).len(), again.calls().len()), (2, 0), "nothing is asked within the hour");
    assert_eq!(rows(&inventory(&["--status", "inactive"])).len(), 0);
    let id = of_press["certificate"].as_str().unwrap();
    let ended = clients.iot.update_certificate().certificate_id(id).new_status("INACTIVE".into());
    clients.wait(ended.send()).unwrap();
    assert_eq!(rows(&inventory(&["--status", "inactive", "--max-age", "0s"])).len(), 1);

    let degraded = inventory(&["--state", "degraded"]);
    assert_eq!(rows(&degraded).iter().map(|row| &row["thing"]).collect::<Vec<_>>(), ["press-1"]);
    assert_eq!(rows(&inventory(&["--state", "ready"])).len(), 1);
    let history = inventory(&["--history", "press-1"]);
    let whats: Vec<_> =
        history.lines.iter().filter(|line| line["event"] == "history").map(|line| &line["what"]).collect();
    assert_eq!(whats, ["registered", "INACTIVE"], "{:#?}", history.lines);
    assert!(
        core.run(&["inventory", "--history", "nobody"], fleet.path()).errors.contains("nothing is known")
    );

    let aged = inventory(&["--findings", "--finding", "aged", "--rotate-every", "1ms"]);
    let aged: Vec<_> = aged.lines.iter().filter(|line| line["event"] == "finding").collect();
    assert_eq!(aged.len(), 1, "the other is not ACTIVE any more");
    assert!(["saw", "why", "act"].iter().all(|word| !aged[0][word].as_str().unwrap().is_empty()));
    assert_eq!(rows(&inventory(&["--finding", "aged", "--rotate-every", "1ms"])).len(), 1);

    let csv = core.command(core.url(), &["inventory", "--format", "csv"], fleet.path()).output().unwrap();
    let csv = String::from_utf8(csv.stdout).unwrap();
    assert_eq!(csv.lines().count(), 1 + 6, "{csv}");
    assert!(csv.lines().any(|line| line.starts_with(id) && line.contains(",press-1,INACTIVE,")), "{csv}");
}

/// What is kept and cannot be read is asked for again, and said so; offline nothing is asked.
#[test]
fn a_damaged_inventory_is_taken_anew() {
    let (core, fleet, _) = a_fleet();
    core.run(&["inventory"], fleet.path()).good();
    std::fs::write(fleet.path().join("operator/inventory.jsonl"), "{").unwrap();
    let offline = core.run(&["inventory", "--offline"], fleet.path()).good();
    assert_eq!((rows(&offline).len(), offline.calls().len()), (0, 0));
    assert!(offline.errors.contains("begun anew"), "{}", offline.errors);
    assert_eq!(rows(&core.run(&["inventory"], fleet.path()).good()).len(), 6);
}
