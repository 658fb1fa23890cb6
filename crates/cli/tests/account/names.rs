//! What a fleet's resources are called, and where they are: by default as in the demo that many have copied, else as
//! flags and variables say.

use std::collections::BTreeSet;

use crate::core::{Core, Outcome, a_directory};
use crate::inventory::{Clients, Inventory};
use crate::proxy::Proxy;

fn has(inventory: &Inventory, names: &[&str]) {
    let there: BTreeSet<_> = inventory.keys().map(String::as_str).collect();
    let missing: Vec<_> = names.iter().filter(|name| !there.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} of {there:?}");
}

#[test]
fn the_names_are_the_demos_unless_told_otherwise() {
    let (core, fleet) = (Core::empty(), a_directory());
    let clients = Clients::of(&core);
    core.set_up(&[], fleet.path()).good();
    let names =
        ["policy DevicePolicy", "policy ClaimPolicy", "template CertRotationTemplate", "group fleet-devices"];
    has(&clients.inventory(), &names);
}

/// `IOT_TEMPLATE_NAME` names the templates, and is remembered: `cleanup` without it removes what `setup` has made
/// with it. `--template-name` goes before it.
#[test]
fn the_template_is_named_by_its_variable() {
    let (core, fleet) = (Core::empty(), a_directory());
    let clients = Clients::of(&core);
    let words = core.setup();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mut command = core.command(core.url(), &words, fleet.path());
    Outcome::of(command.env("IOT_TEMPLATE_NAME", "Presses").spawn().unwrap()).good();
    has(&clients.inventory(), &["template Presses", "template Presses-rotate", "template Presses-recover"]);
    core.provision("press-1", fleet.path());
    core.run(&["cleanup"], fleet.path()).good();
    assert_eq!(clients.inventory(), Inventory::new());

    let flag: Vec<_> = words.iter().copied().chain(["--template-name", "Flagged"]).collect();
    let mut command = core.command(core.url(), &flag, fleet.path());
    Outcome::of(command.env("IOT_TEMPLATE_NAME", "Presses").spawn().unwrap()).good();
    has(&clients.inventory(), &["template Flagged"]);
}

/// Calls are signed for the region of `AWS_REGION`, without it for us-east-1; `--region` goes before it.
#[test]
fn calls_go_to_the_region_of_its_variable() {
    let core = Core::empty();
    let profiles = a_directory();
    let profile = profiles.path().join("config");
    std::fs::write(&profile, "[profile presses]\nregion = eu-north-1\n").unwrap();
    let regions = |variable: Option<&str>, flags: &[&str]| {
        let proxy = Proxy::start(core.address(), None);
        let arguments: Vec<_> = ["status"].iter().chain(flags).copied().collect();
        let fleet = a_directory();
        let mut command = core.command(&proxy.url(), &arguments, fleet.path());
        command.env("AWS_CONFIG_FILE", &profile);
        if let Some(region) = variable {
            command.env("AWS_REGION", region).env("AWS_PROFILE", "");
        }
        let ended = Outcome::of(command.spawn().unwrap());
        assert!(!ended.errors.contains("imds"), "no instance is asked where it is: {}", ended.errors);
        proxy.calls().into_iter().map(|call| call.region).collect::<BTreeSet<_>>()
    };
    let only = |region: &str| BTreeSet::from([region.to_owned()]);
    assert_eq!(regions(None, &[]), only("us-east-1"));
    assert_eq!(regions(Some("eu-central-1"), &[]), only("eu-central-1"));
    assert_eq!(regions(Some("eu-central-1"), &["--region", "us-east-1"]), only("us-east-1"));
    assert_eq!(regions(Some(""), &[]), only("us-east-1"), "a variable that is set to nothing says nothing");
    assert_eq!(regions(Some(""), &["--profile", "presses"]), only("eu-north-1"));
}

/// With `--name-prefix` two fleets share an account: each is set up, kept and removed without touching the other.
#[test]
fn a_prefix_keeps_fleets_apart() {
    let core = Core::empty();
    let clients = Clients::of(&core);
    let (plain, acme) = (a_directory(), a_directory());
    core.set_up(&[], plain.path()).good();
    let first = clients.inventory();
    core.set_up(&["--name-prefix", "acme-"], acme.path()).good();
    let names =
        ["policy acme-DevicePolicy", "template acme-CertRotationTemplate", "group acme-fleet-devices"];
    has(&clients.inventory(), &names);
    core.provision("acme-press", acme.path());
    core.provision("press", plain.path());

    core.run(&["cleanup"], acme.path()).good();
    let left = clients.inventory();
    assert!(left.contains_key("thing press") && !left.contains_key("thing acme-press"), "{:?}", left.keys());
    core.run(&["decommission", "press"], plain.path()).good();
    assert_eq!(clients.inventory(), first);
    let refused = core.run(&["status", "--name-prefix", "acme-"], plain.path());
    assert!(refused.code == 1 && refused.errors.contains("belongs to the fleet"), "{refused:?}");
}

/// `--topic-root` shapes the policies: what devices publish stands below it and nowhere else. Given later, it changes
/// the policies and nothing more.
#[test]
fn the_topic_root_shapes_the_policies() {
    let (core, fleet) = (Core::empty(), a_directory());
    let clients = Clients::of(&core);
    core.set_up(&[], fleet.path()).good();
    let before = clients.inventory();
    assert!(before["policy DevicePolicy"].contains("topic/device/${iot:Connection.Thing.ThingName}"));
    core.set_up(&["--topic-root", "pm500"], fleet.path()).good();
    let after = clients.inventory();
    let device = &after["policy DevicePolicy"];
    assert!(
        device.contains("topic/pm500/${iot:Connection.Thing.ThingName}") && !device.contains("topic/device/")
    );
    let changed: Vec<_> = after.iter().filter(|(name, like)| before.get(*name) != Some(*like)).collect();
    let changed: Vec<_> = changed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(changed, ["policy DevicePolicy", "policy ObserverPolicy"]);
    assert_eq!(before.len(), after.len());
}
