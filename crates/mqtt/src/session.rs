//! A client's session, without I/O: it lives across connections and owns every message until it is answered.
//!
//! The owner feeds it what a connection does and says ([`Session::connected`], [`Session::handle`],
//! [`Session::disconnected`]), sends what [`Session::poll_transmit`] gives, and acts on what
//! [`Session::poll_event`] tells. Keep alive, bytes and time are the link's.
//!
//! An accepted message is sent again until the broker answers, also when the broker lost its session, as it
//! does when a new certificate connects, an expired session returns or the client was taken over. So nothing is
//! lost and something may arrive twice: QoS 1. It lives in memory: what must outlive the process is kept by
//! its owner until [`Event::Delivered`].

use std::collections::VecDeque;

use crate::packet::{Packet, PubAck, Publish, SubscribeFilter};
use crate::reason::ReasonCode;
use crate::text::Text;
use crate::types::{QoS, Version};

mod error;
mod ids;
mod inbound;
mod message;
mod outbox;
mod requests;

pub use error::{OutboxError, ProtocolError};
pub use message::{Ack, Event, Incoming, Outgoing, SessionConfig, Token};

use ids::PacketIds;
use inbound::Inbound;
use outbox::{Next, Outbox};
use requests::Requests;

/// One client's session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    tokens: u64,
    ids: PacketIds,
    outbox: Outbox,
    requests: Requests,
    inbound: Inbound,
    events: VecDeque<Event>,
    connection: Option<Connection>,
    paused: bool,
    /// The broker has put a message off, and its owner has not said that time has passed.
    throttled: bool,
}

/// What is known of the connection of the moment.
#[derive(Debug, Clone, Copy)]
struct Connection {
    version: Version,
    window: usize,
    max_packet: usize,
}

impl Session {
    /// An empty session without a connection.
    pub fn new(config: SessionConfig) -> Self {
        Self {
            config,
            tokens: 0,
            ids: PacketIds::default(),
            outbox: Outbox::default(),
            requests: Requests::default(),
            inbound: Inbound::default(),
            events: VecDeque::new(),
            connection: None,
            paused: false,
            throttled: false,
        }
    }

    /// Takes a message. QoS 1: kept until [`Event::Delivered`] or [`Event::Refused`]. QoS 0: until it was
    /// handed to a connection, which is its [`Event::Delivered`]; after that it may be lost.
    ///
    /// # Errors
    /// When the outbox is full, or when no broker could take the message ([`OutboxError`]); it is not kept then.
    pub fn publish(&mut self, message: Outgoing) -> Result<Token, OutboxError> {
        let size = message.check()?;
        let limit = self.config.max_packet.min(self.config.outbox_bytes);
        if size > limit {
            return Err(OutboxError::TooLarge { size, limit });
        }
        if !self.has_room_for(size) {
            return Err(OutboxError::Full);
        }
        let token = self.token();
        self.outbox.accept(token, message, size);
        Ok(token)
    }

    /// Subscribes, now or when there is a connection, and again whenever the broker has lost its session.
    /// Each time [`Event::Subscribed`] tells the outcome. Filters that MQTT cannot carry are refused there too.
    pub fn subscribe(&mut self, filters: Vec<SubscribeFilter>) -> Token {
        let token = self.token();
        if requests::can_subscribe(&filters) {
            self.requests.subscribe(token, filters);
        } else {
            let reasons = vec![ReasonCode::TOPIC_FILTER_INVALID; filters.len()];
            self.events.push_back(Event::Subscribed(token, reasons));
        }
        token
    }

    /// Ends subscriptions; [`Event::Unsubscribed`] tells when it is done.
    pub fn unsubscribe(&mut self, filters: Vec<Text>) -> Token {
        let token = self.token();
        if requests::can_unsubscribe(&filters) {
            self.requests.unsubscribe(token, filters);
        } else {
            self.events.push_back(Event::Unsubscribed(token));
        }
        token
    }

    /// Asks for no subscription any more: neither for what is not answered nor, when the broker loses its session, for
    /// what it has granted. What it has granted goes on.
    pub fn forget_requests(&mut self) {
        self.requests.clear(&mut self.ids);
    }

    /// A connection was accepted. `receive_max` is the broker's Receive Maximum, 65535 where it names none.
    ///
    /// With its session present, what is unanswered goes out again under the same packet identifiers with DUP.
    /// Otherwise it goes out as new, under other identifiers, after the subscriptions have been made again.
    pub fn connected(&mut self, version: Version, session_present: bool, receive_max: u16) {
        self.disconnected();
        let window = self.config.max_in_flight.min(usize::from(receive_max)).max(1);
        self.connection = Some(Connection { version, window, max_packet: usize::MAX });
        self.inbound.connected(session_present);
        self.outbox.connected(session_present, &mut self.ids);
        if !session_present {
            self.requests.subscribe_again();
        }
    }

    /// The broker takes no packet of more bytes, on this connection (Maximum Packet Size of its CONNACK). Longer
    /// messages come back as [`Event::Refused`] with "packet too large" instead of breaking the connection.
    pub fn limit_packet_size(&mut self, bytes: usize) {
        if let Some(connection) = &mut self.connection {
            connection.max_packet = bytes;
        }
    }

    /// The connection is gone. Nothing is given up.
    pub fn disconnected(&mut self) {
        self.connection = None;
        self.requests.disconnected(&mut self.ids);
        self.inbound.disconnected();
    }

