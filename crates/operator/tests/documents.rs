//! The documents, asked by the evaluator that the broker uses: who reaches what, and nobody more.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use fleetkey_model::arn::Scope;
use fleetkey_model::name::{ClientId, TemplateName, ThingName};
use fleetkey_model::template::Template;
use fleetkey_model::topic::{FleetTopic, Format, Leg, RegistryTopic, ReservedTopic, TopicRoot};
use fleetkey_operator::documents::{Fleet, Names};
use fleetkey_policy::{Action, Context, PolicyDocument, Request, evaluate};
use serde_json::Value;

fn fleet() -> Fleet {
    Fleet { scope: Scope::local(), root: TopicRoot::default(), names: Names::new("").unwrap() }
}

fn thing(name: &str) -> ThingName {
    ThingName::new(name).unwrap()
}

/// A connection under a policy: who it is, and what it may do.
struct Connection {
    policy: PolicyDocument,
    context: Context,
}

impl Connection {
    /// A device's, whose certificate is attached to `thing` alone.
    fn device(client: &ClientId, name: &ThingName) -> Self {
        let mut context = Context::new();
        context.set("iot:ClientId", client.as_str());
        context.set("iot:Connection.Thing.ThingName", name.as_str());
        context.set("iot:Connection.Thing.IsAttached", "true");
        Self { policy: PolicyDocument::parse(&fleet().device_policy().unwrap()).unwrap(), context }
    }

    /// One whose certificate belongs to no thing.
    fn of(policy: &str, client: &str) -> Self {
        let mut context = Context::new();
        context.set("iot:ClientId", client);
        Self { policy: PolicyDocument::parse(policy).unwrap(), context }
    }

    fn may(&self, action: Action, name: &str) -> bool {
        let scope = Scope::local();
        let resource = match action {
            Action::Connect => scope.client(&ClientId::new(name).unwrap()),
            Action::Subscribe => scope.topic_filter(name),
            Action::Publish | Action::Receive | Action::RetainPublish => scope.topic(name),
        };
        evaluate([("P", &self.policy)], &Request { action, resource: &resource, context: &self.context })
            .allowed()
    }

    /// Which of publish, receive, subscribe are allowed on a topic: `P`, `R`, `S`.
    fn rights(&self, topic: &str) -> String {
        let all = [(Action::Publish, 'P'), (Action::Receive, 'R'), (Action::Subscribe, 'S')];
        all.iter().filter(|(action, _)| self.may(*action, topic)).map(|(_, letter)| letter).collect()
    }
}

