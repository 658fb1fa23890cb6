//! Evidence that goes astray: certificates that were tried and given up, and messages that are lost, doubled, or out of
//! order. Nothing that a device lives on is retired for it, and in the end everything else is.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetkey_agent::config::{AgentConfig, Verification};
use fleetkey_agent::{AgentEvent, AgentHandle};
use fleetkey_lifecycle::config::Verdict;
use fleetkey_model::topic::TopicRoot;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use crate::crowd::Crowd;
use crate::inventory::Clients;
use crate::process::PATIENCE;
use crate::serve::HASTE;
use crate::unreliable::Unreliable;

/// Decides which messages are harmed.
const SEED: u64 = 20_261_122;
/// How often each kind of harm must have been done.
const HARM: usize = 5;
/// After so many rotations of each device it must have been.
const ROUNDS: usize = 12;

impl Crowd {
    /// AWS dates certificates to the second: two of the same second have no order but that in which they ask, and what
    /// they ask is reordered here.
    pub(crate) fn a_second_passes(&self) {
        let second = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let begun = second();
        self.wait("the next second", || (second() > begun).then_some(()));
    }

    /// Has every device rotate, until something has become of each; all that happened to it.
    fn rotate(&self, becomes: impl Fn(&AgentEvent) -> bool) -> Vec<Vec<AgentEvent>> {
        self.a_second_passes();
        let mut all: Vec<_> = self.agents.iter().map(|agent| (agent, agent.events())).collect();
        self.runtime.block_on(async {
            for (agent, _) in &all {
                agent.rotate().await;
            }
            let mut told = Vec::new();
            for (agent, events) in &mut all {
                told.push(heard(agent, events, &becomes).await);
            }
            told
        })
    }

    /// Certificates of the things, other than those in use.
    fn others(&self, clients: &Clients) -> BTreeSet<String> {
        let mut others = BTreeSet::new();
        for agent in &self.agents {
            let status = agent.status();
            let listed = clients.iot.list_thing_principals().thing_name(status.thing.as_str()).send();
            let listed = clients.wait(listed).unwrap();
            let ids = listed.principals().iter().map(|arn| arn.rsplit_once('/').unwrap().1.to_owned());
            others.extend(ids.filter(|id| *id != status.certificate.unwrap().to_string()));
        }
        others
    }

    /// No certificate that a device uses was ever made INACTIVE. In this order: none comes back into use.
    fn nobody_has_lost_theirs(&self) {
        let deactivated = self.deactivated();
        let in_use = self.certificates();
        assert!(deactivated.is_disjoint(&in_use), "{deactivated:?} {in_use:?}");
    }

    fn everybody_can_speak(&self) {
        let root = TopicRoot::new(self.config["topic_root"].as_str().unwrap()).unwrap();
        for agent in &self.agents {
            let topic = root.telemetry(&agent.status().thing);
            self.runtime.block_on(async {
                let told = agent.publish(&topic, b"here".to_vec());
                tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap();
            });
        }
    }
}

async fn heard(
    agent: &AgentHandle,
    events: &mut Receiver<AgentEvent>,
    fits: impl Fn(&AgentEvent) -> bool,
) -> Vec<AgentEvent> {
    let mut told = Vec::new();
    let hearing = async {
        while !told.last().is_some_and(&fits) {
            told.push(events.recv().await.unwrap());
        }
    };
    let heard = tokio::time::timeout(PATIENCE, hearing).await;
    assert!(heard.is_ok(), "it never came; {:?} after {told:?}", agent.status());
    told
}

const fn is_retired(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::Retired { .. })
}

const fn is_rolled_back(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::RolledBack { .. })
}

const fn is_committed(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::Committed { .. })
}

/// The certificate that a rotation was about.
fn candidate(told: &[AgentEvent]) -> String {
    let issued = told.iter().find_map(|event| match event {
        AgentEvent::Issued { certificate, .. } => Some(certificate),
        _ => None,
    });
    issued.unwrap().to_string()
}

