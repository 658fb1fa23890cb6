//! What the session has to tell: acknowledgements to callers, messages to whoever they are for.

use fleetkey_mqtt::ReasonCode;
use fleetkey_mqtt::session::{Event, Incoming, Token};

use super::task::Live;
use super::{LiveEvent, PublishError};
use crate::carrier::Message;

impl Live {
    /// Handles what the session has to tell after a step.
    pub(super) async fn take_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Delivered(token) => self.replies.published(token, Ok(())),
                Event::Refused(token, reason) => {
                    self.replies.published(token, Err(PublishError::Refused(reason)));
                }
                Event::Message(incoming) => self.on_message(incoming).await,
                Event::Subscribed(token, reasons) => self.on_subscribed(token, reasons),
                Event::Unsubscribed(_) => {}
                Event::Disconnected(reason) => {
                    if let Some(up) = &mut self.up {
                        up.said = Some(reason);
                    }
                }
            }
        }
    }

    fn on_subscribed(&mut self, token: Token, reasons: Vec<ReasonCode>) {
        if self.base == token && reasons.iter().any(|reason| reason.is_error()) {
            tracing::warn!(?reasons, "the policy does not let this thing hear commands and answers");
        }
        self.replies.subscribed(token, reasons);
    }

    /// A message is acknowledged once whoever it is for has it.
    async fn on_message(&mut self, incoming: Incoming) {
        let message =
            Message { topic: incoming.publish.topic.to_string(), payload: incoming.publish.payload };
        match self.read(&message) {
            Some(event) => self.report(event).await,
            None => self.replies.deliver(&message),
        }
        if let Some(ack) = incoming.ack {
            self.session.acknowledge(ack);
        }
    }

    fn read(&self, message: &Message) -> Option<LiveEvent> {
        let read = if message.topic == self.settings.commands {
            serde_json::from_slice(&message.payload).map(LiveEvent::Command)
        } else if message.topic == self.settings.answers {
            serde_json::from_slice(&message.payload).map(LiveEvent::Answer)
        } else {
            return None;
        };
        match read {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::warn!(topic = message.topic, %error, "passed over a message that does not read");
                None
            }
        }
    }
}
