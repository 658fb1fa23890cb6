//! SUBSCRIBE and UNSUBSCRIBE: those to send, those unanswered, and the subscriptions that came of them.

use std::collections::VecDeque;

use super::error::ProtocolError;
use super::ids::PacketIds;
use super::message::{Event, Token};
use crate::codec::encoded_len;
use crate::packet::{Packet, PacketKind, SubAck, Subscribe, SubscribeFilter, UnsubAck, Unsubscribe};
use crate::property::Properties;
use crate::text::Text;
use crate::types::{PacketId, Version};

#[derive(Debug, Default)]
pub(super) struct Requests {
    queue: VecDeque<Request>,
    /// Sent on the connection of the moment, in order.
    unanswered: VecDeque<(PacketId, Request)>,
    /// What the broker granted, grouped as it was asked for.
    granted: Vec<Granted>,
}

#[derive(Debug, Clone)]
enum Request {
    Subscribe(Granted),
    Unsubscribe(Token, Vec<Text>),
}

#[derive(Debug, Clone)]
struct Granted {
    token: Token,
    filters: Vec<SubscribeFilter>,
}

impl Requests {
    pub(super) fn subscribe(&mut self, token: Token, filters: Vec<SubscribeFilter>) {
        self.queue.push_back(Request::Subscribe(Granted { token, filters }));
    }

    pub(super) fn unsubscribe(&mut self, token: Token, filters: Vec<Text>) {
        self.queue.push_back(Request::Unsubscribe(token, filters));
    }

    /// The broker lost its session: what it had granted is asked for again, before anything else.
    pub(super) fn subscribe_again(&mut self) {
        for granted in self.granted.drain(..).rev() {
            self.queue.push_front(Request::Subscribe(granted));
        }
    }

    /// Nobody will answer on that connection any more.
    pub(super) fn disconnected(&mut self, ids: &mut PacketIds) {
        while let Some((id, request)) = self.unanswered.pop_back() {
            ids.free(id);
            self.queue.push_front(request);
        }
    }

    /// Nothing is asked for any more, nor again. Late answers are answers to nothing.
    pub(super) fn clear(&mut self, ids: &mut PacketIds) {
        self.unanswered.drain(..).for_each(|(id, _)| ids.free(id));
        self.queue.clear();
        self.granted.clear();
    }

    pub(super) fn next(&mut self, ids: &mut PacketIds) -> Option<Packet> {
        self.queue.front()?;
        let id = ids.take()?;
        let request = self.queue.pop_front()?;
        let packet = request.packet(id);
        self.unanswered.push_back((id, request));
        Some(packet)
    }

    /// An answer to nothing is let pass.
    pub(super) fn subscribed(
        &mut self,
        ack: &SubAck,
        ids: &mut PacketIds,
    ) -> Result<Option<Event>, ProtocolError> {
        let is_subscribe = |request: &Request| matches!(request, Request::Subscribe(_));
        let Some(Request::Subscribe(granted)) = self.take(ack.packet_id, is_subscribe, ids) else {
            return Ok(None);
        };
        let (expected, got) = (granted.filters.len(), ack.reasons.len());
        if expected != got {
            return Err(ProtocolError::Reasons { packet: PacketKind::SubAck, expected, got });
        }
        let token = granted.token;
        let pairs = granted.filters.into_iter().zip(&ack.reasons);
        let filters: Vec<_> =
            pairs.filter(|(_, reason)| !reason.is_error()).map(|(filter, _)| filter).collect();
        self.forget(|filter| filters.iter().any(|new| new.filter == *filter));
        if !filters.is_empty() {
            self.granted.push(Granted { token, filters });
        }
        Ok(Some(Event::Subscribed(token, ack.reasons.clone())))
    }

    /// An answer to nothing is let pass.
    pub(super) fn unsubscribed(
        &mut self,
        ack: &UnsubAck,
        version: Version,
        ids: &mut PacketIds,
    ) -> Result<Option<Event>, ProtocolError> {
        let is_unsubscribe = |request: &Request| matches!(request, Request::Unsubscribe(..));
        let Some(Request::Unsubscribe(token, filters)) = self.take(ack.packet_id, is_unsubscribe, ids) else {
            return Ok(None);
        };
        let (expected, got) = (filters.len(), ack.reasons.len());
        if version == Version::V5 && expected != got {
            return Err(ProtocolError::Reasons { packet: PacketKind::UnsubAck, expected, got });
        }
        // MQTT 3.1.1 gives no reasons: all have ended.
        let mut reasons = ack.reasons.iter();
        let ended: Vec<_> =
            filters.into_iter().filter(|_| !reasons.next().is_some_and(|reason| reason.is_error())).collect();
        self.forget(|filter| ended.contains(filter));
        Ok(Some(Event::Unsubscribed(token)))
    }

    fn take(
        &mut self,
        id: PacketId,
        is_answered: impl Fn(&Request) -> bool,
        ids: &mut PacketIds,
    ) -> Option<Request> {
        let matches = |(other, request): &(PacketId, Request)| *other == id && is_answered(request);
        let place = self.unanswered.iter().position(matches)?;
        let (id, request) = self.unanswered.remove(place)?;
        ids.free(id);
        Some(request)
    }

    fn forget(&mut self, gone: impl Fn(&Text) -> bool) {
        for granted in &mut self.granted {
            granted.filters.retain(|filter| !gone(&filter.filter));
        }
        self.granted.retain(|granted| !granted.filters.is_empty());
    }
}

impl Request {
    fn packet(&self, packet_id: PacketId) -> Packet {
        let properties = Properties::new();
        match self {
            Self::Subscribe(Granted { filters, .. }) => {
                Packet::Subscribe(Subscribe { packet_id, filters: filters.clone(), properties })
            }
            Self::Unsubscribe(_, filters) => {
                Packet::Unsubscribe(Unsubscribe { packet_id, filters: filters.clone(), properties })
            }
        }
    }
}

/// Whether the filters can be written at all.
pub(super) fn can_subscribe(filters: &[SubscribeFilter]) -> bool {
    let packet =
        Subscribe { packet_id: PacketId::FIRST, filters: filters.to_vec(), properties: Properties::new() };
    encoded_len(&Packet::Subscribe(packet), Version::V5).is_ok()
}

/// Whether the filters can be written at all.
pub(super) fn can_unsubscribe(filters: &[Text]) -> bool {
    let packet =
        Unsubscribe { packet_id: PacketId::FIRST, filters: filters.to_vec(), properties: Properties::new() };
    encoded_len(&Packet::Unsubscribe(packet), Version::V5).is_ok()
}
