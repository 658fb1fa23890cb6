//! What is told of standings, and which one change would help.

use super::*;

const ONLY_THE_THING: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Own","Effect":"Allow","Action":"iot:Connect",
    "Resource":"arn:aws:iot:us-east-1:000000000000:client/${iot:Connection.Thing.ThingName}",
    "Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}},
    {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:000000000000:topic/device/*"}]}"#;

fn scope() -> Scope {
    Scope { partition: "aws".into(), region: "us-east-1".into(), account: "000000000000".into() }
}

fn thing() -> ThingName {
    ThingName::new("pump-1").unwrap()
}

fn attached(kind: ThingPrincipalType) -> Standing {
    Standing {
        status: Some(CertificateStatus::Active),
        policies: vec![("Device".into(), ONLY_THE_THING.into())],
        attached: [(thing(), kind)].into(),
        thing: Some(ThingRecord::default()),
    }
}

fn connect(standing: &Standing, client: &str) -> Opinion {
    let (scope, thing) = (scope(), thing());
    let diagnosis = Diagnosis::new(&scope, CertificateId::of_der(b"x"), &thing, standing);
    diagnosis.connect(&ClientId::new(client).unwrap())
}

#[track_caller]
fn refused(opinion: &Opinion, words: &str) {
    let Opinion::No { why, .. } = opinion else { panic!("{opinion:?}") };
    assert!(why.contains(words), "{why}");
}

#[test]
fn the_statement_that_allows_is_named() {
    let opinion = connect(&attached(ThingPrincipalType::NonExclusiveThing), "pump-1");
    assert_eq!(opinion, Opinion::Yes("allowed by Device, statement 0 (Own)".into()));
}

#[test]
fn a_missing_attachment_is_told_with_the_command_that_makes_it() {
    let mut standing = attached(ThingPrincipalType::ExclusiveThing);
    standing.attached.clear();
    let opinion = connect(&standing, "pump-1");
    refused(&opinion, "not attached to the thing pump-1");
    let Opinion::No { todo, .. } = opinion else { unreachable!() };
    assert!(todo.starts_with("aws iot attach-thing-principal --thing-name pump-1 "), "{todo}");
    standing.thing = None;
    refused(&connect(&standing, "pump-1"), "of which there is none");
}

#[test]
fn another_client_id_is_told_the_one_that_is_allowed() {
    let standing = attached(ThingPrincipalType::ExclusiveThing);
    refused(&connect(&standing, "pump-2"), "lets it connect as pump-1");
    refused(&connect(&standing, "pump-1~verify"), "lets it connect as pump-1");
}

#[test]
fn no_policy_and_a_deny_are_told_apart() {
    let mut standing = attached(ThingPrincipalType::ExclusiveThing);
    let deny = r#"{"Version":"2012-10-17","Statement":{"Sid":"Shut","Effect":"Deny","Action":"iot:*","Resource":"*"}}"#;
    standing.policies.push(("Extra".into(), deny.into()));
    refused(&connect(&standing, "pump-1"), "denied by Extra, statement 0 (Shut)");
    standing.policies.clear();
    refused(&connect(&standing, "pump-1"), NO_POLICY);
}

#[test]
fn a_topic_that_no_statement_names_is_told_with_the_arn_to_allow() {
    let (scope, thing, standing) = (scope(), thing(), attached(ThingPrincipalType::ExclusiveThing));
    let diagnosis = Diagnosis::new(&scope, CertificateId::of_der(b"x"), &thing, &standing);
    let client = ClientId::live(&thing);
    assert!(matches!(diagnosis.may(Action::Publish, "device/x", &client), Opinion::Yes(_)));
    let Opinion::No { todo, .. } = diagnosis.may(Action::Receive, "device/x", &client) else { panic!() };
    assert_eq!(todo, "allow iot:Receive on arn:aws:iot:us-east-1:000000000000:topic/device/x");
}

#[test]
fn each_status_but_active_is_a_reason() {
    let (scope, thing) = (scope(), thing());
    let told = |status| {
        let standing = Standing { status, ..Standing::default() };
        Diagnosis::new(&scope, CertificateId::of_der(b"x"), &thing, &standing).certificate()
    };
    assert!(matches!(told(Some(CertificateStatus::Active)), Opinion::Yes(_)));
    refused(&told(None), "not registered in account 000000000000");
    refused(&told(Some(CertificateStatus::Inactive)), "INACTIVE");
    refused(&told(Some(CertificateStatus::Revoked)), "for good");
    refused(&told(Some(CertificateStatus::PendingActivation)), "never answered");
}

#[test]
fn a_policy_that_does_not_read_makes_no_answer_of_ours() {
    let mut standing = attached(ThingPrincipalType::ExclusiveThing);
    standing.policies = vec![("Odd".into(), "{}".into())];
    assert!(matches!(connect(&standing, "pump-1"), Opinion::Unknown(why) if why.contains("Odd")));
}
