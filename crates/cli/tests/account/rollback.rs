//! A campaign that is taken back: who can return does, of the others what they superseded is kept, and nobody retires it.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetkey_agent::AgentHandle;
use fleetkey_lifecycle::status::StateName;
use fleetkey_model::certificate::CertificateId;
use serde_json::{Value, json};

use crate::crowd::Crowd;
use crate::inventory::Clients;

/// A controller that makes older certificates INACTIVE at once, and REVOKED after this.
const fn with_grace(grace: &'static str) -> [&'static str; 9] {
    ["serve", "--listen", "127.0.0.1:0", "--soak", "100ms", "--grace", grace, "--leftover-after", "1day"]
}

impl Crowd {
    fn ordered(&self, words: &[&str]) -> Value {
        let (code, told, errors) = crate::campaign::campaign(self.path(), words);
        assert_eq!(code, 0, "{errors}");
        told
    }

    /// For which device the rollback has done what.
    fn returned(&self, name: &str) -> BTreeSet<(String, String)> {
        let directory = self.path().to_str().unwrap();
        let (_, out, _) = crate::process::run(&["campaign", "show", name, "--fleet-dir", directory]);
        let lines = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let word = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        let returned = lines.filter(|line| line["event"] == "returned");
        returned.map(|line| (word(&line, "thing"), word(&line, "how"))).collect()
    }

    fn status(&self, clients: &Clients, id: CertificateId) -> String {
        let described = clients.iot.describe_certificate().certificate_id(id.to_string());
        let described = clients.wait(described.send()).unwrap();
        described.certificate_description().unwrap().status().unwrap().to_string()
    }
}

fn certificate(agent: &AgentHandle) -> CertificateId {
    agent.status().certificate.unwrap()
}

