//! Fleet Provisioning in CBOR, written and read by a codec that is not ours.

use std::collections::BTreeMap;

use fleetkey_model::provisioning::{CertificateIssued, Rejection, ThingRegistered};
use fleetkey_mqtt::ReasonCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::provisioning::factory;
use crate::support::{ALL, Client, Identity, v5};

fn written(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out).unwrap();
    out
}

/// Sends a request in CBOR and reads the answer on `topic`/`leg`.
async fn ask<T: DeserializeOwned>(
    client: &mut Client,
    topic: &str,
    request: &impl Serialize,
    leg: &str,
) -> T {
    assert_eq!(client.publish(topic, written(request)).await, Ok(ReasonCode::SUCCESS));
    let message = client.message().await;
    assert_eq!(message.topic.as_str(), format!("{topic}/{leg}"));
    ciborium::from_reader(&message.payload[..]).unwrap()
}

fn register(issued: &CertificateIssued, serial: &str) -> impl Serialize {
    let token = serde_json::to_value(&issued.certificate_ownership_token).unwrap();
    let parameters = serde_json::json!({"SerialNumber": serial});
    BTreeMap::from([("certificateOwnershipToken", token), ("parameters", parameters)])
}

/// CreateKeysAndCertificate, CreateCertificateFromCsr and RegisterThing answer CBOR with CBOR.
#[tokio::test]
async fn all_three_operations_speak_cbor() {
    const REGISTER: &str = "$aws/provisioning-templates/Claim/provision/cbor";
    let (world, _) = factory().await;
    let claim = world.identity(ALL).await;
    let mut client = world.client(&claim, v5("claim-1")).await;
    let nothing = BTreeMap::<String, String>::new();
    let issued: CertificateIssued =
        ask(&mut client, "$aws/certificates/create/cbor", &nothing, "accepted").await;
    let registered: ThingRegistered =
        ask(&mut client, REGISTER, &register(&issued, "good-1"), "accepted").await;
    assert_eq!(registered.thing_name.unwrap().as_str(), "good-1");
    let key = issued.private_key.as_ref().unwrap();
    let device = Identity::read(&issued.certificate_pem, key.expose());
    world.client(&device, v5("good-1")).await.ping().await;

    let csr = BTreeMap::from([("certificateSigningRequest", include_str!("../fixtures/p256.csr.pem"))]);
    let issued: CertificateIssued =
        ask(&mut client, "$aws/certificates/create-from-csr/cbor", &csr, "accepted").await;
    assert!(issued.private_key.is_none());
    let registered: ThingRegistered =
        ask(&mut client, REGISTER, &register(&issued, "good-2"), "accepted").await;
    assert_eq!(registered.thing_name.unwrap().as_str(), "good-2");

    let rejection: Rejection = ask(&mut client, REGISTER, &register(&issued, "bad-1"), "rejected").await;
    assert!(rejection.status_code >= 400, "{rejection:?}");
    let rejection: Rejection =
        ask(&mut client, "$aws/certificates/create-from-csr/cbor", &"no map", "rejected").await;
    assert_eq!((rejection.status_code, rejection.error_code.as_str()), (400, "InvalidPayload"));
    world.stop().await;
}
