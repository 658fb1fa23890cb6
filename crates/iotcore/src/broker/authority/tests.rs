//! The broker and TestAuthorization decide alike, on random policies and requests.

use std::net::Ipv4Addr;

use fleetkey_model::certificate::ThingPrincipalType;
use fleetkey_model::name::GroupName;
use fleetkey_policy::Outcome;
use proptest::prelude::*;

use super::*;
use crate::account::{Account, Question};
use crate::clock::ManualClock;
use crate::fixtures::{NOW, devices, id, new_certificate};

const RESOURCES: [&str; 8] = [
    "*",
    "arn:aws:iot:us-east-1:123456789012:client/${iot:Connection.Thing.ThingName}",
    "arn:aws:iot:us-east-1:123456789012:client/a",
    "arn:aws:iot:us-east-1:123456789012:topic/device/${iot:Connection.Thing.ThingName}/*",
    "arn:aws:iot:us-east-1:123456789012:topic/device/${iot:ClientId}/?",
    "arn:aws:iot:us-east-1:123456789012:topic/${iot:Connection.Thing.Attributes[site]}/x",
    "arn:aws:iot:us-east-1:123456789012:topicfilter/device/*",
    "arn:aws:iot:us-east-1:123456789012:topicfilter/${iot:Connection.Thing.ThingTypeName}/#",
];
const NAMES: [&str; 7] = ["a", "b", "device/a/x", "device/b/y", "hall/x", "device/a/#", "device/+/x"];

/// One statement of a policy.
fn statement() -> impl Strategy<Value = String> {
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny")];
    let action = prop_oneof![Just("iot:*"), Just("iot:Connect"), Just("iot:Publish"), Just("iot:Subscribe")];
    let condition =
        prop_oneof![Just(""), Just(r#","Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}"#)];
    (effect, action, proptest::sample::select(&RESOURCES[..]), condition).prop_map(
        |(effect, action, resource, condition)| {
            format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"{condition}}}"#)
        },
    )
}

fn document() -> impl Strategy<Value = String> {
    proptest::collection::vec(statement(), 1..4)
        .prop_map(|all| format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, all.join(",")))
}

#[derive(Debug, Clone)]
struct Case {
    own: String,
    of_group: String,
    attached: Option<ThingPrincipalType>,
    client: &'static str,
    action: Action,
    name: &'static str,
}

fn case() -> impl Strategy<Value = Case> {
    let attached = prop_oneof![
        Just(None),
        Just(Some(ThingPrincipalType::ExclusiveThing)),
        Just(Some(ThingPrincipalType::NonExclusiveThing))
    ];
    let client = prop_oneof![Just("a"), Just("b"), Just("a~verify")];
    let action = proptest::sample::select(&Action::ALL[..]);
    (document(), document(), attached, client, action, proptest::sample::select(&NAMES[..])).prop_map(
        |(own, of_group, attached, client, action, name)| Case {
            own,
            of_group,
            attached,
            client,
            action,
            name,
        },
    )
}

/// Thing `a` in group `g`, with a certificate; `own` is the certificate's policy, `of_group` the group's.
async fn stage(case: &Case) -> Account {
    let store = Store::in_memory().unwrap();
    let account = Account::new(store, devices(), Arc::new(ManualClock::new(NOW)), Scope::local());
    let (thing, group) = (ThingName::new("a").unwrap(), GroupName::new("g").unwrap());
    account.create_thing(&thing, None, [("site".to_owned(), "hall".to_owned())].into()).await.unwrap();
    account.create_thing_group(&group, None).await.unwrap();
    account.add_thing_to_group(&thing, &group).await.unwrap();
    account.commit(|registry| registry.plan_register_certificate(new_certificate(1), NOW)).await.unwrap();
    for (name, text) in [("own", &case.own), ("group", &case.of_group)] {
        account.create_policy(&PolicyName::new(name).unwrap(), text).await.unwrap();
    }
    account.attach_policy(&PolicyName::new("own").unwrap(), &id(1)).await.unwrap();
    account.attach_group_policy(&PolicyName::new("group").unwrap(), &group).await.unwrap();
    if let Some(kind) = case.attached {
        account.attach_thing_principal(&thing, &id(1), kind).await.unwrap();
    }
    account
}

fn broker_allows(account: &Account, case: &Case, switches: &Switches) -> bool {
    let store = account.store().clone();
    let authority = Authority { store, scope: Scope::local(), switches: switches.clone() };
    let identity = Identity {
        certificate: id(1),
        client: ClientId::new(case.client).unwrap(),
        source: Ipv4Addr::LOCALHOST.into(),
        server_name: None,
        persistent: false,
        will_topic: None,
    };
    Rights::new(authority, identity).allow(case.action, case.name)
}

fn told(account: &Account, case: &Case, switches: &Switches) -> Outcome {
    let kind = match case.action {
        Action::Connect => "client",
        Action::Subscribe => "topicfilter",
        Action::Publish | Action::Receive | Action::RetainPublish => "topic",
    };
    let question = Question {
        principal: Some(id(1)),
        client: Some(ClientId::new(case.client).unwrap()),
        add: Vec::new(),
        skip: Default::default(),
        requests: vec![(case.action, vec![Scope::local().arn(&format!("{kind}/{}", case.name))])],
    };
    account.test_authorization(&question, switches).unwrap()[0].outcome
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn test_authorization_agrees_with_the_broker(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let account = runtime.block_on(stage(&case));
        for by_exclusive_thing in [false, true] {
            let switches =
                Switches { group_policies_by_exclusive_thing: by_exclusive_thing, ..Switches::default() };
            let allowed = broker_allows(&account, &case, &switches);
            prop_assert_eq!(allowed, told(&account, &case, &switches) == Outcome::Allowed);
        }
    }
}
