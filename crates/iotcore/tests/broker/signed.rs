//! Signed requests to the REST side of a world whose MQTT side is under test.

use std::time::Duration;

use fleetkey_iotcore::clock::Clock as _;
use serde_json::Value;

use crate::support::World;
pub(crate) use http::Answer;
pub(crate) use sign::Request;

#[path = "../rest/support/http.rs"]
pub(crate) mod http;
#[path = "../rest/support/sign.rs"]
pub(crate) mod sign;

/// No wait of a test that works comes near this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Signs a request for the data plane and sends it.
pub(crate) async fn data(world: &World, request: Request) -> Answer {
    call(world, "iotdata", request).await
}

/// A call to AWS IoT with a JSON body, or none, which succeeds.
pub(crate) async fn iot(world: &World, method: &str, target: &str, body: Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call(world, "iot", Request::new(method, target).body(body)).await.ok().json()
}

/// Signs a request for a service and sends it.
pub(crate) async fn call(world: &World, service: &str, request: Request) -> Answer {
    let key = world.handle().access_key();
    let signer = sign::Signer {
        access_key: key.access_key_id.clone(),
        secret: key.secret_access_key.expose().to_owned(),
        region: "us-east-1".to_owned(),
        now: world.clock.now(),
        token: None,
    };
    let port = world.handle().ports().rest.unwrap();
    http::exchange(port, &signer.sign(service, request.host(port)).bytes()).await
}

/// The same without body or headers.
pub(crate) async fn ask(world: &World, method: &str, target: &str) -> Answer {
    data(world, Request::new(method, target)).await
}
