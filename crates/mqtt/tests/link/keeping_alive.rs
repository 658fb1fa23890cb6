//! PINGREQ and death, in virtual time.

use fleetkey_mqtt::link::LinkError;
use fleetkey_mqtt::{Packet, Properties, Property, Version};
use tokio::time::Instant;

use super::{SECOND, connected, connected_with};

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_is_pinged_and_lives() {
    let (mut link, mut session, mut broker) = connected(Version::V5, 4096).await;
    let start = Instant::now();
    let pings = async {
        for number in 1..=3 {
            assert_eq!(broker.recv().await, Some(Packet::PingReq));
            assert_eq!(start.elapsed(), number * 30 * SECOND);
            broker.send(Packet::PingResp).await;
        }
    };
    tokio::select! {
        result = link.step(&mut session) => panic!("{result:?}"),
        () = pings => {}
    }
}

#[tokio::test(start_paused = true)]
async fn the_brokers_keep_alive_overrides() {
    let properties = Properties::new().with(Property::ServerKeepAlive(7));
    let (mut link, mut session, mut broker) = connected_with(Version::V5, 4096, properties).await;
    let start = Instant::now();
    tokio::select! {
        result = link.step(&mut session) => panic!("{result:?}"),
        packet = broker.recv() => assert_eq!(packet, Some(Packet::PingReq)),
    }
    assert_eq!(start.elapsed(), 7 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_answer_a_ping_is_dead() {
    let (mut link, mut session, _broker) = connected(Version::V311, 4096).await;
    let start = Instant::now();
    assert_eq!(link.step(&mut session).await, Err(LinkError::Dead));
    assert_eq!(start.elapsed(), 35 * SECOND);
    assert_eq!(link.step(&mut session).await, Err(LinkError::Dead), "and stays so");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_no_bytes_is_dead_and_memory_is_bounded() {
    let (mut link, mut session, _broker) = connected(Version::V5, 16).await;
    for _ in 0..100 {
        session.publish(super::message(&"x".repeat(10_000))).expect("room");
    }
    assert_eq!(link.step(&mut session).await, Err(LinkError::Dead));
    assert!(session.in_flight() < 10, "{} messages were taken out of the session", session.in_flight());
    assert_eq!(session.unacknowledged(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_not_read_is_not_dead() {
    let (mut link, mut session, mut broker) = connected(Version::V5, 64).await;
    link.pause_reading();
    let flood = async {
        for number in 0..100_u32 {
            broker.publish(&number.to_string(), None).await;
        }
    };
    let patience = async {
        tokio::select! {
            result = link.step(&mut session) => panic!("{result:?}"),
            () = tokio::time::sleep(300 * SECOND) => {}
        }
        link.resume_reading();
        let mut got = 0;
        while got < 100 {
            link.step(&mut session).await.expect("alive");
            got += super::happened(&mut session).len();
        }
    };
    tokio::join!(flood, patience);
}
