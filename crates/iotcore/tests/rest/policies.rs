//! Policies: versions, attachments, effect.

use serde_json::{Value, json};

use crate::support::{Request, World};

const ALLOW: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}"#;
const DENY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:Publish","Resource":"*"}]}"#;

impl World {
    pub(crate) async fn policy(&self, name: &str) {
        self.iot("POST", &format!("/policies/{name}"), json!({"policyDocument": ALLOW})).await.ok();
    }

    /// A certificate that is ACTIVE: its ARN and its id.
    pub(crate) async fn certificate(&self) -> (String, String) {
        let answer =
            self.iot("POST", "/keys-and-certificate?setAsActive=true", Value::Null).await.ok().json();
        let text = |member: &str| answer[member].as_str().unwrap().to_owned();
        (text("certificateArn"), text("certificateId"))
    }

    /// A call whose refusal is looked at.
    pub(crate) async fn refused(&self, method: &str, path: &str, body: Value) -> (u16, String) {
        let answer = self.iot(method, path, body).await;
        assert!(!answer.message().is_empty(), "a refusal says why: {}", answer.text());
        (answer.status, answer.error().to_owned())
    }
}

/// A refusal as a test writes it.
pub(crate) fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// CreatePolicy makes version 1, which GetPolicy tells of; the name is taken then.
#[tokio::test]
async fn a_policy_is_made_told_of_and_deleted() {
    let world = World::start().await;
    let made = world.iot("POST", "/policies/p", json!({"policyDocument": ALLOW})).await.ok().json();
    assert_eq!(made["policyArn"], "arn:aws:iot:us-east-1:123456789012:policy/p");
    assert_eq!((&made["policyVersionId"], &made["policyDocument"]), (&json!("1"), &json!(ALLOW)));
    let found = world.iot("GET", "/policies/p", Value::Null).await.ok().json();
    assert_eq!((&found["defaultVersionId"], &found["policyDocument"]), (&json!("1"), &json!(ALLOW)));
    assert_eq!(found["creationDate"], json!(1_800_000_000.0));
    assert_eq!(found["generationId"].as_str().unwrap().len(), 64);
    let again = world.iot("POST", "/policies/p", json!({"policyDocument": ALLOW})).await;
    assert_eq!((again.status, again.error()), (409, "ResourceAlreadyExistsException"));
    assert_eq!(again.json()["resourceArn"], made["policyArn"]);
    world.iot("DELETE", "/policies/p", Value::Null).await.ok();
    assert_eq!(
        world.refused("GET", "/policies/p", Value::Null).await,
        refusal(404, "ResourceNotFoundException")
    );
}

/// A document that is no policy, and a name that is none, are refused.
#[tokio::test]
async fn what_is_no_policy_is_refused() {
    let world = World::start().await;
    let malformed = world.refused("POST", "/policies/p", json!({"policyDocument": "{}"})).await;
    assert_eq!(malformed, refusal(400, "MalformedPolicyException"));
    for (path, body) in [("/policies/a%21b", json!({"policyDocument": ALLOW})), ("/policies/p", json!({}))] {
        assert_eq!(world.refused("POST", path, body).await, refusal(400, "InvalidRequestException"));
    }
}

/// There are five versions at most; one of them is in effect, and that one is not deleted.
#[tokio::test]
async fn a_policy_has_five_versions_at_most_and_keeps_its_default() {
    let world = World::start().await;
    world.policy("p").await;
    for n in 2..=5 {
        let path = format!("/policies/p/version?setAsDefault={}", n == 3);
        let made = world.iot("POST", &path, json!({"policyDocument": DENY})).await.ok().json();
        assert_eq!(made["policyVersionId"], json!(n.to_string()));
        assert_eq!(made["isDefaultVersion"], json!(n == 3));
    }
    let sixth = world.refused("POST", "/policies/p/version", json!({"policyDocument": DENY})).await;
    assert_eq!(sixth, refusal(409, "VersionsLimitExceededException"));
    let versions = world.iot("GET", "/policies/p/version", Value::Null).await.ok().json();
    let defaults: Vec<_> =
        versions["policyVersions"].as_array().unwrap().iter().map(|one| &one["isDefaultVersion"]).collect();
    assert_eq!(defaults, [false, false, true, false, false]);
    world.iot("PATCH", "/policies/p/version/1", Value::Null).await.ok();
    let first = world.iot("GET", "/policies/p/version/1", Value::Null).await.ok().json();
    assert_eq!((&first["isDefaultVersion"], &first["policyDocument"]), (&json!(true), &json!(ALLOW)));
    let default = world.refused("DELETE", "/policies/p/version/1", Value::Null).await;
    assert_eq!(default, refusal(400, "InvalidRequestException"));
    let conflict = world.refused("DELETE", "/policies/p", Value::Null).await;
    assert_eq!(conflict, refusal(409, "DeleteConflictException"));
    for n in 2..=5 {
        world.iot("DELETE", &format!("/policies/p/version/{n}"), Value::Null).await.ok();
    }
    world.iot("DELETE", "/policies/p", Value::Null).await.ok();
}

