//! A Lambda function as pre-provisioning hook: made over REST, asked over MQTT, run by this computer's Python.

use fleetkey_iotcore::hook::BuiltinHook;
use fleetkey_model::name::{TemplateName, ThingName};
use fleetkey_model::provisioning::{RegisterThingRequest, Rejection, ThingRegistered};
use serde_json::{Value, json};

use crate::provisioning::{REGISTER, create, factory};
use crate::signed::{Request, call, iot};
use crate::support::{Client, World, v5};

#[path = "../rest/support/zip.rs"]
pub(crate) mod zip;

const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:hook";
const TEMPLATE: &str = "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/Claim";
/// Allows what begins with `good`, renames one, and misbehaves when told to.
const CODE: &str = r"
import time
def handler(event, context):
    print('noise')
    assert len(event['claimCertificateId']) == 64 and event['certificatePem'].startswith('-----BEGIN')
    assert event['clientId'] == 'claim-1' and event['templateArn'].endswith('/Claim')
    serial = event['parameters']['SerialNumber']
    if serial == 'throw':
        raise ValueError(serial)
    if serial == 'sleep':
        time.sleep(60)
    if serial == 'nonsense':
        return 'yes'
    if serial == 'rename':
        return {'allowProvisioning': True, 'parameterOverrides': {'SerialNumber': 'renamed'}}
    return {'allowProvisioning': serial.startswith('good')}
";

async fn allow(world: &World, template: &str) {
    let permission = json!({"StatementId": "iot", "Action": "lambda:InvokeFunction",
        "Principal": "iot.amazonaws.com", "SourceArn": template});
    let path = "/2015-03-31/functions/hook/policy";
    call(world, "lambda", Request::new("POST", path).body(permission.to_string())).await.ok();
}

/// A world whose template asks the function, and a claim that is connected.
async fn with_hook() -> (World, Client) {
    let (world, claim) = factory().await;
    call(&world, "iam", Request::form(&zip::role("Hook", "lambda.amazonaws.com"))).await.ok();
    let function = zip::python("hook", CODE).to_string();
    call(&world, "lambda", Request::new("POST", "/2015-03-31/functions").body(function)).await.ok();
    let template = TemplateName::new("Claim").unwrap();
    let hook = BuiltinHook::Function { arn: ARN.to_owned() };
    world.handle().account().set_template_hook(&template, Some(hook)).await.unwrap();
    let client = world.client(&claim, v5("claim-1")).await;
    (world, client)
}

/// The answer to RegisterThing with a new certificate: accepted or not, and what it says.
async fn register(client: &mut Client, serial: &str) -> (bool, Value) {
    let issued = create(client).await;
    let request = RegisterThingRequest {
        certificate_ownership_token: issued.certificate_ownership_token,
        parameters: [("SerialNumber".to_owned(), serial.to_owned())].into(),
    };
    client.publish(REGISTER, serde_json::to_vec(&request).unwrap()).await.unwrap();
    let message = client.message().await;
    (message.topic.ends_with("/accepted"), serde_json::from_slice(&message.payload).unwrap())
}

#[tokio::test]
async fn the_functions_own_code_allows_denies_and_renames() {
    let (world, mut client) = with_hook().await;
    allow(&world, TEMPLATE).await;
    for (serial, thing) in [("good-1", "good-1"), ("rename", "renamed")] {
        let (accepted, answer) = register(&mut client, serial).await;
        assert!(accepted, "{serial}: {answer}");
        let registered: ThingRegistered = serde_json::from_value(answer).unwrap();
        assert_eq!(registered.thing_name.unwrap().as_str(), thing);
    }
    for serial in ["bad-1", "throw", "nonsense"] {
        let (accepted, answer) = register(&mut client, serial).await;
        let rejection: Rejection = serde_json::from_value(answer).unwrap();
        assert!(!accepted, "{serial}");
        assert_eq!((rejection.status_code, rejection.error_code.as_str()), (403, "AccessDenied"), "{serial}");
        let thing = ThingName::new(serial).unwrap();
        assert!(world.handle().account().describe_thing(&thing).is_err(), "nothing is left of {serial}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_function_that_takes_more_than_five_seconds_denies() {
    let (world, mut client) = with_hook().await;
    allow(&world, TEMPLATE).await;
    let (accepted, answer) = register(&mut client, "sleep").await;
    assert!(!accepted && answer["statusCode"] == 403, "{answer}");
    world.stop().await;
}

#[tokio::test]
async fn a_function_that_iot_may_not_invoke_for_this_template_denies() {
    let (world, mut client) = with_hook().await;
    allow(&world, "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/Other").await;
    let (accepted, answer) = register(&mut client, "good-1").await;
    assert!(!accepted && answer["statusCode"] == 403, "{answer}");
    world.stop().await;
}

/// A template provisions as its role: without it, nobody is let in.
#[tokio::test]
async fn a_template_whose_role_is_gone_denies() {
    let (world, claim) = factory().await;
    call(&world, "iam", Request::form(&zip::role("provisioning", "iot.amazonaws.com"))).await.ok();
    let role = json!({"provisioningRoleArn": "arn:aws:iam::123456789012:role/provisioning"});
    iot(&world, "PATCH", "/provisioning-templates/Claim", role).await;
    let mut client = world.client(&claim, v5("claim-1")).await;
    let (accepted, answer) = register(&mut client, "good-1").await;
    assert!(accepted, "{answer}");
    call(&world, "iam", Request::form("Action=DeleteRole&RoleName=provisioning")).await.ok();
    let (accepted, answer) = register(&mut client, "good-2").await;
    assert!(!accepted && answer["statusCode"] == 403, "{answer}");
    world.stop().await;
}
