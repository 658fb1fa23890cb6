//! What the session has to tell: acknowledgements to callers, messages to whoever they are for.

use fleetkey_mqtt::ReasonCode;
use fleetkey_mqtt::session::{Event, Incoming, Token};

use tokio::time::{Duration, Instant};

use super::task::Live;
use super::{LiveEvent, LiveSettings};
use crate::carrier::Message;
use crate::way_back;

/// How long nothing is published after the broker has put a message off: its rates are by the second (quotas).
const THROTTLED: Duration = Duration::from_secs(1);

impl Live {
    /// Handles what the session has to tell after a step.
    pub(super) async fn take_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Delivered(token) => self.replies.published(token, None),
                Event::Refused(token, reason) => self.replies.published(token, Some(reason)),
                Event::Throttled => self.throttled_until = Some(Instant::now() + THROTTLED),
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
        if self.base == token {
            self.deaf = reasons.iter().any(|reason| reason.is_error());
            if self.deaf {
                tracing::warn!(?reasons, "the policy does not let this thing hear commands and answers");
            }
        }
        self.replies.subscribed(token, reasons);
    }

    /// A message is acknowledged once whoever it is for has it; a command once a restart would not forget it.
    async fn on_message(&mut self, incoming: Incoming) {
        let message = Message::from(incoming.publish);
        match self.settings.read(&message) {
            Some(LiveEvent::Command { command, .. }) => {
                return self.report(LiveEvent::Command { command, ack: incoming.ack }).await;
            }
            Some(event) => self.report(event).await,
            None => self.replies.deliver(&message),
        }
        if let Some(ack) = incoming.ack {
            self.session.acknowledge(ack);
        }
    }
}

impl LiveSettings {
    /// The command or answer in a message; `None` when it is something else.
    pub(super) fn read(&self, message: &Message) -> Option<LiveEvent> {
        let read = if message.topic == self.commands && way_back::is_one(&message.payload) {
            // For those who listen for it.
            return None;
        } else if message.topic == self.commands {
            serde_json::from_slice(&message.payload).map(|command| LiveEvent::Command { command, ack: None })
        } else if message.topic == self.answers {
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
