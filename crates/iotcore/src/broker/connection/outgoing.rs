//! What the client is sent: answers in their order, and the messages that wait in its session.

use fleetkey_mqtt::QoS;
use fleetkey_policy::Action;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, HIGH_WATER};
use crate::broker::Close;
use crate::broker::message::{Form, encode_own};
use crate::broker::session::Outgoing;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Sends the answers whose promises are durable, up to the first that is not.
    pub(super) fn send_answers(&mut self) -> Result<(), Close> {
        if self.answers.is_empty() {
            return Ok(());
        }
        let progress = *self.durable.borrow_and_update();
        while let Some(answer) = self.answers.front() {
            if answer.after.is_some_and(|batch| batch > progress.durable) {
                return if progress.failed { Err(Close::STORAGE_FAILED) } else { Ok(()) };
            }
            for _ in 0..answer.copies {
                encode_own(&answer.packet, self.version, &mut self.wire.outbox);
            }
            self.answers.pop_front();
        }
        self.answers.shrink_to(8);
        Ok(())
    }

    /// Sends what waits in the session, as far as the client's window and its reading allow.
    pub(super) fn deliver(&mut self) {
        while self.wire.outbox.len() < HIGH_WATER {
            let next = self.session.lock().next(&self.link);
            let Some((id, waiting)) = next else { return };
            let now = self.broker.now();
            let sent = !waiting.message.is_expired(now) && self.may_receive(&waiting) && {
                let form = Form { version: self.version, qos: waiting.qos, retain: waiting.retain };
                let message = &waiting.message;
                let written = message.write(form, id, now, self.max_packet, &mut self.wire.outbox);
                written.is_some()
            };
            if sent {
                continue;
            }
            // Expired, denied, or larger than the client takes: it is as if the client had had it.
            if let Some(id) = id {
                self.session.lock().acknowledge(&self.link, id);
                self.settle(&waiting);
            }
        }
    }

    /// `iot:Receive` is asked at every delivery (Developer Guide, iot-policy-actions).
    fn may_receive(&mut self, waiting: &Outgoing) -> bool {
        if waiting.direct && !self.broker.switches().receive_for_direct_answers {
            return true;
        }
        match &waiting.share {
            Some(share) => self.rights.allow(Action::Receive, &share.topic(&waiting.message.topic)),
            None => self.rights.allow(Action::Receive, &waiting.message.topic),
        }
    }

    /// Removes a message that the client has had from the sessions file.
    pub(super) fn settle(&self, message: &Outgoing) {
        debug_assert!(message.qos != QoS::AtMostOnce || message.stored.is_none());
        if let Some(number) = message.stored {
            self.broker.sessions.remove_message(&self.session.key, number);
        }
    }
}
