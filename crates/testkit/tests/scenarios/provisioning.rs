//! The provisioning API by hand, as any client would use it.

use fleetkey_model::name::TemplateName;
use fleetkey_model::topic::{Format, Leg, ReservedTopic};
use fleetkey_mqtt::QoS;
use fleetkey_mqtt::link::{Client, Messages};
use fleetkey_testkit::wait::within;
use serde_json::{Value, json};

/// A topic as a function of the leg.
type Topic = fn(Leg) -> ReservedTopic;

fn create_keys(leg: Leg) -> ReservedTopic {
    ReservedTopic::CreateKeys(Format::Json, leg)
}

/// Asks and waits: the accepted answer, or the rejected one.
pub(crate) async fn ask(
    client: &Client,
    messages: &mut Messages,
    topic: impl Fn(Leg) -> ReservedTopic,
    payload: &Value,
) -> Result<Value, Value> {
    let (accepted, rejected) = (topic(Leg::Accepted).to_string(), topic(Leg::Rejected).to_string());
    let filters = [(accepted.as_str(), QoS::AtLeastOnce), (rejected.as_str(), QoS::AtLeastOnce)];
    let granted = within("SUBACK", client.subscribe(&filters)).await.unwrap();
    assert!(granted.iter().all(|reason| !reason.is_error()), "{granted:?}");
    let request = topic(Leg::Request).to_string();
    let sent = client.publish(request, payload.to_string().into_bytes(), QoS::AtLeastOnce);
    within("PUBACK", sent).await.unwrap();
    loop {
        let message = within("an answer", messages.recv()).await.expect("the connection holds");
        let answer = serde_json::from_slice(&message.payload).unwrap();
        match &*message.topic {
            topic if topic == accepted => return Ok(answer),
            topic if topic == rejected => return Err(answer),
            _ => {}
        }
    }
}

/// CreateKeysAndCertificate: the answer.
pub(crate) async fn create(client: &Client, messages: &mut Messages) -> Value {
    ask(client, messages, create_keys as Topic, &json!({})).await.unwrap()
}

/// RegisterThing of a fresh certificate for `serial`.
pub(crate) async fn register(
    client: &Client,
    messages: &mut Messages,
    template: &TemplateName,
    serial: &str,
) -> Result<Value, Value> {
    let issued = create(client, messages).await;
    let request = json!({
        "certificateOwnershipToken": issued["certificateOwnershipToken"],
        "parameters": {"SerialNumber": serial},
    });
    let topic = |leg| ReservedTopic::RegisterThing(template.clone(), Format::Json, leg);
    ask(client, messages, topic, &request).await
}
