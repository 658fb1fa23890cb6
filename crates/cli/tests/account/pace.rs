//! How fast campaigns are together in an account whose quotas are low.

use fleetkey_model::time::Timestamp;
use serde_json::{Value, json};

use crate::api::Api;
use crate::core::{Core, a_directory};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::serve::{HASTE, inventory_is_taken, until};

/// What this account says of itself: it registers two things a second, of which campaigns have one.
const QUOTAS: &str = r#"{"Quotas":[{"QuotaName":"Fleet Provisioning RegisterThing MQTT API TPS","Value":2.0,"ServiceCode":"iotcore"}]}"#;
/// How many commands may come at once: those of the last two seconds, which were not sent, and the first.
const AT_ONCE: u64 = 3;

/// Two campaigns of one controller, each as fast as can be asked for, tell no more devices together than the account lets
/// them; whoever begins one reads that it will be slower.
#[test]
fn two_campaigns_share_the_pace_of_the_account_and_whoever_begins_one_is_told_it() {
    let (core, directory) = (Core::empty(), a_directory());
    let fleet = directory.path();
    core.set_up(&[], fleet).good();
    let names: Vec<_> = (1..=8).map(|number| format!("press-{number}")).collect();
    names.iter().for_each(|name| core.provision(name, fleet));
    let proxy = Proxy::answering(core.address(), "ListServiceQuotas", QUOTAS);
    let mut process = Process::of(core.command(&proxy.url(), &HASTE, fleet).spawn().unwrap());
    let url = process.event("serving")["url"].as_str().unwrap().to_owned();
    process.event("ready");
    inventory_is_taken(&url);
    // They are connected, and stand still: who is off is not told.
    let agents = names.iter().map(|name| {
        let directory = fleet.to_str().unwrap();
        let mut agent = Process::start(&["device", "connect", "--serial", name, "--data-dir", directory]);
        agent.json(|event| event["event"] == "link_up");
        agent.signal("STOP");
        agent
    });
    let agents: Vec<_> = agents.collect();

    let operator = Api::of(&url, fleet, "operator");
    let draft = |name: &str, things: &[String]| {
        json!({
            "name": name, "why": "yearly", "things": things, "rate": 30_000, "at_once": 100, "canary": 100,
            "patience": 3600,
        })
    };
    let (first, second) = names.split_at(4);
    let (status, begun) = operator.ask("POST", "/campaigns", &draft("spring", first));
    assert_eq!(
        (status, &begun["rate"], &begun["account_rate"]),
        (200, &30_000.into(), &60.into()),
        "{begun}"
    );
    let list = fleet.join("list");
    std::fs::write(&list, second.join("\n")).unwrap();
    let fast = ["--rate", "30000", "--at-once", "100", "--canary", "100", "--patience", "1h"];
    let start =
        ["campaign", "start", "--name", "autumn", "--why", "yearly", "--list", list.to_str().unwrap()];
    let start = [&start[..], &fast].concat();
    let planned = [&start[..], &["--plan"]].concat();
    until("the inventory on disk", || core.run(&planned, fleet).code == 0);
    let begun = core.run(&start, fleet).good();
    assert_eq!(
        (&begun.last()["account_rate"], &begun.last()["account_rate_told"]),
        (&60.into(), &true.into())
    );
    assert!(begun.errors.contains("tell 60 devices a minute"), "{}", begun.errors);

    let told = || {
        let mut told = [told(fleet, "spring"), told(fleet, "autumn")].concat();
        told.sort_unstable();
        told
    };
    until("everybody to be told", || told().len() == names.len());
    let told = told();
    for (at, first) in told.iter().enumerate() {
        for (many, last) in (1..).zip(&told[at..]) {
            let span = last.since(*first).as_secs();
            assert!(many <= span + 1 + AT_ONCE, "{many} within {span} s: {told:?}");
        }
    }
    drop(agents);
    process.signal("TERM");
    assert!(process.end().0.success());
}

/// When each device of a campaign was told first.
fn told(fleet: &std::path::Path, campaign: &str) -> Vec<Timestamp> {
    let path = fleet.join(format!("operator/campaigns/{campaign}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    // The last line may be half there.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = lines.filter(|line| line["turn"]["is"] == "told" && line["turn"]["acknowledged"] == false);
    told.map(|line| serde_json::from_value(line["turn"]["at"].clone()).unwrap()).collect()
}
