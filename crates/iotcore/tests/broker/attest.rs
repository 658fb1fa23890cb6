//! The broker's word on who sent a request.

use fleetkey_model::retirement::Attested;
use fleetkey_mqtt::{QoS, ReasonCode};

use crate::support::{World, v5};

#[tokio::test]
async fn a_request_is_republished_with_the_connections_certificate_and_client_id() {
    let world = World::start().await;
    let mut controller = world.observer("fleetkey/attested/+/requests").await;
    let pump = world.device("pump").await;
    let mut client = world.client(&pump, v5("pump")).await;
    let forged = r#"{"op":"retire","id":"r1","clientid":"fan","thing":"fan"}"#;
    assert_eq!(client.publish("fleetkey/things/pump/requests", "no JSON").await, Ok(ReasonCode::SUCCESS));
    assert_eq!(client.publish("fleetkey/things/pump/requests", forged).await, Ok(ReasonCode::SUCCESS));
    let message = controller.message().await;
    assert_eq!(message.topic, "fleetkey/attested/pump/requests");
    assert_eq!(message.qos, QoS::AtLeastOnce);
    let attested: Attested = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(attested.principal, pump.id);
    assert_eq!(attested.clientid.as_str(), "pump");
    assert_eq!(attested.thing.as_str(), "pump");
    assert_eq!(attested.request.id, "r1");
    world.stop().await;
}