fn control(name: &str) -> [(String, &'static str); 4] {
    [
        (FleetTopic::Requests(thing(name)).to_string(), "P"),
        (FleetTopic::Commands(thing(name)).to_string(), "RS"),
        (FleetTopic::Answers(thing(name)).to_string(), "RS"),
        (FleetTopic::Attested(thing(name)).to_string(), ""),
    ]
}

fn provisioning(template: &TemplateName) -> Vec<(String, &'static str)> {
    let mut topics = Vec::new();
    for format in [Format::Json, Format::Cbor] {
        for (leg, rights) in [(Leg::Request, "P"), (Leg::Accepted, "RS"), (Leg::Rejected, "RS")] {
            topics.push((ReservedTopic::CreateKeys(format, leg), rights));
            topics.push((ReservedTopic::CreateFromCsr(format, leg), rights));
            topics.push((ReservedTopic::RegisterThing(template.clone(), format, leg), rights));
        }
    }
    topics.into_iter().map(|(topic, rights)| (topic.to_string(), rights)).collect()
}

/// Answers share a wildcard with their request: receiving that is granted too, and means nothing.
fn without_request_echo(rights: &str, found: &str) -> String {
    if rights == "P" { found.replace(['R', 'S'], "") } else { found.to_owned() }
}

#[test]
fn a_device_reaches_its_own_topics_under_each_of_its_client_ids() {
    let name = thing("pump-1");
    for client in [ClientId::live(&name), ClientId::verify(&name), ClientId::agent(&name)] {
        let device = Connection::device(&client, &name);
        assert!(device.may(Action::Connect, client.as_str()), "{client}");
        for topic in ["device/pump-1/telemetry", "device/pump-1/verify", "device/pump-1/a/b"] {
            assert_eq!(device.rights(topic), "PRS", "{topic}");
        }
        for (topic, rights) in control("pump-1") {
            let found = without_request_echo(rights, &device.rights(&topic));
            assert_eq!(found, rights, "{topic}");
            assert!(device.may(Action::Subscribe, &topic) == rights.contains('S'), "{topic}");
        }
        for (topic, rights) in provisioning(&fleet().names.rotation_template) {
            assert_eq!(without_request_echo(rights, &device.rights(&topic)), rights, "{topic}");
        }
    }
}

#[test]
fn a_device_reaches_nothing_of_anothers() {
    let name = thing("pump-1");
    let device = Connection::device(&ClientId::live(&name), &name);
    for other in ["pump-10", "pump", "PUMP-1", "pump-1~verify~x", "~controller", "~observer", "claim~1"] {
        assert!(!device.may(Action::Connect, other), "{other}");
    }
    let mut topics: Vec<String> = control("pump-2").into_iter().map(|(topic, _)| topic).collect();
    let names = fleet().names;
    topics.extend(
        provisioning(&names.claim_template)
            .into_iter()
            .map(|(topic, _)| topic)
            .filter(|topic| topic.contains(names.claim_template.as_str())),
    );
    let more = [
        "device/pump-2/telemetry",
        "device/pump-10/x",
        "device/+/telemetry",
        "device/#",
        "#",
        "fleetkey/#",
        "fleetkey/things/+/answers",
        "device/pump-1",
        "$aws/events/presence/connected/pump-2",
        "$aws/things/pump-1/shadow/get",
    ];
    topics.extend(more.map(str::to_owned));
    for topic in topics {
        assert_eq!(device.rights(&topic), "", "{topic}");
    }
}

#[test]
fn a_certificate_that_is_not_attached_cannot_connect_as_the_thing_it_names() {
    let name = thing("pump-1");
    let mut device = Connection::device(&ClientId::live(&name), &name);
    device.context.set("iot:Connection.Thing.IsAttached", "false");
    assert!(!device.may(Action::Connect, "pump-1"));
}

#[test]
fn a_device_whose_client_id_is_a_wildcard_gains_nothing() {
    let mut device = Connection::device(&ClientId::new("+").unwrap(), &thing("pump-1"));
    device.context.set("iot:Connection.Thing.ThingName", "+");
    assert_eq!(device.rights("device/pump-2/x"), "");
}

#[test]
fn a_claim_reaches_provisioning_and_nothing_else() {
    let claim = Connection::of(&fleet().claim_policy().unwrap(), "claim~pump-1");
    assert!(claim.may(Action::Connect, "claim~pump-1"));
    for client in
        ["pump-1", "claim", "claim~verify", "claim~agent", "pump-1~verify", "~observer", "~controller"]
    {
        assert!(!claim.may(Action::Connect, client), "{client}");
    }
    let names = fleet().names;
    // The recovery template is closed by itself, until the operator opens it.
    for template in [&names.claim_template, &names.recovery_template] {
        for (topic, rights) in provisioning(template) {
            assert_eq!(without_request_echo(rights, &claim.rights(&topic)), rights, "{topic}");
        }
    }
    let rotation = names.rotation_template;
    let request = ReservedTopic::RegisterThing(rotation, Format::Json, Leg::Request).to_string();
    assert_eq!(claim.rights(&request), "", "{request}");
    for (topic, _) in control("pump-1") {
        assert_eq!(claim.rights(&topic), "", "{topic}");
    }
    for topic in ["device/pump-1/telemetry", "#", "device/#", "$aws/events/presence/connected/x"] {
        assert_eq!(claim.rights(topic), "", "{topic}");
    }
}

#[test]
fn an_observer_receives_telemetry_and_cannot_publish() {
    let observer = Connection::of(&fleet().observer_policy().unwrap(), "~observer");
    assert!(observer.may(Action::Connect, "~observer") && observer.may(Action::Connect, "~observer-2"));
    assert!(!observer.may(Action::Connect, "pump-1") && !observer.may(Action::Connect, "~controller"));
    assert_eq!(observer.rights("device/+/telemetry"), "RS");
    assert_eq!(observer.rights("device/pump-1/telemetry"), "R");
    for topic in ["device/#", "device/pump-1/verify", "#", "fleetkey/things/pump-1/commands"] {
        assert_eq!(observer.rights(topic), "", "{topic}");
    }
}

#[test]
fn the_controller_hears_attestations_and_presence_and_says_answers_and_commands() {
    let controller = Connection::of(&fleet().controller_policy().unwrap(), "~controller");
    assert!(controller.may(Action::Connect, "~controller") && !controller.may(Action::Connect, "~observer"));
    for (client, may) in [("~controller-2", true), ("~controller-33", true), ("~controllers", false)] {
        assert_eq!(controller.may(Action::Connect, client), may, "{client}");
    }
    let shared = |filter: &str| format!("$share/fleetkey-controller/{filter}");
    let presence = [ReservedTopic::ALL_CONNECTED, ReservedTopic::ALL_DISCONNECTED];
    for filter in [FleetTopic::ALL_ATTESTED, RegistryTopic::ALL_THINGS].into_iter().chain(presence) {
        assert!(controller.may(Action::Subscribe, filter), "{filter}");
        assert!(controller.may(Action::Subscribe, &shared(filter)), "{filter}");
        assert!(!controller.may(Action::Subscribe, &format!("$share/others/{filter}")), "{filter}");
    }
    for (topic, rights) in [
        (FleetTopic::Attested(thing("a")).to_string(), "R"),
        ("$aws/events/presence/connected/a~verify".into(), "R"),
        (shared(&FleetTopic::Attested(thing("a")).to_string()), "R"),
        (shared("$aws/events/presence/disconnected/a"), "R"),
        ("$aws/events/thing/a/updated".into(), "R"),
        ("$aws/events/thingGroup/a/updated".into(), ""),
        (FleetTopic::Answers(thing("a")).to_string(), "P"),
        (FleetTopic::Commands(thing("a")).to_string(), "P"),
        (FleetTopic::Requests(thing("a")).to_string(), ""),
        ("device/a/telemetry".into(), ""),
    ] {
        assert_eq!(controller.rights(&topic), rights, "{topic}");
    }
}

#[test]
fn documents_fit_even_in_long_regions_and_under_long_roots() {
    let root = TopicRoot::new("r".repeat(30)).unwrap();
    let scope =
        Scope { partition: "aws".into(), region: "ap-southeast-1".into(), account: "123456789012".into() };
    let long = Fleet { scope, root, names: Names::new("").unwrap() };
    for policy in
        [long.device_policy(), long.claim_policy(), long.observer_policy(), long.controller_policy()]
    {
        assert!(policy.is_ok(), "{policy:?}");
    }
}

#[test]
fn the_longest_policies_fit_in_govcloud_too() {
    let scope = Scope { partition: "aws-us-gov".into(), region: "us-gov-east-1".into(), ..Scope::local() };
    let fleet = Fleet { scope, ..fleet() };
    for policy in [fleet.device_policy(), fleet.controller_policy()] {
        assert_eq!(policy.map(drop), Ok(()));
    }
}

#[test]
fn a_policy_that_would_be_too_long_says_what_to_shorten() {
    let scope = Scope { partition: "aws".into(), region: "r".repeat(200), account: "1".into() };
    let error = Fleet { scope, ..fleet() }.device_policy().unwrap_err();
    assert!(error.to_string().contains("shorter topic root"), "{error}");
}

/// The text at a JSON pointer of a template.
fn at(template: &str, pointer: &str) -> String {
    let value: Value = serde_json::from_str(template).unwrap();
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        other => other.map(Value::to_string).unwrap_or_default(),
    }
}

