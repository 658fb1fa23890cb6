//! `fleetkey campaign`, carried out by a controller that is another process.

use std::path::Path;

use serde_json::{Value, json};

use crate::core::{Core, Outcome, a_directory};
use crate::inventory::Clients;
use crate::process::Process;
use crate::serve::{Fleet, inventory_is_taken};

/// Exit code, first line, standard error.
pub(crate) fn campaign(fleet: &Path, words: &[&str]) -> (i32, Value, String) {
    let fleet = fleet.to_str().unwrap();
    let arguments: Vec<_> =
        ["campaign"].iter().chain(words).chain(&["--fleet-dir", fleet]).copied().collect();
    let (code, out, errors) = crate::process::run(&arguments);
    let first = out.lines().next().and_then(|line| serde_json::from_str(line).ok());
    (code, first.unwrap_or_default(), errors)
}

impl Fleet {
    fn campaign(&self, words: &[&str]) -> (i32, Value, String) {
        campaign(self.path(), words)
    }

    fn start(&self, name: &str, more: &[&str]) -> Value {
        let words = ["start", "--name", name, "--why", "yearly"];
        let (code, told, errors) = self.campaign(&words.iter().chain(more).copied().collect::<Vec<_>>());
        assert_eq!(code, 0, "{errors}");
        told
    }

    fn becomes(&self, name: &str, mode: &str) -> Value {
        self.wait(&format!("{name} {mode}"), || self.campaign(&["show", name]).1["mode"] == mode);
        self.campaign(&["show", name]).1
    }
}

fn serving(fleet: &Fleet) -> (Process, String) {
    let mut process = Process::of(fleet.serve(fleet.core.url()));
    let url = process.event("serving")["url"].as_str().unwrap().to_owned();
    process.event("ready");
    (process, url)
}

/// One that was left while nobody served is carried out by the next controller, though its file cannot be read at first;
/// another is paused, survives a kill, and goes on when it is resumed; one whose device is never seen again ends at its
/// threshold.
#[test]
fn a_campaign_is_carried_out_across_kills_and_ends_when_too_many_fail() {
    let mut fleet = Fleet::of_one();
    fleet.core.provision("press-2", fleet.path());
    let (process, url) = serving(&fleet);
    inventory_is_taken(&url);
    process.signal("TERM");
    assert!(process.end().0.success());

    let planned = fleet.start("spring", &["--thing", "press-*", "--plan"]);
    assert_eq!((&planned["devices"], &planned["waves"]), (&2.into(), &serde_json::json!([1, 2])));
    assert_eq!((&planned["rate"], &planned["account_rate"]), (&60.into(), &300.into()));
    assert_eq!(fleet.campaign(&["show", "spring"]).0, 1, "a plan leaves nothing");
    let started = fleet.start("spring", &["--thing", "press-1"]);
    assert_eq!((&started["event"], &started["served"]), (&"started".into(), &false.into()));
    let (kept, aside) = (fleet.path().join("operator/campaigns/spring.jsonl"), fleet.path().join("aside"));
    std::fs::rename(&kept, &aside).unwrap();
    std::fs::create_dir(&kept).unwrap();
    let (mut process, _) = serving(&fleet);
    let untold = |line: &String| line.contains("a campaign cannot be carried out");
    fleet.wait("the trouble", || process.errors_so_far().iter().any(untold));
    std::fs::remove_dir(&kept).unwrap();
    std::fs::rename(&aside, &kept).unwrap();
    let first = fleet.committed();
    assert_eq!(fleet.becomes("spring", "done")["counts"]["rotated"], 1);
    assert!(!process.errors_so_far().iter().any(untold), "it was said once");
    fleet.only_is_left(&first);

    process.kill();
    fleet.start("autumn", &["--thing", "press-1"]);
    assert_eq!(fleet.campaign(&["pause", "autumn", "--why", "rain"]).0, 0);
    // Nobody serves: of another one an order waits that goes further than what comes after it.
    fleet.start("summer", &["--thing", "press-2"]);
    assert_eq!(fleet.campaign(&["abort", "summer", "--why", "enough"]).0, 0);
    let (code, _, refused) = fleet.campaign(&["resume", "summer", "--why", "sun"]);
    assert!(code == 1 && refused.contains("to abort is waiting"), "{refused}");
    let (mut process, _) = serving(&fleet);
    assert_eq!(fleet.becomes("summer", "aborted")["why"], "enough");
    assert_eq!(fleet.becomes("autumn", "paused")["why"], "rain");
    process.kill();
    let (process, _) = serving(&fleet);
    assert_eq!(fleet.becomes("autumn", "paused")["counts"]["waiting"], 1);
    assert_eq!(fleet.campaign(&["resume", "autumn", "--why", "sun"]).0, 0);
    let second = fleet.committed();
    fleet.becomes("autumn", "done");
    fleet.only_is_left(&second);

    // It is connected, and stands still.
    let deaf = fleet.agent_of("press-2");
    deaf.signal("STOP");
    fleet.start("winter", &["--thing", "press-2", "--patience", "1s", "--tries", "1"]);
    let ended = fleet.becomes("winter", "aborted");
    assert!(ended["why"].as_str().unwrap().contains("1 of the 1 devices of wave 1 of 1"), "{ended}");
    drop(deaf);
    process.signal("TERM");
    assert!(process.end().0.success());
    let directory = fleet.path().to_str().unwrap();
    let journal = crate::process::run(&["journal", "show", "--about", "press-1", "--fleet-dir", directory]).1;
    assert!(journal.contains("campaign spring: yearly") && journal.contains("campaign autumn"), "{journal}");
    // Each order once, whoever was killed, and the one that was left while nobody served.
    let journal =
        crate::process::run(&["journal", "show", "--about", "campaign", "--fleet-dir", directory]).1;
    for words in [
        ["campaign start", "campaign spring", "yearly, says "],
        ["campaign start", "campaign autumn", "yearly, says "],
        ["campaign pause", "campaign autumn", "rain, says "],
        ["campaign abort", "campaign summer", "enough, says "],
        ["campaign resume", "campaign autumn", "sun, says "],
        ["campaign start", "campaign winter", "yearly, says "],
    ] {
        let of_it = journal.lines().filter(|line| words.iter().all(|word| line.contains(word)));
        assert_eq!(of_it.count(), 1, "{words:?}: {journal}");
    }
}

