//! Provisioning templates, their versions, and claims.

use serde_json::{Value, json};

use crate::policies::refusal;
use crate::support::{Request, World, zip};

const BODY: &str = r#"{
    "Parameters": {"SerialNumber": {"Type": "String"}},
    "Resources": {
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
            "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}},
        "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}}}}}"#;
const ROLE: &str = "arn:aws:iam::123456789012:role/provisioning";
const HOOK: &str = "arn:aws:lambda:us-east-1:123456789012:function:hook";

fn template() -> Value {
    json!({
        "templateName": "claim", "templateBody": BODY, "enabled": true, "provisioningRoleArn": ROLE,
        "description": "first", "preProvisioningHook": {"targetArn": HOOK},
    })
}

/// A world with the role that templates name.
async fn world() -> World {
    let world = World::start().await;
    role(&world, "provisioning", "iot.amazonaws.com").await;
    world
}

async fn role(world: &World, name: &str, service: &str) {
    world.call("iam", Request::form(&zip::role(name, service))).await.ok();
}

/// A template is made with a hook, described, changed and deleted.
#[tokio::test]
async fn a_template_is_made_described_changed_and_deleted() {
    let world = world().await;
    let made = world.iot("POST", "/provisioning-templates", template()).await.ok().json();
    assert_eq!(made["templateArn"], "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/claim");
    let again = world.refused("POST", "/provisioning-templates", template()).await;
    assert_eq!(again, refusal(409, "ResourceAlreadyExistsException"));
    let path = "/provisioning-templates/claim";
    let found = world.iot("GET", path, Value::Null).await.ok().json();
    assert_eq!((&found["templateBody"], &found["provisioningRoleArn"]), (&json!(BODY), &json!(ROLE)));
    assert_eq!((&found["enabled"], &found["type"]), (&json!(true), &json!("FLEET_PROVISIONING")));
    let hook = json!({"payloadVersion": "2020-04-01", "targetArn": HOOK});
    assert_eq!((&found["preProvisioningHook"], &found["defaultVersionId"]), (&hook, &json!(1)));

    let change = json!({"enabled": false, "removePreProvisioningHook": true, "description": "second"});
    world.iot("PATCH", path, change).await.ok();
    let found = world.iot("GET", path, Value::Null).await.ok().json();
    assert_eq!((&found["enabled"], &found["preProvisioningHook"]), (&json!(false), &Value::Null));
    assert_eq!((&found["description"], &found["provisioningRoleArn"]), (&json!("second"), &json!(ROLE)));
    let listed = world.iot("GET", "/provisioning-templates?maxResults=1", Value::Null).await.ok().json();
    assert_eq!(listed["templates"][0]["templateName"], "claim");
    world.iot("DELETE", path, Value::Null).await.ok();
    for (method, body) in [("GET", Value::Null), ("PATCH", json!({})), ("DELETE", Value::Null)] {
        let missing = world.refused(method, path, body).await;
        assert_eq!(missing, refusal(404, "ResourceNotFoundException"));
    }
}

/// What AWS would refuse of a template is refused, and nothing is made.
#[tokio::test]
async fn what_is_no_template_is_refused() {
    let world = world().await;
    for (member, bad) in [
        ("templateName", json!("a.b")),
        ("templateBody", json!("{}")),
        ("provisioningRoleArn", json!("role")),
        ("preProvisioningHook", json!({"targetArn": "hook"})),
        ("preProvisioningHook", json!({"targetArn": HOOK, "payloadVersion": "2019-01-01"})),
        ("type", json!("JITP")),
        ("description", json!("x".repeat(501))),
    ] {
        let mut body = template();
        body[member] = bad;
        let refused = world.refused("POST", "/provisioning-templates", body).await;
        assert_eq!(refused, refusal(400, "InvalidRequestException"), "{member}");
    }
    let listed = world.iot("GET", "/provisioning-templates", Value::Null).await.ok().json();
    assert_eq!(listed["templates"], json!([]));
}

/// The provisioning role must exist and trust AWS IoT, when a template is made and when it gets another role.
#[tokio::test]
async fn a_role_that_aws_iot_cannot_assume_is_refused() {
    let world = World::start().await;
    let refused = world.iot("POST", "/provisioning-templates", template()).await;
    assert_eq!((refused.status, refused.error()), (400, "InvalidRequestException"));
    assert_eq!(refused.message(), "The provisioning role cannot be assumed by AWS IoT");
    role(&world, "provisioning", "iot.amazonaws.com").await;
    world.iot("POST", "/provisioning-templates", template()).await.ok();
    role(&world, "lambda", "lambda.amazonaws.com").await;
    let path = "/provisioning-templates/claim";
    let change = json!({"provisioningRoleArn": "arn:aws:iam::123456789012:role/lambda"});
    assert_eq!(world.refused("PATCH", path, change).await, refusal(400, "InvalidRequestException"));
    let found = world.iot("GET", path, Value::Null).await.ok().json();
    assert_eq!(found["provisioningRoleArn"], ROLE);
}

/// Versions are numbered, at most five; the default is chosen by UpdateProvisioningTemplate and not deleted.
#[tokio::test]
async fn a_template_has_five_versions_at_most_and_keeps_its_default() {
    let world = world().await;
    world.iot("POST", "/provisioning-templates", template()).await.ok();
    let versions = "/provisioning-templates/claim/versions";
    for n in 2..=5 {
        let path = format!("{versions}?setAsDefault={}", n == 2);
        let made = world.iot("POST", &path, json!({"templateBody": BODY})).await.ok().json();
        assert_eq!((&made["versionId"], &made["isDefaultVersion"]), (&json!(n), &json!(n == 2)));
    }
    let sixth = world.refused("POST", versions, json!({"templateBody": BODY})).await;
    assert_eq!(sixth, refusal(409, "VersionsLimitExceededException"));
    let first = world.iot("GET", &format!("{versions}?maxResults=3"), Value::Null).await.ok().json();
    let path = format!("{versions}?maxResults=3&nextToken={}", first["nextToken"].as_str().unwrap());
    let rest = world.iot("GET", &path, Value::Null).await.ok().json();
    let ids: Vec<_> = [&first, &rest]
        .into_iter()
        .flat_map(|page| page["versions"].as_array().unwrap())
        .map(|one| one["versionId"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    world.iot("PATCH", "/provisioning-templates/claim", json!({"defaultVersionId": 1})).await.ok();
    let version = world.iot("GET", &format!("{versions}/1"), Value::Null).await.ok().json();
    assert_eq!((&version["isDefaultVersion"], &version["templateBody"]), (&json!(true), &json!(BODY)));
    let conflict = refusal(409, "DeleteConflictException");
    assert_eq!(world.refused("DELETE", &format!("{versions}/1"), Value::Null).await, conflict);
    assert_eq!(world.refused("DELETE", "/provisioning-templates/claim", Value::Null).await, conflict);
    for n in 2..=5 {
        world.iot("DELETE", &format!("{versions}/{n}"), Value::Null).await.ok();
    }
    let missing = refusal(404, "ResourceNotFoundException");
    assert_eq!(world.refused("GET", &format!("{versions}/2"), Value::Null).await, missing);
    assert_eq!(
        world.refused("PATCH", "/provisioning-templates/claim", json!({"defaultVersionId": 9})).await,
        missing
    );
    world.iot("DELETE", "/provisioning-templates/claim", Value::Null).await.ok();
}

/// CreateProvisioningClaim gives a certificate that is valid for five minutes and gone after.
#[tokio::test]
async fn a_provisioning_claim_lives_five_minutes() {
    let world = world().await;
    world.iot("POST", "/provisioning-templates", template()).await.ok();
    let path = "/provisioning-templates/claim/provisioning-claim";
    let claim = world.iot("POST", path, Value::Null).await.ok().json();
    assert_eq!(claim["expiration"], json!(1_800_000_300.0));
    assert!(claim["keyPair"]["PrivateKey"].as_str().unwrap().contains("RSA PRIVATE KEY"));
    let id = claim["certificateId"].as_str().unwrap();
    world.iot("GET", &format!("/certificates/{id}"), Value::Null).await.ok();
    let missing = world.refused("POST", "/provisioning-templates/none/provisioning-claim", Value::Null).await;
    assert_eq!(missing, refusal(404, "ResourceNotFoundException"));
}
