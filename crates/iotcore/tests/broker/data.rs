//! The data plane's REST API beside live MQTT clients.

use std::time::Duration;

use base64ct::{Base64, Encoding};
use fleetkey_iotcore::clock::Clock as _;
use fleetkey_mqtt::{Packet, Property, Publish, QoS, ReasonCode, Will};
use serde_json::json;

use crate::signed::{Request, ask, data};
use crate::support::{ALL, World, v5, v311};

fn b64(text: &str) -> String {
    Base64::encode_string(text.as_bytes())
}

/// Publish reaches subscribers with the properties of MQTT 5 that the request names.
#[tokio::test]
async fn a_message_published_over_http_reaches_subscribers() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    client.subscribe("t/x", QoS::AtLeastOnce).await;
    let target = "/topics/t%2Fx?qos=1&contentType=text%2Fplain&responseTopic=r&messageExpiry=60";
    let request = Request::new("POST", target)
        .header("x-amz-mqtt5-payload-format-indicator", "UTF8_DATA")
        .header("x-amz-mqtt5-correlation-data", &b64("id"))
        .header("x-amz-mqtt5-user-properties", &b64(r#"[{"k":"v"},{"k":"w"}]"#))
        .body("hello");
    let answer = data(&world, request).await.ok();
    assert_eq!(answer.json()["message"], "OK");
    let message = client.message().await;
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("t/x", &b"hello"[..]));
    assert_eq!(message.qos, QoS::AtLeastOnce);
    let properties = &message.properties;
    assert_eq!(properties.content_type().unwrap().as_str(), "text/plain");
    assert_eq!(properties.correlation_data().unwrap().as_ref(), b"id");
    assert_eq!(properties.message_expiry(), Some(60));
    assert_eq!(properties.user_properties().count(), 2);
    assert!(properties.iter().any(|property| *property == Property::PayloadFormatIndicator(1)));
    assert!(properties.iter().any(|property| *property == Property::ResponseTopic("r".into())));
    world.stop().await;
}

/// What AWS refuses of a publish is refused: wildcards, reserved topics, QoS 2, more than 128 KB.
#[tokio::test]
async fn a_bad_publish_is_refused() {
    let world = World::start().await;
    for target in [
        "/topics/a%2F%23",
        "/topics/a?qos=2",
        "/topics/%24aws%2Fevents%2Fx",
        "/topics/%24aws%2Frules%2Fr?retain=true",
    ] {
        let answer = ask(&world, "POST", target).await;
        assert_eq!((answer.status, answer.error()), (400, "InvalidRequestException"), "{target}");
        assert!(!answer.message().is_empty(), "a refusal says why: {target}");
    }
    let large = Request::new("POST", "/topics/a").body(vec![b'x'; 128 * 1024 + 1]);
    let answer = data(&world, large).await;
    assert_eq!((answer.status, answer.error()), (400, "InvalidRequestException"));
    assert!(answer.message().contains("at most 131072"), "{}", answer.message());
    let bad = Request::new("POST", "/topics/a").header("x-amz-mqtt5-user-properties", &b64("{}"));
    assert_eq!(data(&world, bad).await.status, 400);
    world.stop().await;
}

