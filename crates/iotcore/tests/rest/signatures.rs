//! Who is let in: the account's key and a signature made with it, now.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Request, World};

fn endpoint() -> Request {
    Request::new("GET", "/endpoint")
}

/// Without a signature nothing is answered.
#[tokio::test]
async fn a_request_without_a_signature_is_refused() {
    let world = World::start().await;
    let answer = world.send(endpoint().host(world.port())).await;
    assert_eq!((answer.status, answer.error()), (403, "MissingAuthenticationTokenException"));
    let answer = world.send(Request::form("Action=GetCallerIdentity").host(world.port())).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("<Code>MissingAuthenticationToken</Code>"), "{}", answer.text());
}

/// A key that nobody has is told apart from a wrong signature, as with AWS.
#[tokio::test]
async fn an_unknown_key_and_a_wrong_secret_are_told_apart() {
    let world = World::start().await;
    let mut signer = world.signer();
    signer.access_key = "AKIAIOSFODNN7EXAMPLE".into();
    let answer = world.send(signer.sign("iot", endpoint().host(world.port()))).await;
    assert_eq!((answer.status, answer.error()), (403, "UnrecognizedClientException"));
    assert_eq!(answer.message(), "The security token included in the request is invalid.");
    let form = Request::form("Action=GetCallerIdentity").host(world.port());
    let answer = world.send(signer.sign("sts", form)).await;
    assert!(answer.text().contains("<Code>InvalidClientTokenId</Code>"), "{}", answer.text());
    let mut signer = world.signer();
    signer.secret.push('x');
    let answer = world.send(signer.sign("iot", endpoint().host(world.port()))).await;
    assert_eq!((answer.status, answer.error()), (403, "InvalidSignatureException"));
    assert!(answer.message().starts_with("The request signature we calculated does not match"));
    let form = Request::form("Action=GetCallerIdentity").host(world.port());
    let answer = world.send(signer.sign("iam", form)).await;
    assert!(answer.text().contains("<Code>SignatureDoesNotMatch</Code>"), "{}", answer.text());
}

/// A session token that does not belong to the key makes the key unknown.
#[tokio::test]
async fn a_session_token_must_belong_to_the_key() {
    let world = World::start().await;
    let mut signer = world.signer();
    signer.token = Some("another".into());
    let answer = world.send(signer.sign("iot", endpoint().host(world.port()))).await;
    assert_eq!((answer.status, answer.error()), (403, "UnrecognizedClientException"));
}

/// A date more than a quarter of an hour away from the server's is refused, with both dates in the answer.
#[tokio::test]
async fn a_stale_date_is_refused_with_both_dates() {
    let world = World::start().await;
    let mut signer = world.signer();
    signer.now = signer.now - Duration::from_secs(16 * 60);
    let answer = world.send(signer.sign("iot", endpoint().host(world.port()))).await;
    assert_eq!((answer.status, answer.error()), (403, "InvalidSignatureException"));
    let message = answer.message();
    assert!(
        message.starts_with("Signature expired: 20270115T074400Z is now earlier than 20270115T074500Z"),
        "{message}"
    );
    let mut signer = world.signer();
    signer.now = signer.now + Duration::from_secs(16 * 60);
    let answer = world.send(signer.sign("iot", endpoint().host(world.port()))).await;
    assert!(answer.message().starts_with("Signature not yet current: "), "{}", answer.message());
}

/// A scope of another region or service is refused with the account's own.
#[tokio::test]
async fn a_foreign_region_or_service_is_refused() {
    let world = World::start().await;
    let mut signer = world.signer();
    signer.region = "eu-central-1".into();
    let answer = world.send(signer.sign("iot", endpoint().host(world.port()))).await;
    assert_eq!((answer.status, answer.error()), (403, "InvalidSignatureException"));
    assert!(answer.message().contains("us-east-1"), "{}", answer.message());
    let answer = world.call("s3", endpoint()).await;
    assert_eq!((answer.status, answer.error()), (403, "InvalidSignatureException"));
    assert!(answer.message().contains("'s3'"), "{}", answer.message());
}

/// Under `--any-credentials` any key, any signature and none are taken.
#[tokio::test]
async fn any_credentials_are_taken_when_asked_for() {
    let world = World::with(|config| config.rest.any_credentials = true).await;
    world.send(endpoint().host(world.port())).await.ok();
    let mut signer = world.signer();
    signer.access_key = "test".into();
    signer.secret = "test".into();
    signer.region = "eu-central-1".into();
    world.send(signer.sign("iot", endpoint().host(world.port()))).await.ok();
}

/// The key is the same after a restart.
#[tokio::test]
async fn the_key_outlives_a_restart() {
    let world = World::start().await;
    let key = world.handle.access_key().clone();
    let config = fleetkey_iotcore::config::Config::new(world.dir.path().join("data"));
    world.handle.shutdown().await;
    let listeners = fleetkey_iotcore::server::Listeners::loopback().await.unwrap();
    let again = fleetkey_iotcore::server::start(config, listeners, world.clock).await.unwrap();
    assert_eq!(*again.access_key(), key);
    again.shutdown().await;
}

/// An operation that is signed for another service is another operation.
#[tokio::test]
async fn the_signed_service_decides_which_operation_is_meant() {
    let world = World::start().await;
    let answer = world.call("iotdata", endpoint()).await;
    assert_eq!((answer.status, answer.error()), (404, "UnknownOperationException"));
    assert_eq!(world.iot("GET", "/endpoint", Value::Null).await.status, 200);
}
