//! From an empty account to an empty account.

use std::path::Path;

use fleetkey_operator::chain::JOURNAL_FILE;

use crate::core::{Core, Outcome, a_directory};
use crate::inventory::Clients;

/// How many resources a fleet has besides certificates and devices: `docs/setup.md` lists them.
const RESOURCES: usize = 15;
const DEVICES: usize = 10;

/// What cleanup leaves of a fleet directory: no key, no certificate, no setting; the journal, a lock, and what keeps
/// keys out of repositories.
#[track_caller]
pub(crate) fn no_key_is_left(fleet: &Path) {
    let mut left: Vec<_> = std::fs::read_dir(fleet.join("operator"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with(".lock") && !name.starts_with(JOURNAL_FILE))
        .collect();
    left.sort();
    assert_eq!(left, Vec::<String>::new());
}

/// `setup` makes fifteen resources and three certificates; a second `setup` makes no change and no call that could;
/// ten devices are provisioned by the claim that it has made; `cleanup` leaves nothing.
#[test]
fn what_was_set_up_is_kept_serves_devices_and_is_removed_whole() {
    let (core, fleet) = (Core::empty(), a_directory());
    let clients = Clients::of(&core);
    assert_eq!(clients.inventory().len(), 0);

    let first = core.set_up(&[], fleet.path()).good();
    assert_eq!((&first.last()["changed"], &first.last()["kept"]), (&18.into(), &0.into()));
    let whole = clients.inventory();
    assert_eq!(whole.len(), RESOURCES + 3, "{:?}", whole.keys());

    let changes = core.management_events().len();
    let second = core.set_up(&[], fleet.path()).good();
    assert_eq!((&second.last()["changed"], &second.last()["kept"]), (&0.into(), &18.into()));
    assert_eq!(clients.inventory(), whole);
    assert_eq!(core.management_events().len(), changes, "a second run changes nothing");
    assert_eq!(core.run(&["status"], fleet.path()).code, 0);

    for device in 0..DEVICES {
        core.provision(&format!("press-{device}"), fleet.path());
    }
    assert_eq!(clients.inventory().len(), RESOURCES + 3 + 2 * DEVICES, "a thing and a certificate each");

    let gone = core.run(&["cleanup"], fleet.path()).good();
    assert_eq!(gone.last()["remains"], serde_json::json!([]));
    assert_eq!(clients.inventory(), std::collections::BTreeMap::new());
    no_key_is_left(fleet.path());
    let missing = core.run(&["status"], fleet.path());
    let states: Vec<_> = missing.lines.iter().filter_map(|line| line["state"].as_str()).collect();
    assert_eq!((missing.code, states), (1, vec!["missing"; RESOURCES + 3]));
    let again = core.run(&["cleanup"], fleet.path()).good();
    assert_eq!(again.last()["removed"], 0);
}

/// On this machine nothing has to be said: the variables that `fleetkey local env` prints are all that `setup` needs for
/// a fleet whose devices find their broker, in the very directory of the local IoT Core, as by default.
#[test]
fn the_variables_of_a_local_iot_core_are_enough() {
    let core = Core::empty();
    let mut command = core.command("", &["setup"], core.directory());
    command.env_clear().envs(core.variables());
    Outcome::of(command.spawn().unwrap()).good();
    core.provision("press-1", core.directory());
    core.run(&["cleanup"], core.directory()).good();
    assert_eq!(Clients::of(&core).inventory().len(), 0);
}

/// A thing type may be deleted some minutes after its deprecation: `cleanup` says that it waits, and goes on when the
/// account lets it, without a fixed pause.
#[test]
fn a_cleanup_waits_until_the_thing_type_may_go() {
    let (core, fleet) = (Core::resting("3s"), a_directory());
    core.set_up(&[], fleet.path()).good();
    let gone = core.run(&["cleanup"], fleet.path()).good();
    let waited =
        |line: &serde_json::Value| line["event"] == "waiting" && line["what"] == "thing type fleet-device";
    assert!(gone.lines.iter().any(waited), "{:#?}", gone.lines);
    assert_eq!(Clients::of(&core).inventory().len(), 0);
}

/// Tags lead to everything but certificates, and policies lead to those: of a fleet whose directory was lost, and whose
/// devices' things somebody has half removed, nothing is left either.
#[test]
fn a_fleet_whose_directory_was_lost_is_removed_by_its_tags() {
    let (core, lost) = (Core::empty(), a_directory());
    let clients = Clients::of(&core);
    core.set_up(&[], lost.path()).good();
    core.provision("press-1", lost.path());
    core.provision("press-2", lost.path());
    clients.wait(async {
        let thing = clients.iot.list_thing_principals().thing_name("press-1").send().await.unwrap();
        let detach =
            clients.iot.detach_thing_principal().thing_name("press-1").principal(&thing.principals()[0]);
        detach.send().await.unwrap();
        clients.iot.delete_thing().thing_name("press-1").send().await.unwrap();
    });
    drop(lost);
    core.run(&["cleanup"], a_directory().path()).good();
    assert_eq!(clients.inventory(), std::collections::BTreeMap::new());
}

/// What has one of our names and none of our tags is somebody else's: `setup` refuses, `cleanup` leaves it, `--force`
/// takes it over.
#[test]
fn what_somebody_else_made_is_left_to_them() {
    let (core, fleet) = (Core::empty(), a_directory());
    let clients = Clients::of(&core);
    let theirs = crate::inventory::THEIRS;
    let policy = clients.iot.create_policy().policy_name("DevicePolicy").policy_document(theirs);
    clients.wait(policy.send()).unwrap();
    let before = clients.inventory();

    let refused = core.set_up(&[], fleet.path());
    assert_eq!(refused.code, 1);
    assert!(refused.errors.contains("policy DevicePolicy") && refused.errors.contains("--name-prefix"));
    let left = core.run(&["cleanup"], fleet.path()).good();
    assert_eq!(left.last()["foreign"], serde_json::json!(["policy DevicePolicy"]));
    assert_eq!(clients.inventory(), before);

    core.set_up(&["--name-prefix", "acme-"], a_directory().path()).good();
    assert_eq!(clients.inventory()["policy DevicePolicy"], before["policy DevicePolicy"]);
    let taken = core.set_up(&["--force"], fleet.path()).good();
    assert!(taken.lines.iter().any(|line| line["action"] == "adopt"), "{:#?}", taken.lines);
    assert_eq!(core.run(&["status"], fleet.path()).code, 0);
}
