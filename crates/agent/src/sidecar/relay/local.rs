//! Packets of the local client. What the broker would close the connection over closes the client's instead: sent
//! again on every link, it would end them all.

use fleetkey_mqtt::{
    ConnAck, Connect, Disconnect, Packet, PacketId, PubAck, Publish, QoS, ReasonCode, SubAck, Version,
};

use super::ending::{Farewell, Upstream};
use super::links::Next;
use super::{Action, Client, LocalId, Relay, Report, Standing};

impl Relay {
    /// One client at a time: the same again takes its own place, another is refused while it is taken. One without a
    /// client id is no other's equal.
    pub(super) fn on_connect(&mut self, id: LocalId, connect: Box<Connect>) {
        if let Some(client) = &self.client {
            let (before, there) = (client.id, !matches!(client.stage, Standing::Leaving { .. }));
            if there && client.name != connect.client_id {
                let why =
                    format!("{:?} is connected already, and this is {:?}", client.name, connect.client_id);
                let refusal = ConnAck::refused(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
                self.act(Action::ToClient(id, Packet::ConnAck(refusal)));
                self.act(Action::CloseClient(id));
                return self.report(Report::Turned { why });
            }
            self.act(Action::CloseClient(before));
            self.on_client_gone(before);
        }
        if let Some((unheard, _)) = self.newcomer.replace((id, connect)) {
            self.act(Action::CloseClient(unheard));
        }
    }

    /// Takes the client that waits, if its place is free. Whether it did.
    pub(super) fn welcome(&mut self) -> bool {
        if self.newcomer.is_some() && self.next.as_ref().is_some_and(Next::is_idle_purge) {
            self.call_off();
        }
        if self.client.is_some() || self.next.is_some() {
            return false;
        }
        let Some((id, mut connect)) = self.newcomer.take() else {
            return false;
        };
        let mut name = connect.client_id.clone();
        if name.bytes().is_empty() {
            // Nobody had this name before, so it has no session either.
            name = format!("auto-{:016x}", self.random()).as_str().into();
            connect.clean_start = true;
        }
        let extended = connect.properties.authentication_method().is_some();
        let (stage, heard) = (Standing::Asking, self.now);
        self.client = Some(Client { id, connect: *connect, name, stage, offer: None, heard });
        match self.target {
            _ if extended => {
                self.turn_away(ReasonCode::BAD_AUTHENTICATION_METHOD, "it asks for extended authentication");
            }
            None => self.turn_away(ReasonCode::SERVER_UNAVAILABLE, "the device has no identity yet"),
            Some(slot) => self.begin_first(slot),
        }
        true
    }

    pub(super) fn on_client_packet(&mut self, id: LocalId, packet: Packet) {
        let now = self.now;
        let Some(client) = self.client.as_mut().filter(|client| client.id == id) else {
            return;
        };
        client.heard = now;
        if client.stage != Standing::Served {
            return;
        }
        match packet {
            Packet::Publish(publish) => self.on_message(publish),
            Packet::PubAck(ack) => self.on_client_ack(ack),
            Packet::PubRel(release) => self.on_release(&release),
            Packet::Subscribe(subscribe) => {
                let id = subscribe.packet_id;
                self.on_request(id, Packet::Subscribe(subscribe));
            }
            Packet::Unsubscribe(unsubscribe) => {
                let id = unsubscribe.packet_id;
                self.on_request(id, Packet::Unsubscribe(unsubscribe));
            }
            Packet::PingReq => self.act(Action::ToClient(id, Packet::PingResp)),
            Packet::Disconnect(disconnect) => self.depart(Farewell::Said(disconnect)),
            other => self.expel(ReasonCode::PROTOCOL_ERROR, &format!("it sent {}", other.kind())),
        }
    }

    pub(super) fn on_malformed(&mut self, id: LocalId, reason: ReasonCode, why: &str) {
        let served = |client: &Client| client.id == id && client.stage == Standing::Served;
        if self.client.as_ref().is_some_and(served) {
            self.expel(reason, why);
        } else {
            self.on_client_gone(id);
        }
    }

    pub(super) fn on_client_gone(&mut self, id: LocalId) {
        if self.newcomer.as_ref().is_some_and(|(newcomer, _)| *newcomer == id) {
            self.newcomer = None;
            return;
        }
        match self.client.as_ref().filter(|client| client.id == id).map(|client| &client.stage) {
            Some(Standing::Asking) => {
                self.end_session(Upstream::Cut, "the client has gone before it was served");
            }
            Some(Standing::Served) => self.depart(Farewell::Died),
            Some(Standing::Leaving { .. }) | None => {}
        }
    }

    fn on_message(&mut self, publish: Publish) {
        if let Some(reason) = self.unsendable(&publish) {
            return self.expel(
                reason,
                &format!("its message to {:?} cannot be sent: {reason}", publish.topic.as_str()),
            );
        }
        if publish.qos == QoS::ExactlyOnce && self.repeats(&publish) {
            return;
        }
        if let Some(id) = publish.packet_id.filter(|id| self.upward.is_busy(*id)) {
            return self.on_busy(id, publish.dup);
        }
        let packet = Packet::Publish(publish);
        match self.refusal(&packet) {
            Some(reason) => self.refuse_message(&packet, reason),
            None => self.upward.push(packet),
        }
    }

    /// A QoS 2 message that the broker has already: the client has missed our PUBREC.
    fn repeats(&mut self, publish: &Publish) -> bool {
        let Some(id) = publish.packet_id.filter(|id| self.memory.received.contains(id)) else {
            return false;
        };
        self.answer(Packet::PubRec(PubAck::new(id)));
        true
    }

    /// An identifier that is in use already: the same again, on its way as it is, or a client that lost count.
    fn on_busy(&mut self, id: PacketId, dup: bool) {
        if !dup {
            self.expel(ReasonCode::PROTOCOL_ERROR, &format!("it used packet identifier {id} twice"));
        }
    }

    fn on_request(&mut self, id: PacketId, packet: Packet) {
        if self.upward.is_busy(id) {
            return self.on_busy(id, false);
        }
        match (self.refusal(&packet), &packet) {
            (Some(reason), Packet::Subscribe(subscribe)) => {
                let answer = SubAck {
                    packet_id: id,
                    reasons: vec![reason; subscribe.filters.len()],
                    properties: fleetkey_mqtt::Properties::new(),
                };
                self.answer(Packet::SubAck(answer));
            }
            _ => self.upward.push(packet),
        }
    }

    /// The client has a message: the broker may know.
    fn on_client_ack(&mut self, ack: PubAck) {
        let can_tell = self.serving.is_some();
        if let (Some(told), Some(serving)) = (self.downward.acknowledged(ack, can_tell), &self.serving) {
            let link = serving.id;
            self.send(link, Packet::PubAck(told));
        }
    }

    fn on_release(&mut self, release: &PubAck) {
        let known = self.memory.received.remove(&release.packet_id);
        let reason = if known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND };
        self.answer(Packet::PubComp(PubAck::with_reason(release.packet_id, reason)));
    }

