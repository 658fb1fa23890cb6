//! The messages that the session owns: those in flight in the order they were sent, then those waiting.

use std::collections::VecDeque;

use super::ids::PacketIds;
use super::message::{Outgoing, Token};
use crate::packet::Publish;
use crate::types::{PacketId, QoS};

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Sent at least once under its identifier and not answered.
    in_flight: VecDeque<(PacketId, Held)>,
    /// How many of them, from the front, were sent on the connection of the moment.
    sent: usize,
    waiting: VecDeque<Held>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    token: Token,
    message: Outgoing,
    /// Its bytes on the wire.
    size: usize,
    /// How often the broker has put it off.
    put_off: u32,
}

/// What to do next.
pub(super) enum Next {
    /// Send it; it stays here.
    Send(Publish),
    /// Send it; with that it is gone.
    SendOnce(Token, Publish),
    /// It cannot be sent on this connection, nor likely on another; it is gone.
    TooLarge(Token),
}

impl Outbox {
    pub(super) fn accept(&mut self, token: Token, message: Outgoing, size: usize) {
        self.bytes = self.bytes.saturating_add(size);
        self.waiting.push_back(Held { token, message, size, put_off: 0 });
    }

    pub(super) fn len(&self) -> usize {
        self.in_flight.len() + self.waiting.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// With the broker's session all identifiers hold; without it they are given back, and what was in flight
    /// waits again, in front.
    pub(super) fn connected(&mut self, session_present: bool, ids: &mut PacketIds) {
        self.sent = 0;
        if session_present {
            return;
        }
        while let Some((id, held)) = self.in_flight.pop_back() {
            ids.free(id);
            self.waiting.push_front(held);
        }
    }

    /// The next message: first again what an earlier connection had sent, then a new one unless paused.
    pub(super) fn next(
        &mut self,
        window: usize,
        max_packet: usize,
        paused: bool,
        ids: &mut PacketIds,
    ) -> Option<Next> {
        if self.sent < self.in_flight.len() {
            return self.again(window, max_packet, ids);
        }
        if paused {
            return None;
        }
        let first = self.waiting.front()?;
        if first.size > max_packet {
            let held = self.waiting.pop_front()?;
            return Some(Next::TooLarge(self.release(&held)));
        }
        match first.message.qos {
            QoS::AtMostOnce => {
                let held = self.waiting.pop_front()?;
                Some(Next::SendOnce(self.release(&held), held.message.packet(None, false)))
            }
            QoS::AtLeastOnce | QoS::ExactlyOnce => self.first_time(window, ids),
        }
    }

    /// The broker answered; the token of what it answered.
    pub(super) fn answered(&mut self, id: PacketId, ids: &mut PacketIds) -> Option<Token> {
        let place = self.in_flight.iter().position(|(other, _)| *other == id)?;
        self.remove(place, ids)
    }

    /// The broker took no more than its rate allows: the message waits again, before those that came after it, unless
    /// that has happened `most` times. Whether it does.
    pub(super) fn put_off(&mut self, id: PacketId, most: u32, ids: &mut PacketIds) -> bool {
        let place = self.in_flight.iter().position(|(other, held)| *other == id && held.put_off < most);
        let Some((id, mut held)) = place.and_then(|place| self.take(place)) else {
            return false;
        };
        ids.free(id);
        held.put_off = held.put_off.saturating_add(1);
        let place = self.waiting.partition_point(|other| other.token < held.token);
        self.waiting.insert(place, held);
        true
    }

    /// Without a connection no answer can come any more, so that an identifier that is given back meets none.
    pub(super) fn withdraw(&mut self, token: Token, connected: bool, ids: &mut PacketIds) -> bool {
        if let Some(place) = self.waiting.iter().position(|held| held.token == token) {
            return self.waiting.remove(place).map(|held| self.release(&held)).is_some();
        }
        let place = self.in_flight.iter().position(|(_, held)| held.token == token);
        let free = place.filter(|&place| !connected || place >= self.sent);
        free.and_then(|place| self.remove(place, ids)).is_some()
    }

    fn again(&mut self, window: usize, max_packet: usize, ids: &mut PacketIds) -> Option<Next> {
        if self.sent >= window {
            return None;
        }
        let (id, held) = self.in_flight.get(self.sent)?;
        if held.size > max_packet {
            return self.remove(self.sent, ids).map(Next::TooLarge);
        }
        let publish = held.message.packet(Some(*id), true);
        self.sent += 1;
        Some(Next::Send(publish))
    }

    fn first_time(&mut self, window: usize, ids: &mut PacketIds) -> Option<Next> {
        if self.in_flight.len() >= window {
            return None;
        }
        let id = ids.take()?;
        let held = self.waiting.pop_front()?;
        let publish = held.message.packet(Some(id), false);
        self.in_flight.push_back((id, held));
        self.sent += 1;
        Some(Next::Send(publish))
    }

    fn remove(&mut self, place: usize, ids: &mut PacketIds) -> Option<Token> {
        let (id, held) = self.take(place)?;
        ids.free(id);
        Some(self.release(&held))
    }

    fn take(&mut self, place: usize) -> Option<(PacketId, Held)> {
        let taken = self.in_flight.remove(place)?;
        if place < self.sent {
            self.sent -= 1;
        }
        Some(taken)
    }

    fn release(&mut self, held: &Held) -> Token {
        self.bytes = self.bytes.saturating_sub(held.size);
        held.token
    }
}