    /// Takes back a message that is not on its way on the connection of the moment: it will not be sent (again),
    /// and nothing more is told about it. Whether there was one to take back.
    pub fn withdraw(&mut self, token: Token) -> bool {
        self.outbox.withdraw(token, self.connection.is_some(), &mut self.ids)
    }

    /// Forgets which messages have come: another session has answered some of them on a connection with the same
    /// client id, so that an identifier seen here may name a new message by now. An [`Ack`] given before does
    /// nothing any more.
    pub fn forget_received(&mut self) {
        self.inbound.forget();
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Takes a packet of the broker. CONNACK and PINGRESP are the link's.
    ///
    /// # Errors
    /// When a broker may not send this to a client. The connection shall be closed then.
    pub fn handle(&mut self, packet: Packet) -> Result<(), ProtocolError> {
        let Some(connection) = self.connection else {
            return Err(ProtocolError::NotConnected);
        };
        match packet {
            Packet::Publish(publish) => self.receive(publish),
            Packet::PubAck(ack) => {
                self.answered(&ack);
                Ok(())
            }
            Packet::SubAck(ack) => {
                self.requests.subscribed(&ack, &mut self.ids).map(|event| self.tell(event))
            }
            Packet::UnsubAck(ack) => self
                .requests
                .unsubscribed(&ack, connection.version, &mut self.ids)
                .map(|event| self.tell(event)),
            Packet::PingResp => Ok(()),
            Packet::Disconnect(packet) if connection.version == Version::V5 => {
                self.events.push_back(Event::Disconnected(packet.reason));
                Ok(())
            }
            unexpected => Err(ProtocolError::Unexpected(unexpected.kind())),
        }
    }

    /// The next packet to send, in order; `None` without a connection or with nothing to send.
    pub fn poll_transmit(&mut self) -> Option<Packet> {
        let connection = self.connection?;
        if let Some(ack) = self.poll_acknowledgement() {
            return Some(ack);
        }
        if let Some(request) = self.requests.next(&mut self.ids) {
            return Some(request);
        }
        loop {
            let held = self.paused || self.throttled;
            match self.outbox.next(connection.window, connection.max_packet, held, &mut self.ids)? {
                Next::Send(publish) => return Some(Packet::Publish(publish)),
                Next::SendOnce(token, publish) => {
                    self.events.push_back(Event::Delivered(token));
                    return Some(Packet::Publish(publish));
                }
                Next::TooLarge(token) => {
                    self.events.push_back(Event::Refused(token, ReasonCode::PACKET_TOO_LARGE));
                }
            }
        }
    }

    /// The next PUBACK to send, and nothing else: for the last words of a connection.
    pub fn poll_acknowledgement(&mut self) -> Option<Packet> {
        self.connection?;
        self.inbound.next_ack().map(|id| Packet::PubAck(PubAck::new(id)))
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many events wait.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// Its consumer has the message; the broker is told so. An [`Ack`] of a message that the broker has since
    /// sent anew, or whose session it lost, does nothing.
    pub fn acknowledge(&mut self, ack: Ack) {
        self.inbound.acknowledge(ack);
    }

    /// Messages that were accepted and not answered yet, sent or not.
    pub fn unacknowledged(&self) -> usize {
        self.outbox.len()
    }

    /// QoS 1 messages that were sent and not answered yet.
    pub fn in_flight(&self) -> usize {
        self.outbox.in_flight()
    }

    /// Whether [`publish`](Self::publish) would take a message of that many bytes on the wire.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.outbox.len() < self.config.outbox_limit
            && self.outbox.bytes().saturating_add(bytes) <= self.config.outbox_bytes
    }

    /// Sends no further messages, so that what is in flight drains before a hand-over. They are still accepted.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Sends messages again.
    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// Sends messages again after [`Event::Throttled`].
    pub fn unthrottle(&mut self) {
        self.throttled = false;
    }

    fn token(&mut self) -> Token {
        self.tokens = self.tokens.wrapping_add(1);
        Token(self.tokens)
    }

    fn tell(&mut self, event: Option<Event>) {
        self.events.extend(event);
    }

    fn receive(&mut self, publish: Publish) -> Result<(), ProtocolError> {
        if publish.qos == QoS::ExactlyOnce {
            return Err(ProtocolError::ExactlyOnce);
        }
        // No link announces a Topic Alias Maximum, so that the broker may use none (MQTT 5 §3.1.2.11.5).
        if publish.properties.topic_alias().is_some() {
            return Err(ProtocolError::TopicAlias);
        }
        if publish.topic_has_wildcard() {
            return Err(ProtocolError::Wildcard);
        }
        let ack = match publish.packet_id {
            None => None,
            Some(id) => match self.inbound.received(id, publish.dup) {
                Some(ack) => Some(ack),
                None => return Ok(()),
            },
        };
        self.events.push_back(Event::Message(Incoming { publish, ack }));
        Ok(())
    }

    /// A PUBACK that answers nothing is let pass: a broker may answer twice what it was sent twice.
    fn answered(&mut self, ack: &PubAck) {
        let is_rate = ack.reason == ReasonCode::QUOTA_EXCEEDED;
        if is_rate && self.outbox.put_off(ack.packet_id, self.config.put_off, &mut self.ids) {
            if !std::mem::replace(&mut self.throttled, true) {
                self.events.push_back(Event::Throttled);
            }
            return;
        }
        let Some(token) = self.outbox.answered(ack.packet_id, &mut self.ids) else {
            return;
        };
        self.events.push_back(if ack.reason.is_error() {
            Event::Refused(token, ack.reason)
        } else {
            Event::Delivered(token)
        });
    }
}