    /// What no broker of the kind takes.
    fn unsendable(&self, publish: &Publish) -> Option<ReasonCode> {
        if publish.properties.topic_alias().is_some() {
            Some(ReasonCode::TOPIC_ALIAS_INVALID)
        } else if publish.topic_has_wildcard() || publish.topic.bytes().is_empty() {
            Some(ReasonCode::TOPIC_NAME_INVALID)
        } else if publish.payload.len() > self.settings.max_payload {
            Some(ReasonCode::PACKET_TOO_LARGE)
        } else {
            None
        }
    }

    /// What this broker has offered to take before, and does not now.
    fn refusal(&self, packet: &Packet) -> Option<ReasonCode> {
        let client = self.client.as_ref()?;
        let offer = self.serving.as_ref().map(|serving| serving.offer).or(client.offer)?;
        let size = fleetkey_mqtt::codec::encoded_len(packet, client.connect.version).unwrap_or(usize::MAX);
        offer.refuses(packet, size)
    }

    /// Answers a message that would end the link. MQTT 3.1.1 has no word for it.
    fn refuse_message(&mut self, packet: &Packet, reason: ReasonCode) {
        let Packet::Publish(publish) = packet else { return };
        let five = self.client.as_ref().is_some_and(|client| client.connect.version == Version::V5);
        let answer =
            publish.packet_id.map(|id| PubAck::with_reason(id, ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR));
        match (answer, publish.qos) {
            (Some(answer), QoS::AtLeastOnce) if five => self.answer(Packet::PubAck(answer)),
            (Some(answer), QoS::ExactlyOnce) if five => self.answer(Packet::PubRec(answer)),
            (None, _) => self.upward.dropped += 1,
            (Some(_), _) => self.expel(reason, &format!("its message is not taken: {reason}")),
        }
    }

    pub(super) fn answer(&mut self, packet: Packet) {
        if let Some(id) = self.client.as_ref().filter(|one| one.stage == Standing::Served).map(|one| one.id) {
            self.act(Action::ToClient(id, packet));
        }
    }

    /// Ends a client that breaks the rules, as a broker would: its will is published.
    pub(super) fn expel(&mut self, reason: ReasonCode, why: &str) {
        self.say_goodbye(reason);
        self.report(Report::Expelled { why: why.to_owned() });
        self.depart(Farewell::Died);
    }

    /// The last words to a client, and the end of its connection.
    pub(super) fn say_goodbye(&mut self, reason: ReasonCode) {
        let Some(client) = &self.client else { return };
        let (id, five) = (client.id, client.connect.version == Version::V5);
        if five && client.stage == Standing::Served {
            self.act(Action::ToClient(id, Packet::Disconnect(Disconnect::new(reason))));
        }
        self.act(Action::CloseClient(id));
    }
}
