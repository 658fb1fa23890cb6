//! HTTPS publish on the ALPN port, with a certificate and without a signature.

use fleetkey_mqtt::{QoS, ReasonCode};
use rustls::version::TLS13;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{ALL, Identity, World, soon};

/// What a device may publish over HTTPS, and nothing else: not even connect.
const PUBLISH: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish",
    "Resource":"arn:aws:iot:us-east-1:123456789012:topic/in/*"}}"#;

/// Sends one request and reads status and body.
async fn send(world: &World, identity: &Identity, line: &str, body: &str) -> (u16, Value) {
    let port = world.handle().ports().alpn;
    let mut stream = world.tls_to(port, Some(identity), &["x-amzn-http-ca"], &[&TLS13]).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes without close_notify has answered all the same.
    let _ = soon("an answer", stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

/// A certificate whose policy allows it publishes without connecting; rules see its principal and no client id.
#[tokio::test]
async fn a_certificate_publishes_over_https() {
    let world = crate::rules::world().await;
    let mut listener = world.observer("#").await;
    let sql = "SELECT principal() AS p, clientid() AS c FROM 'in/+'";
    crate::rules::create(&world, "r", crate::rules::rule(sql, "out")).await;
    let device = world.identity(PUBLISH).await;
    let (status, body) = send(&world, &device, "POST /topics/in%2Fa?qos=1", "hello").await;
    assert_eq!((status, &body["message"]), (200, &json!("OK")));
    let message = listener.message().await;
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("in/a", &b"hello"[..]));
    assert_eq!(message.qos, QoS::AtLeastOnce);
    let result: Value = serde_json::from_slice(&listener.message().await.payload).unwrap();
    assert_eq!(result, json!({"p": device.id.to_string(), "c": "n/a"}));
    world.stop().await;
}

/// What the policy forbids, what is no publish, and a certificate that is not ACTIVE are refused.
#[tokio::test]
async fn what_is_not_allowed_over_https_is_refused() {
    let world = World::start().await;
    let mut listener = world.observer("#").await;
    let device = world.identity(PUBLISH).await;
    for (line, expected) in [
        ("POST /topics/other", 403),
        ("POST /topics/in/a?retain=true", 403),
        ("POST /topics/in/a?qos=2", 400),
        ("GET /topics/in/a", 405),
        ("GET /things", 404),
    ] {
        assert_eq!(send(&world, &device, line, "x").await.0, expected, "{line}");
    }
    let inactive = world.identity(ALL).await;
    let status = fleetkey_model::certificate::CertificateStatus::Inactive;
    world.handle().account().update_certificate(&inactive.id, status).await.unwrap();
    assert_eq!(send(&world, &inactive, "POST /topics/a", "x").await.0, 403);
    assert_eq!(listener.publish("marker", "").await, Ok(ReasonCode::SUCCESS));
    assert_eq!(listener.message().await.topic, "marker");
    world.stop().await;
}
