//! Certificates: made, described, listed, changed, deleted.

use serde_json::{Value, json};

use crate::policies::refusal;
use crate::support::World;

/// CreateKeysAndCertificate gives the key once; DescribeCertificate tells everything else.
#[tokio::test]
async fn a_certificate_is_made_and_described() {
    let world = World::start().await;
    let made = world.iot("POST", "/keys-and-certificate", Value::Null).await.ok().json();
    let key = |member: &str| made["keyPair"][member].as_str().unwrap().to_owned();
    assert!(key("PrivateKey").starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    assert!(key("PublicKey").starts_with("-----BEGIN PUBLIC KEY-----"));
    let path = format!("/certificates/{}", made["certificateId"].as_str().unwrap());
    let found = world.iot("GET", &path, Value::Null).await.ok().json()["certificateDescription"].clone();
    for member in ["certificateArn", "certificateId", "certificatePem"] {
        assert_eq!(found[member], made[member]);
    }
    assert_eq!((&found["status"], &found["ownedBy"]), (&json!("INACTIVE"), &json!("123456789012")));
    assert_eq!((&found["certificateMode"], &found["customerVersion"]), (&json!("DEFAULT"), &json!(1)));
    assert_eq!(found["validity"]["notAfter"], json!(2_524_607_999.0));
    assert!(!found["generationId"].as_str().unwrap().is_empty());
    let missing = world.refused("GET", &format!("/certificates/{}", "0".repeat(64)), Value::Null).await;
    assert_eq!(missing, refusal(404, "ResourceNotFoundException"));
    let odd = world.refused("GET", "/certificates/xyz", Value::Null).await;
    assert_eq!(odd, refusal(400, "InvalidRequestException"));
}

/// UpdateCertificate goes back and forth between ACTIVE and INACTIVE; REVOKED is for good.
#[tokio::test]
async fn a_revoked_certificate_stays_revoked() {
    let world = World::start().await;
    let (_, id) = world.certificate().await;
    let path = |status: &str| format!("/certificates/{id}?newStatus={status}");
    for status in ["INACTIVE", "ACTIVE", "ACTIVE", "REVOKED"] {
        world.iot("PUT", &path(status), Value::Null).await.ok();
    }
    let revived = world.refused("PUT", &path("ACTIVE"), Value::Null).await;
    assert_eq!(revived, refusal(406, "CertificateStateException"));
    for odd in ["PENDING_TRANSFER", "PENDING_ACTIVATION", "REGISTER_INACTIVE", "GONE"] {
        let refused = world.refused("PUT", &path(odd), Value::Null).await;
        assert_eq!(refused, refusal(400, "InvalidRequestException"), "{odd}");
    }
}

/// DeleteCertificate wants it not ACTIVE, without things and, unless forced, without policies.
#[tokio::test]
async fn a_certificate_is_deleted_only_when_nothing_hangs_on_it() {
    let world = World::start().await;
    world.policy("p").await;
    let (arn, id) = world.certificate().await;
    world.iot("PUT", "/target-policies/p", json!({"target": arn})).await.ok();
    let path = format!("/certificates/{id}");
    let forced = format!("{path}?forceDelete=true");
    let active = world.refused("DELETE", &forced, Value::Null).await;
    assert_eq!(active, refusal(406, "CertificateStateException"));
    world.iot("PUT", &format!("{path}?newStatus=INACTIVE"), Value::Null).await.ok();
    let attached = world.refused("DELETE", &path, Value::Null).await;
    assert_eq!(attached, refusal(409, "DeleteConflictException"));
    world.iot("DELETE", &forced, Value::Null).await.ok();
    let gone = world.refused("DELETE", &path, Value::Null).await;
    assert_eq!(gone, refusal(404, "ResourceNotFoundException"));
}

/// A certificate made elsewhere is registered without its CA, once.
#[tokio::test]
async fn a_foreign_certificate_is_registered_once() {
    let elsewhere = World::start().await;
    let made = elsewhere.iot("POST", "/keys-and-certificate", Value::Null).await.ok().json();
    let world = World::start().await;
    let body = json!({"certificatePem": made["certificatePem"], "status": "ACTIVE"});
    let registered = world.iot("POST", "/certificate/register-no-ca", body.clone()).await.ok().json();
    assert_eq!(registered["certificateId"], made["certificateId"]);
    let again = world.iot("POST", "/certificate/register-no-ca", body.clone()).await;
    assert_eq!((again.status, again.error()), (409, "ResourceAlreadyExistsException"));
    assert_eq!(again.json()["resourceId"], made["certificateId"]);
    let invalid = refusal(400, "CertificateValidationException");
    assert_eq!(world.refused("POST", "/certificate/register", body).await, invalid);
    let rubbish = json!({"certificatePem": "rubbish"});
    assert_eq!(world.refused("POST", "/certificate/register-no-ca", rubbish).await, invalid);
}

/// A CSR is certified, as often as it is sent; what is no CSR is refused.
#[tokio::test]
async fn a_csr_is_certified_and_the_list_is_paged_from_either_end() {
    let world = World::start().await;
    let csr = include_str!("../../fixtures/csr/p256-sha256.pem");
    let mut ids = Vec::new();
    for _ in 0..3 {
        let body = json!({"certificateSigningRequest": csr});
        let made = world.iot("POST", "/certificates?setAsActive=true", body).await.ok().json();
        ids.push(made["certificateId"].as_str().unwrap().to_owned());
        world.clock.advance(std::time::Duration::from_secs(1));
    }
    for ascending in [true, false] {
        let (mut found, mut marker) = (Vec::new(), String::new());
        loop {
            let path = format!("/certificates?isAscendingOrder={ascending}&marker={marker}&pageSize=2");
            let page = world.iot("GET", &path, Value::Null).await.ok().json();
            let certificates = page["certificates"].as_array().unwrap();
            found.extend(certificates.iter().map(|one| one["certificateId"].as_str().unwrap().to_owned()));
            match page["nextMarker"].as_str() {
                Some(next) => marker = next.to_owned(),
                None => break,
            }
        }
        if !ascending {
            found.reverse();
        }
        assert_eq!(found, ids);
    }
    for csr in ["rubbish".to_owned(), "x".repeat(4097)] {
        let refused = world.refused("POST", "/certificates", json!({"certificateSigningRequest": csr})).await;
        assert_eq!(refused, refusal(400, "InvalidRequestException"));
    }
    let foreign = world.refused("GET", "/certificates?marker=bm90b3Vycw", Value::Null).await;
    assert_eq!(foreign, refusal(400, "InvalidRequestException"));
}

/// A PEM has 65536 characters at most.
#[tokio::test]
async fn a_certificate_that_is_too_long_is_refused() {
    let world = World::start().await;
    for path in ["/certificate/register", "/certificate/register-no-ca"] {
        let answer = world.iot("POST", path, json!({"certificatePem": "x".repeat(65_537)})).await;
        assert_eq!((answer.status, answer.error()), (400, "InvalidRequestException"), "{path}");
    }
}
