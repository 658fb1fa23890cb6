//! `POST /_fleetkey/reset` as connected clients meet it.

use fleetkey_mqtt::{Connect, Packet, Property, Publish, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{ALL, World, until, v5, v311};

/// Clients are cut, their sessions and retained messages gone, their certificates unknown.
#[tokio::test]
async fn a_reset_cuts_clients_and_forgets_sessions_and_retained_messages() {
    let mut world = World::with(|config| config.rest.allow_reset = true).await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, kept(v5("a"))).await;
    client.subscribe("t/+", QoS::AtLeastOnce).await;
    let mut other = world.client(&identity, v5("b")).await;
    let mut retained = Publish::new("r", "kept");
    retained.retain = true;
    other.send(&Packet::Publish(retained)).await;
    other.ping().await;
    assert_eq!(world.handle().retained_count(), 1);
    reset(&world).await;
    assert!(client.closed().await.is_some());
    until("everything to be gone", || {
        world.handle().session_count() == 0
            && world.handle().retained_count() == 0
            && world.handle().connections().is_empty()
    })
    .await;
    assert!(world.try_client(&identity, v311("a")).await.is_err());
    world.restart().await;
    assert_eq!((world.handle().session_count(), world.handle().retained_count()), (0, 0));
    world.stop().await;
}

fn kept(mut connect: Connect) -> Connect {
    connect.properties.push(Property::SessionExpiryInterval(600));
    connect
}

async fn reset(world: &World) {
    let mut stream = TcpStream::connect(("127.0.0.1", world.handle().ports().rest.unwrap())).await.unwrap();
    let request = "POST /_fleetkey/reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}