/// One device soaks its new certificate for an hour and returns by itself, and the broker sees it on the old one; another
/// has had its old one made INACTIVE, and has it ACTIVE again. The next controller, in haste, retires neither, while it
/// does what it does for others.
#[test]
fn a_campaign_is_taken_back_as_far_as_that_can_be() {
    let mut crowd = Crowd::none();
    let soaks = crowd.join_with("press-1", |config| config.rotation.soak = Duration::from_secs(3600));
    let asks = crowd.join_with("press-2", |_| {});
    let other = crowd.join_with("oven-1", |_| {});
    for agent in [&soaks, &asks, &other] {
        crowd.connects(agent);
    }
    crowd.agents = vec![soaks.clone(), asks.clone(), other.clone()];
    crowd.core.run(&["inventory"], crowd.path()).good();
    let clients = Clients::of(&crowd.core);
    let (first, older) = (certificate(&soaks), certificate(&asks));
    let mut controller = crowd.serve_with(&with_grace("1h"));
    let start = ["start", "--name", "spring", "--why", "yearly", "--thing", "press-*", "--canary", "100"];
    assert_eq!(crowd.ordered(&start)["devices"], 2);
    crowd.wait("the soak", || {
        let status = soaks.status();
        (status.state == StateName::Soak && status.connected).then_some(())
    });
    assert_ne!(first, certificate(&soaks));
    crowd.wait("the retirement", || (crowd.status(&clients, older) == "INACTIVE").then_some(()));
    let newer = certificate(&asks);

    // Killed in the middle of it: the next controller goes on.
    crowd.ordered(&["rollback", "spring", "--why", "the new application fails"]);
    controller.kill();
    let mut controller = crowd.serve_with(&with_grace("1h"));
    let expected: BTreeSet<_> =
        [("press-1", "back"), ("press-2", "reactivated")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    crowd.wait("the way back", || (crowd.returned("spring") == expected).then_some(()));
    assert_eq!((certificate(&soaks), soaks.status().connected), (first, true));
    assert_eq!(certificate(&asks), newer, "whoever has asked for retirement goes on with the new one");
    let stands = crowd.ordered(&["show", "spring"]);
    assert_eq!(
        (&stands["mode"], &stands["why"]),
        (&json!("rolled back"), &json!("the new application fails"))
    );

    // Another one rotates and loses its old certificate for good: whatever was due by then was done.
    controller.kill();
    let controller = crowd.serve_with(&with_grace("100ms"));
    let gone = certificate(&other);
    crowd.runtime.block_on(other.rotate());
    crowd.wait("the other's retirement", || (crowd.status(&clients, gone) == "REVOKED").then_some(()));
    for id in [first, older, newer] {
        assert_eq!(crowd.status(&clients, id), "ACTIVE", "{id}");
    }
    assert_eq!(certificate(&soaks), first, "and nobody has it rotate again");
    controller.signal("TERM");
    assert!(controller.end().0.success());
    let directory = crowd.path().to_str().unwrap();
    assert_eq!(crate::process::run(&["journal", "verify", "--fleet-dir", directory]).0, 0);
    let told = crate::process::run(&["journal", "show", "--about", "press-", "--fleet-dir", directory]).1;
    for words in ["command rollback", "hold", "campaign spring is rolled back: the new application fails"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

/// Devices soak for a day, as agents come, and nobody waits for that: the campaign is done when all are on their new
/// certificates, and until then and after it is taken back whole. A controller that is killed when a device has just
/// switched fails none, nobody tells of its connection again. The journal has both orders, by whom and why.
#[test]
fn a_campaign_over_devices_that_soak_for_a_day_is_done_and_taken_back_whole() {
    let mut crowd = Crowd::none();
    let join = |name| crowd.join_with(name, |config| config.rotation.soak = Duration::from_secs(24 * 3600));
    let agents = ["press-1", "press-2", "press-3"].map(join);
    agents.iter().for_each(|agent| crowd.connects(agent));
    crowd.agents = agents.to_vec();
    crowd.core.run(&["inventory"], crowd.path()).good();
    let first = crowd.certificates();
    let mut controller = crowd.serve_with(&with_grace("1h"));
    let start = ["start", "--name", "spring", "--why", "yearly", "--thing", "press-*", "--patience", "40s"];
    let started = crowd.ordered(&start);
    assert_eq!(started["waves"], json!([1, 3]));
    let kept = crowd.path().join("operator/campaigns/spring.jsonl");
    let is_seen = || std::fs::read_to_string(&kept).unwrap().contains(r#"{"line":"seen""#);
    crowd.wait("the canary's new certificate", || is_seen().then_some(()));
    controller.kill();
    let controller = crowd.serve_with(&with_grace("1h"));
    crowd.wait("the end", || (crowd.ordered(&["show", "spring"])["mode"] != "running").then_some(()));
    let stands = crowd.ordered(&["show", "spring"]);
    assert_eq!((&stands["mode"], &stands["counts"]["soaking"]), (&json!("done"), &json!(3)), "{stands}");
    assert_eq!((&stands["counts"]["failed"], &stands["counts"]["rotated"]), (&json!(0), &json!(0)));
    assert!(agents.iter().all(|agent| agent.status().state == StateName::Soak));
    assert!(crowd.certificates().is_disjoint(&first) && crowd.deactivated().is_disjoint(&first));

    let back = crowd.ordered(&["rollback", "spring", "--why", "the new application fails"]);
    let expected: BTreeSet<_> =
        ["press-1", "press-2", "press-3"].map(|name| (name.to_owned(), "back".to_owned())).into();
    crowd.wait("the way back", || (crowd.returned("spring") == expected).then_some(()));
    assert_eq!(crowd.certificates(), first);
    controller.signal("TERM");
    assert!(controller.end().0.success());
    let directory = crowd.path().to_str().unwrap();
    assert_eq!(crate::process::run(&["journal", "verify", "--fleet-dir", directory]).0, 0);
    let told = crate::process::run(&["journal", "show", "--about", "spring", "--fleet-dir", directory]).1;
    for (action, why, order) in
        [("campaign start", "yearly", &started), ("campaign rollback", "the new application fails", &back)]
    {
        let said = format!(", order {}", order["id"].as_str().unwrap());
        let lines = told.lines().filter(|line| line.contains(action));
        let lines: Vec<_> = lines.filter(|line| line.contains(why) && line.contains(&said)).collect();
        assert!(lines.len() == 1 && lines[0].contains("of fleetkey campaign"), "{action}: {told}");
    }
}
