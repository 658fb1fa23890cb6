//! Publishing and subscribing within one's rights and AWS's limits.

use fleetkey_mqtt::{Packet, Property, Publish, QoS, ReasonCode, Subscribe, SubscribeFilter};

use crate::support::{ALL, World, until, v5, v311};

#[tokio::test]
async fn a_message_reaches_its_subscribers_across_versions() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut old = world.client(&identity, v311("old")).await;
    let mut new = world.client(&identity, v5("new")).await;
    assert_eq!(old.subscribe("a/+", QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    assert_eq!(new.subscribe("a/#", QoS::AtMostOnce).await, ReasonCode::GRANTED_QOS_0);
    assert_eq!(new.publish("a/b", "one").await, Ok(ReasonCode::SUCCESS));
    let (at_old, at_new) = (old.message().await, new.message().await);
    assert_eq!((&at_old.payload[..], at_old.qos), (&b"one"[..], QoS::AtLeastOnce));
    assert_eq!((&at_new.payload[..], at_new.qos), (&b"one"[..], QoS::AtMostOnce));
    world.stop().await;
}

#[tokio::test]
async fn overlapping_subscriptions_deliver_once() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    for filter in ["t/#", "t/+", "t/x"] {
        client.subscribe(filter, QoS::AtLeastOnce).await;
    }
    client.publish("t/x", "1").await.unwrap();
    client.publish("t/y", "2").await.unwrap();
    assert_eq!(client.message().await.topic, "t/x");
    assert_eq!(client.message().await.topic, "t/y");
    world.stop().await;
}

#[tokio::test]
async fn a_parent_is_not_matched_by_its_multi_level_wildcard() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    client.subscribe("t/#", QoS::AtLeastOnce).await;
    client.publish("t", "parent").await.unwrap();
    client.publish("t/child", "child").await.unwrap();
    assert_eq!(client.message().await.topic, "t/child");
    world.stop().await;
}

#[tokio::test]
async fn properties_travel_and_aliases_do_not() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    for topic in ["t", ""] {
        let mut publish = Publish::new(topic, "x");
        publish.properties.push(Property::TopicAlias(8));
        publish.properties.push(Property::UserProperty("k".into(), "v".into()));
        publish.properties.push(Property::MessageExpiryInterval(0));
        client.send(&Packet::Publish(publish)).await;
        let received = client.message().await;
        assert_eq!(received.topic, "t");
        assert_eq!(received.properties.topic_alias(), None);
        assert_eq!(received.properties.message_expiry(), Some(1));
        assert_eq!(received.properties.user_properties().count(), 1);
    }
    let mut publish = Publish::new("t", "x");
    publish.properties.push(Property::TopicAlias(9));
    client.send(&Packet::Publish(publish)).await;
    assert_eq!(client.closed().await, Some(ReasonCode::TOPIC_ALIAS_INVALID));
    world.stop().await;
}

#[tokio::test]
async fn retained_messages_are_given_to_exact_filters_only_and_removed_by_an_empty_one() {
    let mut world = World::start().await;
    let identity = world.identity(ALL).await;
    let retained = |payload: &'static str| {
        let mut publish = Publish::new("t/x", payload);
        publish.retain = true;
        Packet::Publish(publish)
    };
    let mut client = world.client(&identity, v5("a")).await;
    client.send(&retained("kept")).await;
    client.ping().await;
    assert_eq!(world.handle().retained_count(), 1);
    client.leave().await;
    world.restart().await;
    let mut client = world.client(&identity, v5("a")).await;
    client.subscribe("t/+", QoS::AtLeastOnce).await;
    client.subscribe("t/x", QoS::AtLeastOnce).await;
    let message = client.message().await;
    assert!(message.retain);
    assert_eq!(&message.payload[..], b"kept");
    client.send(&retained("")).await;
    let emptied = client.message().await;
    assert!(!emptied.retain && emptied.payload.is_empty());
    assert_eq!(world.handle().retained_count(), 0);
    world.stop().await;
}

