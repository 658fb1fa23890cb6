//! AssumeRole: temporary credentials, as whom they sign, and when they end.

use std::time::Duration;

use fleetkey_iotcore::clock::Clock as _;
use serde_json::{Value, json};

use crate::support::{Answer, Request, Signer, World};

const ROLE: &str = "arn:aws:iam::123456789012:role/deploy/Operator";

/// `text` as it stands in a form.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Makes the role with a statement that lets `principal` take it.
async fn with_role(world: &World, principal: Value, condition: Value) {
    let mut statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal});
    if !condition.is_null() {
        statement["Condition"] = condition;
    }
    let trust = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let form = format!(
        "Action=CreateRole&RoleName=Operator&Path=%2Fdeploy%2F&MaxSessionDuration=7200&AssumeRolePolicyDocument={}",
        encoded(&trust)
    );
    world.call("iam", Request::form(&form)).await.ok();
}

fn assume(more: &str) -> Request {
    Request::form(&format!(
        "Action=AssumeRole&Version=2011-06-15&RoleArn={}&RoleSessionName=run-1{more}",
        encoded(ROLE)
    ))
}

fn root() -> Value {
    json!({"AWS": "arn:aws:iam::123456789012:root"})
}

fn element<'a>(text: &'a str, name: &str) -> &'a str {
    text.split(&format!("<{name}>"))
        .nth(1)
        .unwrap_or_else(|| panic!("no {name}: {text}"))
        .split('<')
        .next()
        .unwrap()
}

/// Who signs with what AssumeRole has answered.
fn session(world: &World, answer: &str) -> Signer {
    Signer {
        access_key: element(answer, "AccessKeyId").to_owned(),
        secret: element(answer, "SecretAccessKey").to_owned(),
        token: Some(element(answer, "SessionToken").to_owned()),
        ..world.signer()
    }
}

