//! QoS 1 messages that came and have not been acknowledged: which are new, which come again.

use std::collections::{BTreeMap, VecDeque};

use super::message::Ack;
use crate::types::PacketId;

#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// Rises with each connection.
    connection: u64,
    messages: BTreeMap<PacketId, Message>,
    /// Consumed, and PUBACK is to be sent on the connection of the moment.
    acks: VecDeque<PacketId>,
}

#[derive(Debug)]
struct Message {
    /// The connection that the consumer's [`Ack`] names.
    connection: u64,
    /// Whether it came, for the first time or again, by the connection of the moment.
    here: bool,
    /// Whether its consumer has it.
    consumed: bool,
}

impl Inbound {
    /// With the broker's session, identifiers go on meaning what they meant.
    pub(super) fn connected(&mut self, session_present: bool) {
        self.connection = self.connection.wrapping_add(1);
        if !session_present {
            self.messages.clear();
        }
    }

    pub(super) fn forget(&mut self) {
        self.messages.clear();
        self.acks.clear();
    }

    pub(super) fn disconnected(&mut self) {
        self.acks.clear();
        self.messages.values_mut().for_each(|message| message.here = false);
    }

    /// A message came. The right to acknowledge it, or `None` when the consumer was given it already.
    ///
    /// On one connection an identifier that is not acknowledged cannot name another message, so that it comes
    /// again (AWS sends it again with DUP clear). By a later connection it is the same with DUP alone: a broker
    /// that numbers anew must not have a message taken for another.
    pub(super) fn received(&mut self, id: PacketId, dup: bool) -> Option<Ack> {
        if let Some(known) = self.messages.get_mut(&id).filter(|known| known.here || dup) {
            let returned = !known.here;
            known.here = true;
            if returned && known.consumed {
                self.acks.push_back(id);
            }
            return None;
        }
        let connection = self.connection;
        self.messages.insert(id, Message { connection, here: true, consumed: false });
        Some(Ack { id, connection })
    }

    /// The consumer has it. Answered at once if it came by this connection, else when it comes again.
    pub(super) fn acknowledge(&mut self, ack: Ack) {
        let Some(message) = self.messages.get_mut(&ack.id) else {
            return;
        };
        if message.connection != ack.connection || message.consumed {
            return;
        }
        message.consumed = true;
        if message.here {
            self.acks.push_back(ack.id);
        }
    }

    /// The next PUBACK. Only with it the message is forgotten.
    pub(super) fn next_ack(&mut self) -> Option<PacketId> {
        let id = self.acks.pop_front()?;
        self.messages.remove(&id);
        Some(id)
    }
}
