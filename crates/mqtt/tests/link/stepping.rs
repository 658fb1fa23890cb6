//! What a step carries both ways, and how a connection ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use fleetkey_mqtt::link::{Link, LinkError};
use fleetkey_mqtt::session::{Event, ProtocolError, Session, SessionConfig};
use fleetkey_mqtt::{ConnAck, Disconnect, Packet, PacketKind, Properties, PubAck, ReasonCode, Version};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::time::timeout;

use super::{Broker, SECOND, connected, happened, message, options};

fn payloads(events: Vec<Event>) -> Vec<String> {
    let payload = |event| match event {
        Event::Message(incoming) => String::from_utf8(incoming.publish.payload.to_vec()).expect("text"),
        other => panic!("{other:?}"),
    };
    events.into_iter().map(payload).collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_is_delivered_when_the_broker_says_so() {
    let (mut link, mut session, mut broker) = connected(Version::V5, 4096).await;
    let token = session.publish(message("a")).expect("room");
    let answer = async {
        let publish = broker.recv_publish().await;
        broker.acknowledge(&publish, ReasonCode::SUCCESS).await;
    };
    let (result, ()) = tokio::join!(link.step(&mut session), answer);
    assert_eq!((result, happened(&mut session)), (Ok(()), vec![Event::Delivered(token)]));
}

#[tokio::test(start_paused = true)]
async fn what_comes_together_with_connack_is_not_lost() {
    let (near, far) = duplex(4096);
    let mut broker = Broker::new(far, Version::V5);
    let connack =
        ConnAck { session_present: true, reason: ReasonCode::SUCCESS, properties: Properties::new() };
    broker.send(Packet::ConnAck(connack)).await;
    broker.publish("early", Some(1)).await;
    let (mut link, connected) = Link::connect(near, &options(Version::V5), SECOND).await.expect("accepted");
    let mut session = Session::new(SessionConfig::default());
    connected.begin(&mut session);
    link.step(&mut session).await.expect("alive");
    assert_eq!(payloads(happened(&mut session)), ["early"]);
}

#[tokio::test(start_paused = true)]
async fn steps_cancelled_at_every_turn_lose_nothing_either_way() {
    let (mut link, mut session, mut broker) = connected(Version::V5, 7).await;
    let numbers: Vec<_> = (0..50).map(|number: u32| number.to_string()).collect();
    for number in &numbers {
        session.publish(message(number)).expect("room");
    }
    let echo = async {
        for number in &numbers {
            let publish = broker.recv_publish().await;
            assert_eq!(publish.payload, *number);
            broker.publish(number, None).await;
            broker.acknowledge(&publish, ReasonCode::SUCCESS).await;
        }
    };
    let cancelled = async {
        let (mut came, mut delivered) = (Vec::new(), 0);
        while delivered < numbers.len() {
            // Polled once and dropped.
            if let Ok(result) = timeout(std::time::Duration::ZERO, link.step(&mut session)).await {
                result.expect("alive");
            }
            for event in happened(&mut session) {
                match event {
                    Event::Delivered(_) => delivered += 1,
                    message => came.push(message),
                }
            }
            tokio::task::yield_now().await;
        }
        came
    };
    let (came, ()) = tokio::join!(cancelled, echo);
    assert_eq!(payloads(came), numbers);
}

#[tokio::test(start_paused = true)]
async fn events_that_wait_are_returned_before_more_is_read() {
    let (mut link, mut session, mut broker) = connected(Version::V5, 1 << 20).await;
    for number in 0..1000_u32 {
        broker.publish(&number.to_string(), None).await;
    }
    let mut got = 0;
    while got < 1000 {
        link.step(&mut session).await.expect("alive");
        let events = happened(&mut session).len();
        assert!((1..=64).contains(&events), "{events} events at once");
        got += events;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_before_the_end_is_heard() {
    let (mut link, mut session, mut broker) = connected(Version::V311, 4096).await;
    broker.publish("last", Some(1)).await;
    drop(broker);
    assert_eq!(link.step(&mut session).await, Ok(()));
    assert_eq!(payloads(happened(&mut session)), ["last"]);
    assert_eq!(link.step(&mut session).await, Err(LinkError::Closed));
}

#[tokio::test(start_paused = true)]
async fn the_brokers_reason_is_the_links_end_even_if_the_stream_breaks() {
    let (mut link, mut session, mut broker) = connected(Version::V5, 4096).await;
    broker.send(Packet::Disconnect(Disconnect::new(ReasonCode::SESSION_TAKEN_OVER))).await;
    drop(broker);
    session.publish(message("never read")).expect("room");
    assert_eq!(link.step(&mut session).await, Ok(()));
    assert_eq!(happened(&mut session), [Event::Disconnected(ReasonCode::SESSION_TAKEN_OVER)]);
    assert_eq!(link.step(&mut session).await, Err(LinkError::Disconnected(ReasonCode::SESSION_TAKEN_OVER)));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_breaks_the_protocol_is_told_and_left() {
    let (mut link, mut session, mut broker) = connected(Version::V5, 4096).await;
    broker.send(Packet::PingReq).await;
    let error = LinkError::Protocol(ProtocolError::Unexpected(PacketKind::PingReq));
    assert_eq!(link.step(&mut session).await, Err(error));
    assert_eq!(broker.recv().await, Some(Packet::Disconnect(Disconnect::new(ReasonCode::PROTOCOL_ERROR))));

    let (mut link, mut session, mut broker) = connected(Version::V5, 4096).await;
    broker.send_bytes(&[0x00, 0x00]).await;
    assert!(matches!(link.step(&mut session).await, Err(LinkError::Malformed(_))));
    assert_eq!(broker.recv().await, Some(Packet::Disconnect(Disconnect::new(ReasonCode::MALFORMED_PACKET))));
}

#[tokio::test(start_paused = true)]
async fn a_session_moves_to_another_link_and_loses_nothing() {
    let (mut old, mut session, mut old_broker) = connected(Version::V5, 4096).await;
    let tokens: Vec<_> = ["a", "b"].map(|text| session.publish(message(text)).expect("room")).into();
    let cut = async {
        old_broker.recv_publish().await;
        drop(old_broker);
    };
    let (end, ()) = tokio::join!(old.step(&mut session), cut);
    assert_eq!(end, Err(LinkError::Closed));

    let (near, far) = duplex(4096);
    let mut broker = Broker::new(far, Version::V5);
    let options = options(Version::V5);
    let (link, _) = tokio::join!(Link::connect(near, &options, SECOND), broker.accept(Properties::new()));
    let (mut link, connected) = link.expect("accepted");
    connected.begin(&mut session);
    let answer = async {
        for _ in 0..2 {
            let publish = broker.recv_publish().await;
            broker.acknowledge(&publish, ReasonCode::SUCCESS).await;
        }
    };
    let deliver = async {
        let mut delivered = Vec::new();
        while delivered.len() < 2 {
            link.step(&mut session).await.expect("alive");
            delivered.extend(happened(&mut session));
        }
        delivered
    };
    let (delivered, ()) = tokio::join!(deliver, answer);
    assert!(delivered.into_iter().eq(tokens.into_iter().map(Event::Delivered)));
}

#[tokio::test(start_paused = true)]
async fn the_last_words_are_acknowledgements_and_disconnect() {
    let (mut link, mut session, mut broker) = connected(Version::V5, 4096).await;
    broker.publish("a", Some(9)).await;
    link.step(&mut session).await.expect("alive");
    for event in happened(&mut session) {
        let Event::Message(incoming) = event else { panic!("{event:?}") };
        session.acknowledge(incoming.ack.expect("QoS 1"));
    }
    session.publish(message("for the next connection")).expect("room");
    link.disconnect(&mut session, ReasonCode::DISCONNECT_WITH_WILL).await.expect("written");
    let id = fleetkey_mqtt::PacketId::new(9).expect("not 0");
    assert_eq!(broker.recv().await, Some(Packet::PubAck(PubAck::new(id))));
    let disconnect = Packet::Disconnect(Disconnect::new(ReasonCode::DISCONNECT_WITH_WILL));
    assert_eq!(broker.recv().await, Some(disconnect));
    assert_eq!(broker.recv().await, None);
}

/// Counts writes.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_written_at_once() {
    let (near, far) = duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let mut broker = Broker::new(far, Version::V5);
    let options = options(Version::V5);
    let connect = Link::connect(Counted(near, Arc::clone(&writes)), &options, SECOND);
    let (link, _) = tokio::join!(connect, broker.accept(Properties::new()));
    let (mut link, connected) = link.expect("accepted");
    let mut session = Session::new(SessionConfig::default());
    connected.begin(&mut session);
    for number in 0..100_u32 {
        session.publish(message(&number.to_string())).expect("room");
    }
    writes.store(0, Ordering::Relaxed);
    assert!(timeout(SECOND, link.step(&mut session)).await.is_err(), "nothing happens");
    assert_eq!(writes.load(Ordering::Relaxed), 1);
}