#[tokio::test]
async fn limits_of_size_and_shape_end_the_connection_and_only_that() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let table = [
        (Publish::new("a", vec![0; 128 * 1024 + 1]), ReasonCode::QUOTA_EXCEEDED),
        (Publish::new("a", vec![0; 200 * 1024]), ReasonCode::PACKET_TOO_LARGE),
        (Publish::new("x".repeat(257), "x"), ReasonCode::TOPIC_NAME_INVALID),
        (Publish::new("a/b/c/d/e/f/g/h/i", "x"), ReasonCode::TOPIC_NAME_INVALID),
        (Publish::new("a/#", "x"), ReasonCode::TOPIC_NAME_INVALID),
        (Publish::new("$aws/events/presence/connected/a", "x"), ReasonCode::TOPIC_NAME_INVALID),
    ];
    let mut witness = world.client(&identity, v5("witness")).await;
    for (publish, reason) in table {
        let mut client = world.client(&identity, v5("a")).await;
        client.send(&Packet::Publish(publish)).await;
        assert_eq!(client.closed().await, Some(reason));
    }
    assert_eq!(witness.publish("a", vec![0; 128 * 1024]).await, Ok(ReasonCode::SUCCESS));
    world.stop().await;
}

#[tokio::test]
async fn qos_2_is_refused_in_version_5_and_met_with_silence_in_3_1_1() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let exactly_once = |id| {
        let mut publish = Publish::new("a", "x");
        publish.qos = QoS::ExactlyOnce;
        publish.packet_id = Some(id);
        Packet::Publish(publish)
    };
    let mut old = world.client(&identity, v311("old")).await;
    let id = old.id();
    old.send(&exactly_once(id)).await;
    old.ping().await;
    let mut new = world.client(&identity, v5("new")).await;
    let id = new.id();
    new.send(&exactly_once(id)).await;
    assert_eq!(new.closed().await, Some(ReasonCode::QOS_NOT_SUPPORTED));
    world.stop().await;
}

#[tokio::test]
async fn subscriptions_are_refused_one_by_one() {
    let world = World::with(|config| config.limits.subscriptions = 2).await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    let filters = ["ok", "bad#", "$share/g", "ok2", "ok3"];
    let packet = Packet::Subscribe(Subscribe {
        packet_id: client.id(),
        filters: filters.map(|filter| SubscribeFilter::new(filter, QoS::ExactlyOnce)).to_vec(),
        properties: Default::default(),
    });
    client.send(&packet).await;
    let Some(Packet::SubAck(ack)) = client.answer().await else {
        panic!("no SUBACK");
    };
    let expected = [
        ReasonCode::GRANTED_QOS_1,
        ReasonCode::TOPIC_FILTER_INVALID,
        ReasonCode::TOPIC_FILTER_INVALID,
        ReasonCode::GRANTED_QOS_1,
        ReasonCode::QUOTA_EXCEEDED,
    ];
    assert_eq!(ack.reasons, expected);
    let packet = Packet::Subscribe(Subscribe {
        packet_id: client.id(),
        filters: vec![SubscribeFilter::new("ok", QoS::AtMostOnce); 9],
        properties: Default::default(),
    });
    client.send(&packet).await;
    let Some(Packet::SubAck(ack)) = client.answer().await else {
        panic!("no SUBACK");
    };
    assert!(ack.reasons.iter().all(|reason| *reason == ReasonCode::QUOTA_EXCEEDED));
    world.stop().await;
}

#[tokio::test]
async fn subscriptions_are_events() {
    let world = World::start().await;
    let mut observer = world.observer("$aws/events/subscriptions/+/a").await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    client.subscribe("t/+", QoS::AtLeastOnce).await;
    let (topic, event) = observer.event().await;
    assert_eq!(topic, "$aws/events/subscriptions/subscribed/a");
    assert_eq!(event["topics"], serde_json::json!(["t/+"]));
    let packet = Packet::Unsubscribe(fleetkey_mqtt::Unsubscribe {
        packet_id: client.id(),
        filters: vec!["t/+".into(), "never".into()],
        properties: Default::default(),
    });
    client.send(&packet).await;
    let Some(Packet::UnsubAck(ack)) = client.answer().await else {
        panic!("no UNSUBACK");
    };
    assert_eq!(ack.reasons, [ReasonCode::SUCCESS; 2]);
    let (topic, event) = observer.event().await;
    assert_eq!(topic, "$aws/events/subscriptions/unsubscribed/a");
    assert_eq!(event["topics"], serde_json::json!(["t/+"]));
    world.stop().await;
}

#[tokio::test]
async fn publishes_over_the_rate_are_discarded() {
    let world = World::with(|config| config.limits.publishes_per_second = Some(3)).await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    let mut refused = 0;
    for _ in 0..8 {
        if client.publish("t", "x").await == Ok(ReasonCode::QUOTA_EXCEEDED) {
            refused += 1;
        }
    }
    assert!(refused > 0);
    client.ping().await;
    world.stop().await;
}