impl World {
    async fn call_as(&self, signer: &Signer, service: &str, request: Request) -> Answer {
        let signer = Signer { now: self.clock.now(), ..signer.clone() };
        self.send(signer.sign(service, request.host(self.port()))).await
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert!(text.contains(&format!("<Code>{code}</Code>")), "{text}");
}

/// A role that trusts the account is taken by its owner; the credentials sign with their token only, as the session.
#[tokio::test]
async fn temporary_credentials_sign_as_the_session_of_the_role() {
    let world = World::start().await;
    with_role(&world, root(), Value::Null).await;
    let answer = world.call("sts", assume("")).await.ok().text();
    let arn = "arn:aws:sts::123456789012:assumed-role/Operator/run-1";
    assert_eq!(element(&answer, "Arn"), arn);
    assert_eq!(element(&answer, "Expiration"), "2027-01-15T09:00:00Z");
    let session = session(&world, &answer);
    assert!(session.access_key.starts_with("ASIA"));
    let whoami = Request::form("Action=GetCallerIdentity&Version=2011-06-15");
    let me = world.call_as(&session, "sts", whoami.clone()).await.ok().text();
    assert_eq!(element(&me, "Arn"), arn);
    assert!(element(&me, "UserId").starts_with("AROA") && element(&me, "UserId").ends_with(":run-1"), "{me}");
    world.call_as(&session, "iot", Request::new("POST", "/things/a").body("{}")).await.ok();

    for token in [None, Some("other".to_owned())] {
        let wrong = Signer { token, ..session.clone() };
        let answer = world.call_as(&wrong, "iot", Request::new("GET", "/things")).await;
        assert_eq!((answer.status, answer.error()), (403, "UnrecognizedClientException"));
    }
    let wrong = Signer { secret: world.signer().secret, ..session.clone() };
    let answer = world.call_as(&wrong, "iot", Request::new("GET", "/things")).await;
    assert_eq!((answer.status, answer.error()), (403, "InvalidSignatureException"));

    let events = world.call("iot", Request::new("GET", "/_fleetkey/events")).await.ok().text();
    assert!(events.contains("AssumeRole") && events.contains("\"AssumedRole\""), "{events}");
    assert!(!events.contains(&session.secret) && !events.contains(session.token.as_deref().unwrap()));
}

/// Temporary credentials end when they were said to, which is told apart from a key that nobody has.
#[tokio::test]
async fn temporary_credentials_end() {
    let world = World::start().await;
    with_role(&world, root(), Value::Null).await;
    let answer = world.call("sts", assume("&DurationSeconds=900")).await.ok().text();
    let session = session(&world, &answer);
    world.clock.advance(Duration::from_secs(899));
    world.call_as(&session, "iot", Request::new("GET", "/things")).await.ok();
    world.clock.advance(Duration::from_secs(1));
    let answer = world.call_as(&session, "iot", Request::new("GET", "/things")).await;
    assert_eq!((answer.status, answer.error()), (403, "ExpiredTokenException"));
    let whoami = Request::form("Action=GetCallerIdentity&Version=2011-06-15");
    refused(&world.call_as(&session, "sts", whoami).await, 403, "ExpiredToken");
}

/// A role that does not exist and one that trusts somebody else are refused alike.
#[tokio::test]
async fn a_role_is_taken_only_by_whom_it_trusts() {
    let world = World::start().await;
    refused(&world.call("sts", assume("")).await, 403, "AccessDenied");
    let condition = json!({"StringEquals": {"sts:ExternalId": "shared-1"}});
    with_role(&world, root(), condition).await;
    let answer = world.call("sts", assume("")).await;
    refused(&answer, 403, "AccessDenied");
    let words = "User: arn:aws:iam::123456789012:user/fleetkey is not authorized to perform: sts:AssumeRole on resource: ";
    assert_eq!(element(&answer.text(), "Message"), format!("{words}{ROLE}"));
    world.call("sts", assume("&ExternalId=shared-1")).await.ok();
    world.call("iam", Request::form("Action=DeleteRole&RoleName=Operator")).await.ok();
    with_role(&world, json!({"Service": "iot.amazonaws.com"}), Value::Null).await;
    refused(&world.call("sts", assume("")).await, 403, "AccessDenied");
}

/// What is out of range is refused in STS's words; a session that takes a role lasts an hour at most.
#[tokio::test]
async fn what_assume_role_does_not_take_is_refused() {
    let world = World::start().await;
    with_role(&world, root(), Value::Null).await;
    for (form, code) in [
        ("Action=AssumeRole&RoleSessionName=run-1".to_owned(), "ValidationError"),
        (format!("Action=AssumeRole&RoleArn={}", encoded(ROLE)), "ValidationError"),
        (format!("Action=AssumeRole&RoleArn={}&RoleSessionName=x", encoded(ROLE)), "ValidationError"),
        (format!("Action=AssumeRole&RoleArn={}&RoleSessionName=a%20b", encoded(ROLE)), "ValidationError"),
        (
            "Action=AssumeRole&RoleArn=no-role-but-long-enough&RoleSessionName=run-1".to_owned(),
            "ValidationError",
        ),
    ] {
        refused(&world.call("sts", Request::form(&form)).await, 400, code);
    }
    for (more, code) in [
        ("&DurationSeconds=899", "ValidationError"),
        ("&DurationSeconds=43201", "ValidationError"),
        ("&DurationSeconds=7201", "ValidationError"),
        ("&ExternalId=x", "ValidationError"),
        ("&Policy=%7B", "MalformedPolicyDocument"),
    ] {
        refused(&world.call("sts", assume(more)).await, 400, code);
    }
    refused(
        &world.call("sts", assume("&SerialNumber=arn%3Aaws%3Aiam%3A%3A1%3Amfa&TokenCode=123456")).await,
        403,
        "AccessDenied",
    );
    let answer = world.call("sts", assume("&DurationSeconds=7200")).await.ok().text();
    let session = session(&world, &answer);
    world.call_as(&session, "sts", assume("")).await.ok();
    refused(&world.call_as(&session, "sts", assume("&DurationSeconds=3601")).await, 400, "ValidationError");
}
