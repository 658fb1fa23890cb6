//! Fleet Provisioning over the wire: answers for the asker alone, a claim that reaches nothing else.

use fleetkey_iotcore::hook::BuiltinHook;
use fleetkey_model::name::TemplateName;
use fleetkey_model::provisioning::{CertificateIssued, RegisterThingRequest, Rejection, ThingRegistered};
use fleetkey_mqtt::{Publish, QoS, ReasonCode};
use serde::de::DeserializeOwned;

use crate::support::{ALL, Client, Identity, World, v5, v311};

pub(crate) const CREATE: &str = "$aws/certificates/create/json";
pub(crate) const REGISTER: &str = "$aws/provisioning-templates/Claim/provision/json";

/// A claim may create and register, and nothing else; nothing of it matches another client's answers.
const CLAIM: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:123456789012:client/claim-*"},
    {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":[
     "arn:aws:iot:us-east-1:123456789012:topic/$aws/certificates/create/*",
     "arn:aws:iot:us-east-1:123456789012:topic/$aws/provisioning-templates/Claim/provision/*"]},
    {"Effect":"Allow","Action":"iot:Subscribe","Resource":[
     "arn:aws:iot:us-east-1:123456789012:topicfilter/$aws/certificates/create/*",
     "arn:aws:iot:us-east-1:123456789012:topicfilter/$aws/provisioning-templates/Claim/provision/*"]}]}"#;

const TEMPLATE: &str = r#"{"Parameters":{"SerialNumber":{"Type":"String"},"AWS::IoT::Certificate::Id":{"Type":"String"}},
    "Resources":{
    "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"SerialNumber"}}},
    "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},
        "Status":"Active"}},
    "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"fleet"}}}}"#;

/// A world with a template, and a claim that may use it.
pub(crate) async fn factory() -> (World, Identity) {
    let world = World::start().await;
    let account = world.handle().account();
    let policy = fleetkey_model::name::PolicyName::new("fleet").unwrap();
    account.create_policy(&policy, ALL).await.unwrap();
    let hook = BuiltinHook::Serials { allow: vec![fleetkey_iotcore::hook::SerialPattern("good-*".into())] };
    let template = TemplateName::new("Claim").unwrap();
    account.create_template(&template, TEMPLATE, true, Some(hook)).await.unwrap();
    let claim = world.identity(CLAIM).await;
    (world, claim)
}

fn read<T: DeserializeOwned>(message: &Publish, topic: &str) -> T {
    assert_eq!(message.topic, topic);
    serde_json::from_slice(&message.payload).unwrap()
}

pub(crate) async fn create(client: &mut Client) -> CertificateIssued {
    assert_eq!(client.publish(CREATE, "{}").await, Ok(ReasonCode::SUCCESS));
    read(&client.message().await, "$aws/certificates/create/json/accepted")
}

fn register(issued: &CertificateIssued, serial: &str) -> Vec<u8> {
    let request = RegisterThingRequest {
        certificate_ownership_token: issued.certificate_ownership_token.clone(),
        parameters: [("SerialNumber".to_owned(), serial.to_owned())].into(),
    };
    serde_json::to_vec(&request).unwrap()
}

#[tokio::test]
async fn a_claim_provisions_a_device_that_can_connect() {
    for connect in [v5("claim-1"), v311("claim-1")] {
        let (world, claim) = factory().await;
        let mut client = world.client(&claim, connect).await;
        let issued = create(&mut client).await;
        let answer = register(&issued, "good-1");
        assert_eq!(client.publish(REGISTER, answer).await, Ok(ReasonCode::SUCCESS));
        let topic = "$aws/provisioning-templates/Claim/provision/json/accepted";
        let registered: ThingRegistered = read(&client.message().await, topic);
        assert_eq!(registered.thing_name.unwrap().as_str(), "good-1");
        let key = issued.private_key.unwrap();
        let device = Identity::read(&issued.certificate_pem, key.expose());
        world.client(&device, v5("good-1")).await.ping().await;
        world.stop().await;
    }
}

#[tokio::test]
async fn an_answer_reaches_its_asker_alone_subscribed_or_not() {
    let (world, claim) = factory().await;
    let mut spy = world.observer("$aws/certificates/#").await;
    let mut asker = world.client(&claim, v5("claim-1")).await;
    let mut twin = world.client(&claim, v5("claim-2")).await;
    twin.subscribe("$aws/certificates/create/#", QoS::AtLeastOnce).await;
    create(&mut asker).await;
    asker.subscribe("$aws/certificates/create/+/accepted", QoS::AtLeastOnce).await;
    asker.publish(CREATE, "").await.unwrap();
    let message = asker.message().await;
    assert_eq!(message.qos, QoS::AtLeastOnce, "at the quality of the subscription");
    // Everything that was going to reach the others has reached them by now.
    for other in [&mut spy, &mut twin] {
        other.ping().await;
        assert!(other.no_message());
    }
    world.stop().await;
}

#[tokio::test]
async fn a_rejection_comes_back_with_its_code() {
    let (world, claim) = factory().await;
    let mut client = world.client(&claim, v5("claim-1")).await;
    let issued = create(&mut client).await;
    client.publish(REGISTER, register(&issued, "bad-1")).await.unwrap();
    let topic = "$aws/provisioning-templates/Claim/provision/json/rejected";
    let rejection: Rejection = read(&client.message().await, topic);
    assert_eq!(rejection.status_code, 403);
    client.publish(REGISTER, "no JSON").await.unwrap();
    let rejection: Rejection = read(&client.message().await, topic);
    assert_eq!((rejection.status_code, rejection.error_code.as_str()), (400, "InvalidPayload"));
    world.stop().await;
}

#[tokio::test]
async fn a_claim_reaches_nothing_but_provisioning() {
    let (world, claim) = factory().await;
    let (_, connack) = world.try_client(&claim, v5("good-1")).await.unwrap();
    assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
    let mut client = world.client(&claim, v5("claim-1")).await;
    for topic in ["device/x/y", "$aws/certificates/create-from-csr/json", "fleetkey/things/x/requests"] {
        assert_eq!(client.publish(topic, "x").await, Ok(ReasonCode::NOT_AUTHORIZED), "{topic}");
    }
    for filter in ["#", "device/#", "fleetkey/#"] {
        assert_eq!(client.subscribe(filter, QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED, "{filter}");
    }
    let forged = "$aws/certificates/create/json/accepted";
    assert_eq!(client.publish(forged, "x").await, Ok(ReasonCode::TOPIC_NAME_INVALID));
    world.stop().await;
}

#[tokio::test]
async fn an_answer_needs_the_right_to_receive_it() {
    const MUTE: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["iot:Connect","iot:Publish","iot:Subscribe"],"Resource":"*"},
        {"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:us-east-1:123456789012:topic/t"}]}"#;
    let (world, _) = factory().await;
    let identity = world.identity(MUTE).await;
    let mut client = world.client(&identity, v5("mute")).await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    let before = world.handle().account().list_certificates(None, 100).len();
    client.publish(CREATE, "").await.unwrap();
    crate::support::until("the certificate to be made", || {
        world.handle().account().list_certificates(None, 100).len() > before
    })
    .await;
    client.publish("t", "marker").await.unwrap();
    assert_eq!(client.message().await.topic, "t");
    world.stop().await;
}