/// A retained message is described and listed page by page, survives a restart, and an empty one removes it.
#[tokio::test]
async fn retained_messages_are_described_and_listed() {
    let mut world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    for topic in ["r/1", "r/2", "r/3"] {
        let mut publish = Publish::new(topic, "kept");
        publish.retain = true;
        publish.properties.push(Property::UserProperty("k".into(), "v".into()));
        client.send(&Packet::Publish(publish)).await;
    }
    client.ping().await;
    let at = world.clock.now().as_millis();
    world.clock.advance(Duration::from_secs(1));
    world.restart().await;
    let answer = ask(&world, "GET", "/retainedMessage/r%2F2").await.ok().json();
    let expected = json!({"topic": "r/2", "payload": b64("kept"), "qos": 0, "lastModifiedTime": at,
        "userProperties": b64(r#"[{"k":"v"}]"#)});
    assert_eq!(answer, expected);
    let page = ask(&world, "GET", "/retainedMessage?maxResults=2").await.ok().json();
    let item = |topic: &str| json!({"topic": topic, "payloadSize": 4, "qos": 0, "lastModifiedTime": at});
    assert_eq!(page["retainedTopics"], json!([item("r/1"), item("r/2")]));
    let token = page["nextToken"].as_str().unwrap();
    let rest =
        ask(&world, "GET", &format!("/retainedMessage?maxResults=2&nextToken={token}")).await.ok().json();
    assert_eq!(rest, json!({"retainedTopics": [item("r/3")]}));
    ask(&world, "POST", "/topics/r%2F2?retain=true").await.ok();
    let answer = ask(&world, "GET", "/retainedMessage/r%2F2").await;
    assert_eq!((answer.status, answer.error()), (404, "ResourceNotFoundException"));
    world.stop().await;
}

/// Beyond the account's number nothing more is retained, and subscribers get the message all the same.
#[tokio::test]
async fn the_number_of_retained_messages_is_bounded() {
    let world = World::with(|config| config.limits.retained = 1).await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    client.subscribe("r/#", QoS::AtLeastOnce).await;
    for topic in ["r%2F1", "r%2F2", "r%2F1"] {
        let request = Request::new("POST", &format!("/topics/{topic}?retain=true")).body("x");
        data(&world, request).await.ok();
    }
    for _ in 0..3 {
        client.message().await;
    }
    assert_eq!(world.handle().retained_count(), 1);
    assert_eq!(ask(&world, "GET", "/retainedMessage/r%2F2").await.status, 404);
    world.stop().await;
}

/// GetConnection and ListSubscriptions tell of a live client, and GetConnection of its end.
#[tokio::test]
async fn a_connection_is_described_while_it_lives_and_after() {
    let world = World::start().await;
    let pump = world.device("pump").await;
    let mut connect = v311("pump");
    connect.clean_start = true;
    connect.keep_alive = 60;
    let mut client = world.client(&pump, connect).await;
    client.subscribe("device/pump/b", QoS::AtLeastOnce).await;
    client.subscribe("device/pump/a", QoS::AtMostOnce).await;
    let since = world.clock.now().as_millis();
    let answer = ask(&world, "GET", "/connections/pump?includeSocketInformation=true").await.ok().json();
    let expected = json!({"clientId": "pump", "connected": true, "cleanSession": true, "connectedSince": since,
        "thingName": "pump", "keepAliveDuration": 60, "sessionExpiry": 0, "sourceIp": "127.0.0.1"});
    assert_eq!(answer, expected);
    let page = ask(&world, "GET", "/connections/pump/subscriptions?maxResults=1").await.ok().json();
    assert_eq!(page["subscriptions"], json!([{"topicFilter": "device/pump/a", "qos": 0}]));
    let token = page["nextToken"].as_str().unwrap();
    let target = format!("/connections/pump/subscriptions?nextToken={token}");
    let rest = ask(&world, "GET", &target).await.ok().json();
    assert_eq!(rest, json!({"subscriptions": [{"topicFilter": "device/pump/b", "qos": 1}]}));
    client.leave().await;
    let answer = ask(&world, "GET", "/connections/pump").await.ok().json();
    assert_eq!(
        (&answer["connected"], &answer["disconnectReason"]),
        (&json!(false), &json!("CLIENT_INITIATED_DISCONNECT"))
    );
    assert_eq!(answer["disconnectedSince"], since);
    assert_eq!(ask(&world, "GET", "/connections/pump/subscriptions").await.status, 404);
    for (target, status) in [("/connections/nobody", 404), ("/connections/%24GEN", 400)] {
        assert_eq!(ask(&world, "GET", target).await.status, status, "{target}");
    }
    world.stop().await;
}

/// DeleteConnection cuts the client off, sends the will unless told not to, and with `cleanSession` ends its session.
#[tokio::test]
async fn deleting_a_connection_cuts_it_off() {
    let world = World::start().await;
    let mut observer = world.observer("#").await;
    let mut events = world.observer_as("events", "$aws/events/presence/disconnected/#").await;
    let identity = world.identity(ALL).await;
    for (query, will, present) in
        [("?preventWillMessage=true", false, true), ("?cleanSession=true", true, false)]
    {
        let connect = || {
            let mut connect = v5("pump");
            connect.clean_start = false;
            connect.properties.push(Property::SessionExpiryInterval(600));
            connect.will = Some(Will {
                topic: "will".into(),
                payload: query.into(),
                qos: QoS::AtLeastOnce,
                retain: false,
                properties: Default::default(),
            });
            connect
        };
        let mut client = world.client(&identity, connect()).await;
        ask(&world, "DELETE", &format!("/connections/pump{query}")).await.ok();
        assert_eq!(client.closed().await, Some(ReasonCode::ADMINISTRATIVE_ACTION));
        let (_, event) = events.event().await;
        assert_eq!(event["disconnectReason"], "API_INITIATED_DISCONNECT");
        observer.publish("marker", query).await.unwrap();
        let mut heard = vec![observer.message().await];
        if will {
            heard.push(observer.message().await);
        }
        assert_eq!(heard[0].topic, if will { "will" } else { "marker" });
        assert_eq!(heard.last().unwrap().topic, "marker");
        let (client, connack) = world.try_client(&identity, connect()).await.unwrap();
        assert_eq!(connack.session_present, present, "{query}");
        client.leave().await;
        events.event().await;
    }
    assert_eq!(ask(&world, "DELETE", "/connections/pump?cleanSession=true").await.status, 200);
    let answer = ask(&world, "DELETE", "/connections/pump").await;
    assert_eq!((answer.status, answer.error()), (404, "ResourceNotFoundException"));
    world.stop().await;
}