/// The rotation template gives certificates that may not publish what they prove themselves with; returns its version
/// of before.
fn mute_what_comes(crowd: &Crowd, clients: &Clients) -> i32 {
    let template = crowd.config["templates"]["rotation"].as_str().unwrap();
    let topics = format!(
        "arn:aws:iot:us-east-1:123456789012:topic/{}/*/verify",
        crowd.config["topic_root"].as_str().unwrap()
    );
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Deny", "Action": "iot:Publish", "Resource": topics }],
    });
    clients.wait(async {
        let iot = &clients.iot;
        iot.create_policy().policy_name("mute").policy_document(document.to_string()).send().await.unwrap();
        let described = iot.describe_provisioning_template().template_name(template).send().await.unwrap();
        let mut body: Value = serde_json::from_str(described.template_body().unwrap()).unwrap();
        body["Resources"]["mute"] =
            json!({ "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "mute" } });
        let version = iot.create_provisioning_template_version().template_name(template);
        version.template_body(body.to_string()).set_as_default(true).send().await.unwrap();
        described.default_version_id().unwrap()
    })
}

/// One tries its candidate beside the live session, the other on it. What was tried beside was never in use as the
/// thing, and is swept; what was in use is not, until the next commit makes it an older one.
#[test]
fn a_device_that_tries_a_certificate_and_goes_back_keeps_its_own() {
    let mut crowd = Crowd::none();
    let settings = |verification| {
        move |config: &mut AgentConfig| {
            config.rotation.verdict = Verdict { refusals: 2, over: Duration::from_millis(100) };
            config.rotation.verification = verification;
            config.timeouts.answer = Duration::from_secs(5);
        }
    };
    let both = [("beside", Verification::Beside), ("takeover", Verification::Takeover)];
    let agents = both.map(|(serial, verification)| crowd.join_with(serial, settings(verification)));
    agents.iter().for_each(|agent| crowd.connects(agent));
    crowd.agents.extend(agents);
    let clients = Clients::of(&crowd.core);
    let mut words = HASTE;
    *words.last_mut().unwrap() = "3s";
    let _controller = crowd.serve_with(&words);
    crowd.rotate(is_retired);
    let kept = crowd.certificates();

    let before = mute_what_comes(&crowd, &clients);
    let tried: Vec<_> = crowd.rotate(is_rolled_back).iter().map(|told| candidate(told)).collect();
    assert_eq!(crowd.certificates(), kept);
    crowd.everybody_can_speak();
    crowd.wait("the sweep", || crowd.deactivated().contains(&tried[0]).then_some(()));
    crowd.nobody_has_lost_theirs();
    assert!(!crowd.deactivated().contains(&tried[1]));
    crowd.everybody_can_speak();

    let template = crowd.config["templates"]["rotation"].as_str().unwrap();
    let update =
        clients.iot.update_provisioning_template().template_name(template).default_version_id(before);
    clients.wait(update.send()).unwrap();
    crowd.rotate(is_retired);
    assert!(crowd.certificates().is_disjoint(&kept));
    crowd.wait("all others to go", || crowd.others(&clients).is_empty().then_some(()));
    crowd.nobody_has_lost_theirs();
    crowd.everybody_can_speak();
}

/// Between broker and controller messages are lost, doubled and passed by later ones, and the controller is killed every
/// other time.
#[test]
fn messages_that_go_astray_retire_nothing_wrongly_and_everything_in_the_end() {
    let mut crowd = Crowd::none();
    // Whose request or answer was lost asks again; most of this test is waiting for that.
    let sooner = |config: &mut AgentConfig| config.timeouts.answer = Duration::from_secs(5);
    let agents = ["press-0", "press-1", "press-2"].map(|serial| crowd.join_with(serial, sooner));
    agents.iter().for_each(|agent| crowd.connects(agent));
    crowd.agents.extend(agents);
    let line = Unreliable::before(&crowd.core, crowd.path(), SEED);
    let clients = Clients::of(&crowd.core);
    let mut controller = crowd.serve_with(&HASTE);
    let mut former = BTreeSet::new();
    for round in 0.. {
        former.extend(crowd.certificates());
        crowd.rotate(is_committed);
        crowd.nobody_has_lost_theirs();
        let harm = line.harm();
        if round > 1 && harm.iter().all(|count| *count >= HARM) {
            println!("lost, doubled, passed: {harm:?} in {} rotations of each of three", round + 1);
            break;
        }
        assert!(round < ROUNDS, "{harm:?}");
        if round % 2 == 1 {
            controller.kill();
            controller = crowd.serve_with(&HASTE);
        }
    }
    line.mend();
    crowd.wait("every retirement", || crowd.deactivated().is_superset(&former).then_some(()));
    crowd.wait("all others to go", || crowd.others(&clients).is_empty().then_some(()));
    crowd.nobody_has_lost_theirs();
    crowd.everybody_can_speak();
    drop(controller);
}
