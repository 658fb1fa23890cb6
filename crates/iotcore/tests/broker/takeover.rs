//! One client id, two connections: the newer one has it.

use fleetkey_mqtt::{QoS, ReasonCode};

use crate::support::{ALL, DEVICE, World, until, v5, v311};

#[tokio::test]
async fn the_newer_connection_takes_the_client_id_and_the_older_is_told_so() {
    let world = World::start().await;
    let mut observer = world.observer("$aws/events/presence/+/a").await;
    let identity = world.identity(ALL).await;
    let mut old = world.client(&identity, v5("a")).await;
    let (_, first) = observer.event().await;
    let mut new = world.client(&identity, v5("a")).await;
    assert_eq!(old.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
    new.ping().await;
    // AWS promises no order between the two events.
    let events = [observer.event().await.1, observer.event().await.1];
    let gone = events.iter().find(|event| event["eventType"] == "disconnected").unwrap();
    let came = events.iter().find(|event| event["eventType"] == "connected").unwrap();
    assert_eq!(gone["disconnectReason"], "DUPLICATE_CLIENTID");
    assert_eq!(gone["sessionIdentifier"], first["sessionIdentifier"]);
    assert_ne!(came["sessionIdentifier"], first["sessionIdentifier"]);
    assert!(came["versionNumber"].as_u64() > first["versionNumber"].as_u64());
    let mine = |info: &fleetkey_iotcore::ConnectionInfo| info.client_id.as_str() == "a";
    until("one connection of the id", || world.handle().connections().into_iter().filter(mine).count() == 1)
        .await;
    world.stop().await;
}

#[tokio::test]
async fn a_refused_candidate_leaves_the_live_session_untouched() {
    let world = World::start().await;
    let live = world.device("pump").await;
    let stranger = world.identity(DEVICE).await;
    let mut client = world.client(&live, v5("pump")).await;
    let before = world.handle().connections();
    let (_, connack) = world.try_client(&stranger, v5("pump")).await.unwrap();
    assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
    client.ping().await;
    assert_eq!(world.handle().connections(), before);
    world.stop().await;
}

#[tokio::test]
async fn a_new_certificate_takes_over_the_session_with_all_that_waits_in_it() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let renewed = world.identity(ALL).await;
    let persistent = || {
        let mut connect = v311("a");
        connect.clean_start = false;
        connect
    };
    let mut old = world.client(&identity, persistent()).await;
    old.auto_ack = false;
    old.subscribe("t", QoS::AtLeastOnce).await;
    let mut publisher = world.client(&identity, v5("publisher")).await;
    for payload in ["1", "2", "3"] {
        assert_eq!(publisher.publish("t", payload).await, Ok(ReasonCode::SUCCESS));
    }
    assert_eq!(&old.message().await.payload[..], b"1");
    let (mut new, connack) = world.try_client(&renewed, persistent()).await.unwrap();
    assert!(connack.session_present);
    for payload in ["1", "2", "3"] {
        let message = new.message().await;
        assert_eq!(&message.payload[..], payload.as_bytes());
        assert!(!message.dup, "AWS sends again without DUP");
    }
    assert_eq!(old.closed_after_messages().await, None);
    world.stop().await;
}

#[tokio::test]
async fn an_operator_can_disconnect_a_client() {
    let world = World::start().await;
    let mut observer = world.observer("$aws/events/presence/disconnected/a").await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    let id = fleetkey_model::name::ClientId::new("a").unwrap();
    assert!(world.handle().disconnect(&id));
    assert_eq!(client.closed().await, Some(ReasonCode::ADMINISTRATIVE_ACTION));
    let (_, event) = observer.event().await;
    assert_eq!(event["disconnectReason"], "API_INITIATED_DISCONNECT");
    until("nobody to be there", || !world.handle().disconnect(&id)).await;
    world.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    let (_, reason) = tokio::join!(world.stop(), client.closed());
    assert_eq!(reason, Some(ReasonCode::SERVER_SHUTTING_DOWN));
}

#[tokio::test]
async fn where_sessions_do_not_survive_a_change_of_certificate_the_new_one_starts_empty() {
    let world = World::with(|config| config.switches.session_survives_certificate_change = false).await;
    let (identity, renewed) = (world.identity(ALL).await, world.identity(ALL).await);
    let persistent = || {
        let mut connect = v311("a");
        connect.clean_start = false;
        connect
    };
    let mut old = world.client(&identity, persistent()).await;
    old.subscribe("t", QoS::AtLeastOnce).await;
    old.vanish().await;
    let (mut back, connack) = world.try_client(&identity, persistent()).await.unwrap();
    back.auto_ack = false;
    assert!(connack.session_present, "the same certificate finds its session");
    let mut publisher = world.client(&identity, v5("publisher")).await;
    publisher.publish("t", "waits").await.unwrap();
    let (mut new, connack) = world.try_client(&renewed, persistent()).await.unwrap();
    assert!(!connack.session_present);
    back.closed().await;
    publisher.publish("t", "nobody listens").await.unwrap();
    new.subscribe("t", QoS::AtLeastOnce).await;
    publisher.publish("t", "heard").await.unwrap();
    assert_eq!(&new.message().await.payload[..], b"heard", "neither what waited nor what came before");
    world.stop().await;
}