#[tokio::test]
async fn deliveries_over_the_rate_are_discarded_but_not_what_has_waited() {
    let world = World::with(|config| config.limits.deliveries_per_second = Some(5)).await;
    let identity = world.identity(ALL).await;
    let kept = || {
        let mut connect = v5("kept");
        connect.clean_start = false;
        connect.properties.push(Property::SessionExpiryInterval(600));
        connect
    };
    let mut client = world.client(&identity, kept()).await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    let mut publisher = world.client(&identity, v5("publisher")).await;
    for _ in 0..60 {
        assert_eq!(publisher.publish("t", "x").await, Ok(ReasonCode::SUCCESS));
    }
    let mut heard = 0;
    // Until its next second begins, as many as the machine sends: identifiers come round.
    'listening: loop {
        publisher.publish("t", "last").await.unwrap();
        client.ping().await;
        while !client.no_message() {
            if client.message().await.payload[..] == b"last"[..] {
                break 'listening;
            }
            heard += 1;
        }
    }
    assert!((5..60).contains(&heard), "{heard}");
    client.leave().await;
    until("it to be gone", || world.handle().connections().len() == 1).await;
    for _ in 0..60 {
        publisher.publish("t", "later").await.unwrap();
    }
    let mut client = world.client(&identity, kept()).await;
    let mut waited = 0;
    while waited < 60 {
        waited += u32::from(client.message().await.payload[..] == b"later"[..]);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_slow_consumer_of_qos_1_is_disconnected_and_its_neighbours_are_served() {
    let world = World::with(|config| config.limits.outbound_bytes = 64 * 1024).await;
    let identity = world.identity(ALL).await;
    let mut slow = world.client(&identity, v5("slow")).await;
    slow.auto_ack = false;
    slow.subscribe("t", QoS::AtLeastOnce).await;
    let mut publisher = world.client(&identity, v5("publisher")).await;
    for _ in 0..300 {
        assert_eq!(publisher.publish("t", vec![0; 1024]).await, Ok(ReasonCode::SUCCESS));
    }
    assert_eq!(slow.closed().await, Some(ReasonCode::QUOTA_EXCEEDED));
    publisher.ping().await;
    world.stop().await;
}

#[tokio::test]
async fn properties_count_among_the_bytes_that_wait_for_a_client() {
    let world = World::with(|config| config.limits.outbound_bytes = 64 * 1024).await;
    let identity = world.identity(ALL).await;
    let mut slow = world.client(&identity, v5("slow")).await;
    slow.auto_ack = false;
    slow.subscribe("t", QoS::AtLeastOnce).await;
    let mut publisher = world.client(&identity, v5("publisher")).await;
    for _ in 0..150 {
        let mut publish = Publish::new("t", "");
        publish.qos = QoS::AtLeastOnce;
        publish.packet_id = Some(publisher.id());
        publish.properties.push(Property::UserProperty("k".into(), "v".repeat(4096).into()));
        publisher.send(&Packet::Publish(publish)).await;
        assert!(matches!(publisher.answer().await, Some(Packet::PubAck(_))));
    }
    assert_eq!(slow.closed().await, Some(ReasonCode::QUOTA_EXCEEDED));
    world.stop().await;
}

#[tokio::test]
async fn properties_over_the_limit_end_the_connection() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let user = |bytes: usize| Property::UserProperty("k".into(), "v".repeat(bytes - 1).into());
    let table = [
        (vec![user(4096), user(4096)], vec![user(4096), user(4097)]),
        (
            vec![Property::ContentType("x".repeat(256).into())],
            vec![Property::ContentType("x".repeat(257).into())],
        ),
        (
            vec![Property::CorrelationData(vec![0; 8192].into())],
            vec![Property::CorrelationData(vec![0; 8193].into())],
        ),
    ];
    for (fits, exceeds) in table {
        let mut client = world.client(&identity, v5("a")).await;
        let publish = |properties: &[Property]| {
            let mut publish = Publish::new("t", "x");
            publish.properties = properties.iter().cloned().collect();
            Packet::Publish(publish)
        };
        client.send(&publish(&fits)).await;
        client.ping().await;
        client.send(&publish(&exceeds)).await;
        assert_eq!(client.closed().await, Some(ReasonCode::QUOTA_EXCEEDED));
    }
    world.stop().await;
}
