//! What the client sends: decoding, and which part of the connection deals with it.

use std::time::Duration;

use fleetkey_mqtt::{Disconnect, Limits, Packet, PubAck, ReasonCode, Version, decode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::broker::{Broker, Close};

impl Broker {
    /// What the decoder takes.
    pub(super) fn packet_limits(&self) -> Limits {
        Limits { max_packet: self.limits.packet_bytes }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Deals with the packets that have come in whole.
    pub(super) fn consume(&mut self) -> Result<(), Close> {
        let limits = self.broker.packet_limits();
        while self.may_read() {
            match decode(&mut self.wire.inbox, self.version, &limits) {
                Ok(Some(packet)) => self.handle(packet)?,
                Ok(None) => break,
                Err(error) => {
                    tracing::info!(client = %self.info.client_id, %error, "protocol violation");
                    return Err(Close::violation(error.reason()));
                }
            }
        }
        Ok(())
    }

    fn handle(&mut self, packet: Packet) -> Result<(), Close> {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubAck(ack) => {
                self.on_puback(&ack);
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.on_subscribe(&subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                self.on_unsubscribe(&unsubscribe);
                Ok(())
            }
            Packet::PingReq => {
                self.send(&Packet::PingResp);
                Ok(())
            }
            Packet::Disconnect(disconnect) => Err(self.on_disconnect(&disconnect)),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp
            | Packet::Auth(_) => {
                tracing::info!(client = %self.info.client_id, packet = ?packet.kind(), "packet out of place");
                Err(Close::violation(ReasonCode::PROTOCOL_ERROR))
            }
        }
    }

    /// Refusals count as acknowledgements: the client has had the message (MQTT 5 §4.4).
    fn on_puback(&mut self, ack: &PubAck) {
        let acknowledged = self.session.lock().acknowledge(&self.link, ack.packet_id);
        match acknowledged {
            Some(message) => self.settle(&message),
            None => tracing::debug!(client = %self.info.client_id, id = %ack.packet_id, "PUBACK for nothing"),
        }
    }

    fn on_disconnect(&mut self, disconnect: &Disconnect) -> Close {
        if self.version == Version::V5
            && let Some(seconds) = disconnect.properties.session_expiry()
        {
            let was_zero = !self.session.lock().is_persistent();
            if was_zero && seconds > 0 {
                // MQTT 5 §3.14.2.2.2: a session that was to end with the connection cannot be prolonged now.
                return Close::violation(ReasonCode::PROTOCOL_ERROR);
            }
            let longest = self.broker.limits.session_expiry;
            self.final_expiry = Some(Duration::from_secs(u64::from(seconds)).min(longest));
        }
        let mut close = Close::BY_CLIENT;
        close.will = disconnect.reason != ReasonCode::NORMAL_DISCONNECTION;
        close
    }
}
