//! Faults as clients see them.

use fleetkey_iotcore::faults::{Effect, Operation, Rule};
use fleetkey_model::name::ClientId;
use fleetkey_model::provisioning::Rejection;
use fleetkey_model::topic::TopicFilter;
use fleetkey_mqtt::{Packet, QoS, ReasonCode};

use crate::provisioning::{CREATE, create, factory};
use crate::support::{ALL, Closed, World, soon, until, v5, v311};

fn rejection(status_code: u16) -> Rejection {
    Rejection { status_code, error_code: "Injected".into(), error_message: "by a fault rule".into() }
}

#[tokio::test]
async fn a_lost_request_has_no_effect_a_lost_answer_has_and_a_repeated_one_comes_twice() {
    let (world, claim) = factory().await;
    let mut client = world.client(&claim, v5("claim-1")).await;
    let count = || world.handle().account().list_certificates(None, 100).len();
    let faults = world.handle().faults();
    let before = count();
    let never = faults.add(Rule::on(Operation::CreateKeys, Effect::DropRequest).only(1));
    client.publish(CREATE, "").await.unwrap();
    until("the call to be seen", || faults.seen(never) == 1).await;
    faults.remove(never);
    let lost = faults.add(Rule::on(Operation::CreateKeys, Effect::DropAnswer).only(1));
    client.publish(CREATE, "").await.unwrap();
    until("the certificate to be made", || count() == before + 1).await;
    let issued = create(&mut client).await;
    assert_eq!(count(), before + 2);
    assert_eq!(faults.seen(lost), 2);
    faults.clear();
    faults.add(Rule::on(Operation::Provisioning, Effect::DuplicateAnswer));
    client.publish(CREATE, "").await.unwrap();
    let (first, second) = (client.message().await, client.message().await);
    assert_eq!(first.payload, second.payload);
    assert!(!first.payload.is_empty() && issued.private_key.is_some());
    world.stop().await;
}

#[tokio::test]
async fn a_rejected_call_has_no_effect() {
    let (world, claim) = factory().await;
    let mut client = world.client(&claim, v5("claim-1")).await;
    let count = || world.handle().account().list_certificates(None, 100).len();
    let before = count();
    let effect = Effect::Reject(rejection(503));
    world.handle().faults().add(Rule::on(Operation::CreateKeys, effect));
    client.publish(CREATE, "").await.unwrap();
    let message = client.message().await;
    assert_eq!(message.topic, "$aws/certificates/create/json/rejected");
    let answer: Rejection = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(answer, rejection(503));
    assert_eq!(count(), before);
    world.stop().await;
}

#[tokio::test]
async fn a_held_call_has_taken_effect_and_answers_when_released() {
    let (world, claim) = factory().await;
    let mut client = world.client(&claim, v5("claim-1")).await;
    let count = || world.handle().account().list_certificates(None, 100).len();
    let before = count();
    let faults = world.handle().faults();
    let hold =
        faults.add(Rule::on(Operation::CreateKeys, Effect::Hold).client(ClientId::new("claim-1").unwrap()));
    client.publish(CREATE, "").await.unwrap();
    soon("the call to be held", faults.held(hold)).await;
    assert_eq!(count(), before + 1);
    client.ping().await;
    assert!(client.no_message());
    faults.release(hold);
    assert_eq!(client.message().await.topic, "$aws/certificates/create/json/accepted");
    world.stop().await;
}

#[tokio::test]
async fn a_cut_comes_before_or_after_the_effect() {
    let (world, claim) = factory().await;
    let count = || world.handle().account().list_certificates(None, 100).len();
    let before = count();
    let faults = world.handle().faults();
    faults.add(Rule::on(Operation::CreateKeys, Effect::Cut).before());
    let mut client = world.client(&claim, v5("claim-1")).await;
    client.send_publish(CREATE, "").await;
    client.closed_after_messages().await;
    assert_eq!(count(), before);
    faults.clear();
    faults.add(Rule::on(Operation::CreateKeys, Effect::Cut));
    let mut client = world.client(&claim, v5("claim-1")).await;
    client.send_publish(CREATE, "").await;
    client.closed_after_messages().await;
    assert_eq!(count(), before + 1);
    world.stop().await;
}

#[tokio::test]
async fn a_publish_can_lose_its_puback_or_get_two_and_is_delivered_once() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    let faults = world.handle().faults();
    let filter = TopicFilter::new("t").unwrap();
    faults.add(Rule::on(Operation::Publish(filter.clone()), Effect::DropAnswer).only(1));
    faults.add(Rule::on(Operation::Publish(filter), Effect::DuplicateAnswer).only(2));
    client.send_publish("t", "unacknowledged").await;
    assert_eq!(&client.message().await.payload[..], b"unacknowledged");
    let id = client.send_publish("t", "twice").await;
    for _ in 0..2 {
        let Some(Packet::PubAck(ack)) = client.answer().await else {
            panic!("no PUBACK");
        };
        assert_eq!(ack.packet_id, id);
    }
    assert_eq!(&client.message().await.payload[..], b"twice");
    client.ping().await;
    assert!(client.no_message());
    world.stop().await;
}

#[tokio::test]
async fn a_rejected_publish_is_told_in_version_5_and_closes_3_1_1() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let effect = Effect::Reject(rejection(403));
    let rule = Rule::on(Operation::Publish(TopicFilter::new("t").unwrap()), effect);
    world.handle().faults().add(rule);
    let mut new = world.client(&identity, v5("new")).await;
    assert_eq!(new.publish("t", "x").await, Ok(ReasonCode::NOT_AUTHORIZED));
    assert_eq!(new.publish("u", "x").await, Ok(ReasonCode::SUCCESS));
    let mut old = world.client(&identity, v311("old")).await;
    assert_eq!(old.publish("t", "x").await, Err(Closed));
    world.stop().await;
}

#[tokio::test]
async fn a_connect_can_be_held_rejected_or_throttled() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let faults = world.handle().faults();
    let hold = faults.add(Rule::on(Operation::Connect, Effect::Hold).only(1));
    let (connected, ()) = tokio::join!(world.try_client(&identity, v5("a")), async {
        soon("the CONNECT to be held", faults.held(hold)).await;
        faults.release(hold);
    });
    assert_eq!(connected.unwrap().1.reason, ReasonCode::SUCCESS);
    faults.clear();
    faults.add(Rule::on(Operation::Connect, Effect::Reject(rejection(503))).only(1));
    let (_, connack) = world.try_client(&identity, v5("a")).await.unwrap();
    assert_eq!(connack.reason, ReasonCode::UNSPECIFIED_ERROR);
    faults.clear();
    faults.add(Rule::on(Operation::Connect, Effect::Throttle { per_second: 0 }));
    let (_, connack) = world.try_client(&identity, v5("a")).await.unwrap();
    assert_eq!(connack.reason, ReasonCode::QUOTA_EXCEEDED);
    faults.clear();
    faults.add(Rule::on(Operation::Connect, Effect::Cut));
    assert!(matches!(world.try_client(&identity, v5("a")).await, Err(Closed)));
    world.stop().await;
}

#[tokio::test]
async fn a_server_stops_though_a_call_is_held() {
    let (world, claim) = factory().await;
    let mut client = world.client(&claim, v5("claim-1")).await;
    let faults = world.handle().faults().clone();
    let hold = faults.add(Rule::on(Operation::CreateKeys, Effect::Hold).before());
    client.publish(CREATE, "").await.unwrap();
    soon("the call to be held", faults.held(hold)).await;
    soon("the server to stop", world.stop()).await;
}
