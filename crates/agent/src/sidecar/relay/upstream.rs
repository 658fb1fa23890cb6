//! Packets of the broker.

use fleetkey_mqtt::{
    Disconnect, Packet, PacketId, PacketKind, PubAck, Publish, QoS, ReasonCode, SubAck, UnsubAck,
};

use super::downward::Arrival;
use super::ending::Upstream;
use super::upward::Origin;
use super::{Action, LinkId, Loss, Relay, Report, Standing, Unpublished};

impl Relay {
    pub(super) fn on_link_packet(&mut self, id: LinkId, packet: Packet) {
        let now = self.now;
        if self.next.as_ref().is_some_and(|next| next.id == id) {
            return self.on_connecting_packet(packet);
        }
        let serves = match self.serving.as_mut().filter(|serving| serving.id == id) {
            Some(serving) => {
                serving.keep_alive.heard(now);
                true
            }
            None if self.parted.as_ref().is_some_and(|parted| parted.id == id) => false,
            None => return,
        };
        match packet {
            Packet::Publish(publish) => self.on_delivery(id, publish, serves),
            Packet::PubAck(ack) => self.on_message_answered(&ack),
            Packet::SubAck(ack) => self.on_subscribed(ack),
            Packet::UnsubAck(ack) => self.on_unsubscribed(ack),
            Packet::PingResp => {}
            Packet::Disconnect(disconnect) if serves => self.on_farewell(id, &disconnect),
            Packet::Disconnect(_) => {}
            other if serves => self.break_off(id, &format!("the broker sent {}", other.kind())),
            _ => {}
        }
    }

    fn on_delivery(&mut self, link: LinkId, publish: Publish, serves: bool) {
        if publish.qos == QoS::ExactlyOnce || publish.properties.topic_alias().is_some() {
            return self
                .break_off(link, "the broker sent a message that it was not asked for: QoS 2, or an alias");
        }
        // A link that has been ended may still bring what was for the client before.
        if self.client.as_ref().is_none_or(|client| client.stage != Standing::Served) {
            return;
        }
        match self.downward.arrive(publish, serves) {
            Arrival::Taken => {}
            Arrival::Answered(ack) => self.send(link, Packet::PubAck(ack)),
            Arrival::Overflow => self.expel(ReasonCode::QUOTA_EXCEEDED, "it leaves too much unread"),
        }
    }

    /// Only now may the client hear of it.
    fn on_message_answered(&mut self, ack: &PubAck) {
        let Some((origin, _)) = self.upward.answered(PacketKind::Publish, ack.packet_id) else {
            return;
        };
        self.pace.note(self.now);
        self.fruitless = 0;
        let ack_of = |packet_id: PacketId| PubAck { packet_id, ..ack.clone() };
        match origin {
            Origin::Client(own) => self.answer(Packet::PubAck(ack_of(own))),
            Origin::Exactly(own) => {
                if !ack.reason.is_error() {
                    self.memory.received.insert(own);
                }
                self.answer(Packet::PubRec(ack_of(own)));
            }
            Origin::Agent(token) => {
                let refused = ack.reason.is_error();
                let outcome = if refused { Err(Unpublished::Refused(ack.reason)) } else { Ok(()) };
                self.report(Report::Published(token, outcome));
            }
        }
    }

    fn on_subscribed(&mut self, ack: SubAck) {
        if self.restored(&ack) {
            return;
        }
        let answered = self.upward.answered(PacketKind::Subscribe, ack.packet_id);
        if let Some((Origin::Client(own), Packet::Subscribe(asked))) = answered {
            self.fruitless = 0;
            self.memory.subscriptions.granted(&asked, &ack);
            self.answer(Packet::SubAck(SubAck { packet_id: own, ..ack }));
        }
    }

    fn on_unsubscribed(&mut self, ack: UnsubAck) {
        let answered = self.upward.answered(PacketKind::Unsubscribe, ack.packet_id);
        if let Some((Origin::Client(own), Packet::Unsubscribe(asked))) = answered {
            self.fruitless = 0;
            self.memory.subscriptions.ended(&asked, &ack);
            self.answer(Packet::UnsubAck(UnsubAck { packet_id: own, ..ack }));
        }
    }

    /// Whether the answer is to a subscription that was made again, which the client knows nothing of. One that is
    /// refused now cannot be kept from it.
    fn restored(&mut self, ack: &SubAck) -> bool {
        let Some(serving) = &mut self.serving else {
            return false;
        };
        let Some(place) = serving.restoring.iter().position(|id| *id == ack.packet_id) else {
            return false;
        };
        serving.restoring.remove(place);
        let done = serving.restoring.is_empty();
        if let Some(reason) = ack.reasons.iter().find(|reason| reason.is_error()) {
            let why = format!("a subscription that the client has is refused: {reason}");
            self.not_restored(*reason, &why);
        } else if done {
            self.resume();
        }
        true
    }

    /// The broker says why it closes. Who took the client id will not give it back for our asking; everything else is
    /// tried again first.
    fn on_farewell(&mut self, id: LinkId, disconnect: &Disconnect) {
        if disconnect.reason == ReasonCode::SESSION_TAKEN_OVER {
            self.say_goodbye(disconnect.reason);
            return self.end_session(Upstream::Gone, "another client took the thing's client id");
        }
        self.act(Action::Close(id));
        self.on_link_gone(id, &Loss::Broken(format!("the broker disconnected: {}", disconnect.reason)));
    }

    /// Gives a link up. In case the broker lives, the client has not died.
    pub(super) fn break_off(&mut self, id: LinkId, why: &str) {
        self.act(Action::Send(id, Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))));
        self.act(Action::Close(id));
        self.on_link_gone(id, &Loss::Broken(why.to_owned()));
    }
}