#[test]
fn every_template_is_one_that_the_service_takes() {
    let fleet = fleet();
    for body in [fleet.claim_template(), fleet.rotation_template(), fleet.recovery_template()] {
        assert_eq!(Template::parse(&body).map(drop), Ok(()));
    }
}

#[test]
fn templates_differ_in_what_they_do_to_a_thing_that_exists() {
    let fleet = fleet();
    let table = [
        (fleet.claim_template(), "FAIL", "FAIL"),
        (fleet.rotation_template(), "MERGE", "DO_NOTHING"),
        (fleet.recovery_template(), "MERGE", "DO_NOTHING"),
    ];
    for (template, attributes, groups) in table {
        let overrides = "/Resources/thing/OverrideSettings";
        assert_eq!(at(&template, &format!("{overrides}/AttributePayload")), attributes);
        assert_eq!(at(&template, &format!("{overrides}/ThingGroups")), groups);
        assert_eq!(at(&template, "/Resources/certificate/Properties/ThingPrincipalType"), "EXCLUSIVE_THING");
        assert_eq!(at(&template, "/Resources/policy/Properties/PolicyName"), "DevicePolicy");
        assert_eq!(at(&template, "/Resources/thing/Properties/ThingGroups/0"), "fleet-devices");
        let attribute = "/Resources/thing/Properties/AttributePayload/certificateId/Ref";
        assert_eq!(at(&template, attribute), "AWS::IoT::Certificate::Id");
    }
}