/// Policies are listed from the newest, or from the oldest, a page at a time.
#[tokio::test]
async fn policies_are_listed_in_pages_in_the_order_of_their_making() {
    let world = World::start().await;
    for name in ["b", "c", "a"] {
        world.policy(name).await;
        world.clock.advance(std::time::Duration::from_secs(1));
    }
    for (ascending, expected) in [(true, ["b", "c", "a"]), (false, ["a", "c", "b"])] {
        let (mut names, mut marker) = (Vec::new(), String::new());
        loop {
            let path = format!("/policies?isAscendingOrder={ascending}&marker={marker}&pageSize=2");
            let page = world.iot("GET", &path, Value::Null).await.ok().json();
            let policies = page["policies"].as_array().unwrap();
            names.extend(policies.iter().map(|policy| policy["policyName"].as_str().unwrap().to_owned()));
            match page["nextMarker"].as_str() {
                Some(next) => marker = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(names, expected);
    }
    let too_many = world.refused("GET", "/policies?pageSize=251", Value::Null).await;
    assert_eq!(too_many, refusal(400, "InvalidRequestException"));
}

/// DetachPolicy takes a policy that does not exist for one that is attached to nothing, and says of a target that does
/// not exist that it is invalid; the older DetachPrincipalPolicy says of both that they are not found.
#[tokio::test]
async fn detaching_tells_a_missing_target_and_no_missing_policy() {
    let world = World::start().await;
    world.policy("p").await;
    let (arn, id) = world.certificate().await;
    world.iot("POST", "/target-policies/p", json!({"target": arn})).await.ok();
    world.iot("POST", "/target-policies/none", json!({"target": arn})).await.ok();
    world.iot("PUT", &format!("/certificates/{id}?newStatus=INACTIVE"), Value::Null).await.ok();
    world.iot("DELETE", &format!("/certificates/{id}?forceDelete=true"), Value::Null).await.ok();
    let group = "arn:aws:iot:us-east-1:123456789012:thinggroup/none";
    for target in [arn.as_str(), group, "somebody"] {
        let refused = world.iot("POST", "/target-policies/p", json!({"target": target})).await;
        assert_eq!((refused.status, refused.error()), (400, "InvalidRequestException"), "{target}");
        assert!(refused.message().contains("Invalid Target"), "{}", refused.message());
    }
    let old = Request::new("DELETE", "/principal-policies/p").header("x-amzn-iot-principal", &arn);
    let refused = world.call("iot", old).await;
    assert_eq!((refused.status, refused.error()), (404, "ResourceNotFoundException"));
}

/// A policy is attached to certificates and to thing groups, and is not deleted before it is detached.
#[tokio::test]
async fn a_policy_is_attached_listed_from_both_sides_and_detached() {
    let world = World::start().await;
    world.policy("p").await;
    let (arn, _) = world.certificate().await;
    world.iot("POST", "/thing-groups/g", json!({})).await.ok();
    let group = "arn:aws:iot:us-east-1:123456789012:thinggroup/g";
    for target in [arn.as_str(), group] {
        world.iot("PUT", "/target-policies/p", json!({"target": target})).await.ok();
        let path = format!("/attached-policies/{}", target.replace(':', "%3A").replace('/', "%2F"));
        let attached = world.iot("POST", &path, Value::Null).await.ok().json();
        assert_eq!(attached["policies"][0]["policyName"], "p");
    }
    let targets = world.iot("POST", "/policy-targets/p", Value::Null).await.ok().json();
    assert_eq!(targets["targets"], json!([arn, group]));
    let effective = world.iot("POST", "/effective-policies", json!({"principal": arn})).await.ok().json();
    assert_eq!(effective["effectivePolicies"][0]["policyDocument"], ALLOW);
    let conflict = world.refused("DELETE", "/policies/p", Value::Null).await;
    assert_eq!(conflict, refusal(409, "DeleteConflictException"));
    for target in [arn.as_str(), group] {
        world.iot("POST", "/target-policies/p", json!({"target": target})).await.ok();
    }
    world.iot("DELETE", "/policies/p", Value::Null).await.ok();
    let missing = world.refused("PUT", "/target-policies/p", json!({"target": arn})).await;
    assert_eq!(missing, refusal(404, "ResourceNotFoundException"));
    let nobody = world.refused("PUT", "/target-policies/p", json!({"target": "somebody"})).await;
    assert_eq!(nobody, refusal(400, "InvalidRequestException"));
}

/// A certificate takes ten policies; the older operations by principal do the same as the newer.
#[tokio::test]
async fn a_certificate_takes_ten_policies_by_the_older_operations_too() {
    let world = World::start().await;
    let (arn, _) = world.certificate().await;
    for n in 0..=10 {
        world.policy(&format!("p{n}")).await;
        let path = format!("/principal-policies/p{n}");
        let request = Request::new("PUT", &path).header("x-amzn-iot-principal", &arn);
        let answer = world.call("iot", request).await;
        assert_eq!((n, answer.status), (n, if n < 10 { 200 } else { 410 }));
    }
    let request = Request::new("GET", "/principal-policies").header("x-amzn-iot-principal", &arn);
    assert_eq!(world.call("iot", request).await.ok().json()["policies"].as_array().unwrap().len(), 10);
    let request = Request::new("GET", "/policy-principals").header("x-amzn-iot-policy", "p3");
    assert_eq!(world.call("iot", request).await.ok().json()["principals"], json!([arn]));
    let request = Request::new("DELETE", "/principal-policies/p3").header("x-amzn-iot-principal", &arn);
    world.call("iot", request).await.ok();
    world.iot("DELETE", "/policies/p3", Value::Null).await.ok();
}

/// TestAuthorization says who allows, who denies, and what it would have to know.
#[tokio::test]
async fn an_authorization_is_tested_with_its_reasons() {
    let world = World::start().await;
    let (arn, _) = world.certificate().await;
    world.policy("allow").await;
    let by_name = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":
        "arn:aws:iot:us-east-1:123456789012:topic/${iot:Connection.Thing.ThingName}"}]}"#;
    for (name, text) in [("deny", DENY), ("named", by_name)] {
        world.iot("POST", &format!("/policies/{name}"), json!({"policyDocument": text})).await.ok();
    }
    for name in ["allow", "deny"] {
        world.iot("PUT", &format!("/target-policies/{name}"), json!({"target": arn})).await.ok();
    }
    let resource = |tail: &str| json!([format!("arn:aws:iot:us-east-1:123456789012:{tail}")]);
    let ask = json!({
        "principal": arn, "policyNamesToAdd": ["named"],
        "authInfos": [
            {"actionType": "CONNECT", "resources": resource("client/a")},
            {"actionType": "PUBLISH", "resources": resource("topic/a")},
            {"actionType": "SUBSCRIBE", "resources": resource("topicfilter/a")},
        ],
    });
    let told = world.iot("POST", "/test-authorization?clientId=a", ask.clone()).await.ok().json();
    let results = told["authResults"].as_array().unwrap();
    let decisions: Vec<_> = results.iter().map(|one| one["authDecision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["ALLOWED", "EXPLICIT_DENY", "IMPLICIT_DENY"]);
    assert_eq!(results[0]["allowed"]["policies"][0]["policyName"], "allow");
    assert_eq!(results[1]["denied"]["explicitDeny"]["policies"][0]["policyName"], "deny");
    assert_eq!(results[1]["missingContextValues"], json!(["iot:Connection.Thing.ThingName"]));

    world.iot("POST", "/things/a", json!({})).await.ok();
    let mut ask = ask;
    ask["policyNamesToSkip"] = json!(["deny"]);
    let told = world.iot("POST", "/test-authorization?clientId=a", ask).await.ok().json();
    assert_eq!(told["authResults"][1]["authDecision"], "ALLOWED");
    let nobody =
        world.refused("POST", "/test-authorization", json!({"principal": arn, "authInfos": []})).await;
    assert_eq!(nobody, refusal(400, "InvalidRequestException"));
}

/// A question about no resource is refused: nothing could forbid it.
#[tokio::test]
async fn an_authorization_of_nothing_is_not_given() {
    let world = World::start().await;
    let (arn, _) = world.certificate().await;
    let ask = json!({"principal": arn, "authInfos": [{"actionType": "PUBLISH", "resources": []}]});
    let answer = world.iot("POST", "/test-authorization", ask).await;
    assert_eq!((answer.status, answer.error()), (400, "InvalidRequestException"), "{}", answer.text());
}
