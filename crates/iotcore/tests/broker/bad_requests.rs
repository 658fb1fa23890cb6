//! Provisioning requests that are wrong: each is told what is wrong with it, on a connection that goes on.

use fleetkey_model::name::ThingName;
use fleetkey_model::provisioning::Rejection;
use fleetkey_mqtt::{QoS, ReasonCode};
use serde_json::json;

use crate::provisioning::{REGISTER, create, factory};
use crate::support::{ALL, Client, World, v5, v311};

const FROM_CSR: &str = "$aws/certificates/create-from-csr/json";

macro_rules! csr {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/csr/", $name, ".pem"))
    };
}

/// Sends a request and waits for the rejection.
async fn rejected(client: &mut Client, topic: &str, payload: impl Into<bytes::Bytes>) -> Rejection {
    assert_eq!(client.publish(topic, payload).await, Ok(ReasonCode::SUCCESS));
    let message = client.message().await;
    assert_eq!(&*message.topic, format!("{topic}/rejected"));
    serde_json::from_slice(&message.payload).unwrap()
}

/// A request whose signature is not by its key: one letter of the subject is another.
fn forged() -> String {
    let (label, mut der) = der::pem::decode_vec(csr!("p256-sha256").as_bytes()).unwrap();
    let name = der.windows(4).position(|window| window == b"Acme").unwrap();
    der[name] = b'B';
    der::pem::encode_string(label, der::pem::LineEnding::LF, &der).unwrap()
}

#[tokio::test]
async fn a_bad_signing_request_is_rejected_with_its_reason() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let before = world.handle().account().list_certificates(None, 100).len();
    let forged = forged();
    let too_long = "x".repeat(5000);
    let table = [
        ("rubbish", "not a PKCS#10 request"),
        ("", "not a PKCS#10 request"),
        (csr!("rsa512-sha256"), "512 bits"),
        (csr!("ed25519"), "must be RSA, or ECDSA"),
        (csr!("rsa2048-sha1"), "use SHA-256"),
        (forged.as_str(), "not by its own key"),
        (too_long.as_str(), "5000 characters"),
    ];
    for connect in [v5("a"), v311("a")] {
        let mut client = world.client(&identity, connect).await;
        for (pem, reason) in table {
            let payload = json!({ "certificateSigningRequest": pem }).to_string();
            let rejection = rejected(&mut client, FROM_CSR, payload).await;
            assert_eq!(
                (rejection.status_code, rejection.error_code.as_str()),
                (400, "InvalidCertificateSigningRequest")
            );
            assert!(rejection.error_message.contains(reason), "{reason}: {}", rejection.error_message);
        }
        for payload in ["", "no JSON", "[]", "{}", r#"{"certificateSigningRequest":7}"#] {
            let rejection = rejected(&mut client, FROM_CSR, payload).await;
            assert_eq!(
                (rejection.status_code, rejection.error_code.as_str()),
                (400, "InvalidPayload"),
                "{payload}"
            );
        }
        client.ping().await;
    }
    assert_eq!(world.handle().account().list_certificates(None, 100).len(), before, "nothing was issued");
    world.stop().await;
}

#[tokio::test]
async fn a_serial_that_is_no_name_is_rejected_and_names_nothing() {
    let (world, claim) = factory().await;
    let mut client = world.client(&claim, v5("claim-1")).await;
    let long = |length: usize| format!("good-{}", "x".repeat(length - 5));
    let table = [
        ("good-/../other".to_owned(), 400, "InvalidParameters"),
        ("good-+".to_owned(), 400, "InvalidParameters"),
        (long(129), 400, "InvalidParameters"),
        // A thing name, but no room for its verification session's client id.
        (long(122), 403, "AccessDenied"),
    ];
    let issued = create(&mut client).await;
    let token = issued.certificate_ownership_token.expose();
    for (serial, status, code) in table {
        let payload = json!({ "certificateOwnershipToken": token, "parameters": { "SerialNumber": serial } });
        let rejection = rejected(&mut client, REGISTER, payload.to_string()).await;
        assert_eq!((rejection.status_code, rejection.error_code.as_str()), (status, code), "{serial}");
        let thing = ThingName::new(serial);
        assert!(thing.is_err() || world.handle().account().describe_thing(&thing.unwrap()).is_err());
    }
    // The token has survived all that.
    let payload = json!({ "certificateOwnershipToken": token, "parameters": { "SerialNumber": long(121) } });
    client.publish(REGISTER, payload.to_string()).await.unwrap();
    assert_eq!(&*client.message().await.topic, format!("{REGISTER}/accepted"));
    world.stop().await;
}

#[tokio::test]
async fn a_template_that_is_not_there_and_a_token_that_is_none_are_rejected() {
    let (world, _) = factory().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    let request = |token: &str| {
        json!({ "certificateOwnershipToken": token, "parameters": { "SerialNumber": "good-1" } }).to_string()
    };
    let elsewhere = "$aws/provisioning-templates/Nowhere/provision/json";
    let rejection = rejected(&mut client, elsewhere, request("x")).await;
    assert_eq!((rejection.status_code, rejection.error_code.as_str()), (404, "InvalidTemplate"));
    for token in ["", "x"] {
        let rejection = rejected(&mut client, REGISTER, request(token)).await;
        assert_eq!(
            (rejection.status_code, rejection.error_code.as_str()),
            (400, "InvalidCertificateOwnershipToken")
        );
    }
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_on_and_takes_no_answer_is_disconnected() {
    let world = World::with(|config| config.limits.outbound_bytes = 32 * 1024).await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    client.subscribe(&format!("{FROM_CSR}/rejected"), QoS::AtLeastOnce).await;
    client.auto_ack = false;
    for _ in 0..500 {
        client.send_publish(FROM_CSR, "rubbish").await;
    }
    assert_eq!(client.closed_after_messages().await, Some(ReasonCode::QUOTA_EXCEEDED));
    world.client(&identity, v5("b")).await.ping().await;
    world.stop().await;
}