/// Of a device that was off when the controller came no event tells: the account is asked, and it is not told in vain.
#[test]
fn who_is_off_when_the_controller_comes_holds_nobody_up_and_is_told_on_coming_back() {
    let mut fleet = Fleet::of_one();
    fleet.core.provision("press-2", fleet.path());
    let (process, url) = serving(&fleet);
    inventory_is_taken(&url);
    fleet.wait("the inventory on disk", || {
        fleet.campaign(&["start", "--name", "x", "--why", "y", "--thing", "press-2", "--plan"]).0 == 0
    });
    fleet.start("spring", &["--thing", "press-*", "--canary", "100", "--tries", "1", "--threshold", "1"]);
    let first = fleet.committed();
    let counts = || fleet.campaign(&["show", "spring"]).1["counts"].clone();
    fleet.wait("the first to count", || counts()["rotated"] == 1);
    assert_eq!(counts()["waiting"], 1, "{}", counts());
    fleet.only_is_left(&first);
    let late = fleet.agent_of("press-2");
    assert_eq!(fleet.becomes("spring", "done")["counts"]["rotated"], 2);
    drop(late);
    process.signal("TERM");
    assert!(process.end().0.success());
}

/// What cannot be carried out is refused before anything is left.
#[test]
fn a_campaign_that_cannot_be_carried_out_is_refused() {
    let fleet = Fleet::of_one();
    let words = ["start", "--name", "spring", "--why", "yearly"];
    let refused = |more: &[&str]| {
        let (code, _, errors) = fleet.campaign(&words.iter().chain(more).copied().collect::<Vec<_>>());
        assert_eq!(code, 1, "{errors}");
        errors
    };
    assert!(refused(&["--thing", "press-1"]).contains("no inventory yet"));
    fleet.core.run(&["inventory"], fleet.path()).good();
    assert!(refused(&["--thing", "nobody"]).contains("no device was selected"));
    assert!(refused(&["--thing", "press-1", "--rate", "30001"]).contains("commands a minute"));
    let list = fleet.path().join("list");
    std::fs::write(&list, "press-1\npress-7\n").unwrap();
    assert!(refused(&["--list", list.to_str().unwrap()]).contains("press-7"));
    assert_eq!(fleet.campaign(&["pause", "spring"]).0, 1);
    assert_eq!(fleet.campaign(&["list"]).1, Value::default());
}

/// Devices of a group, and of the groups below it, are selected by asking the account, with the very call that
/// `--print-iam` says; together with what the inventory knows.
#[test]
fn a_campaign_is_about_a_group_and_the_groups_below_it() {
    let (core, fleet) = (Core::empty(), a_directory());
    core.set_up(&[], fleet.path()).good();
    let clients = Clients::of(&core);
    clients.wait(async {
        let iot = &clients.iot;
        iot.create_thing_group().thing_group_name("plant").send().await.unwrap();
        let hall = iot.create_thing_group().thing_group_name("hall-3").parent_group_name("plant");
        hall.send().await.unwrap();
    });
    for (serial, group) in
        [("press-1", "plant"), ("press-2", "hall-3"), ("oven-1", "hall-3"), ("press-3", "")]
    {
        core.provision(serial, fleet.path());
        if !group.is_empty() {
            let join = clients.iot.add_thing_to_thing_group().thing_group_name(group).thing_name(serial);
            clients.wait(join.send()).unwrap();
        }
    }
    core.run(&["inventory"], fleet.path()).good();
    let words = ["campaign", "start", "--name", "spring", "--why", "yearly"];
    let start =
        |more: &[&str]| core.run(&words.iter().chain(more).copied().collect::<Vec<_>>(), fleet.path());
    let devices = |run: &Outcome| run.last()["devices"].clone();
    let all = start(&["--group", "plant", "--plan"]).good();
    assert_eq!(devices(&all), 3);
    assert_eq!(devices(&start(&["--group", "plant", "--thing", "press-*", "--plan"]).good()), 2);
    let unknown = start(&["--group", "nowhere"]);
    assert!(unknown.code == 1 && unknown.errors.contains("nowhere"), "{}", unknown.errors);
    assert!(start(&["--list", "/dev/null", "--group", "plant"]).errors.contains("cannot be used with"));
    let begun = start(&["--group", "hall-3", "--thing", "press-*"]).good();
    assert_eq!((&begun.last()["event"], devices(&begun)), (&json!("started"), 1.into()));
    crate::least_privilege::exact(&core, &["campaign", "start"], &[all, begun]);
    assert!(start(&["--thing", "*", "--plan"]).calls().is_empty(), "without a group nobody is asked");
    let stands = campaign(fleet.path(), &["show", "spring"]).1;
    assert_eq!(stands["counts"]["waiting"], 1);
}
