//! A connection whose answers are written down beforehand, for one exchange.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use fleetkey_mqtt::ReasonCode;

use crate::carrier::{Answers, Broken, Message, Requests};

/// The asking half: what it grants and how it takes a publish; it notes both.
pub(crate) struct Scripted {
    pub(crate) granted: ReasonCode,
    pub(crate) published: Result<(), Broken>,
    /// `None` while the PUBACK is out for ever.
    pub(crate) acknowledges: bool,
    pub(crate) log: Mutex<Vec<String>>,
}

impl Scripted {
    pub(crate) fn willing() -> Self {
        Self {
            granted: ReasonCode::GRANTED_QOS_1,
            published: Ok(()),
            acknowledges: true,
            log: Mutex::default(),
        }
    }
}

impl Requests for Scripted {
    async fn subscribe(&self, filters: &[String]) -> Result<Vec<ReasonCode>, Broken> {
        let asked = filters.iter().map(|filter| format!("subscribe {filter}"));
        self.log.lock().unwrap().extend(asked);
        Ok(vec![self.granted; filters.len()])
    }

    async fn publish(&self, topic: &str, _: Bytes) -> Result<(), Broken> {
        self.log.lock().unwrap().push(format!("publish {topic}"));
        if !self.acknowledges {
            std::future::pending::<()>().await;
        }
        self.published.clone()
    }
}

/// The listening half: these messages, then silence or the end of the connection.
pub(crate) struct Script {
    pub(crate) messages: VecDeque<Message>,
    pub(crate) ends: bool,
}

impl Script {
    pub(crate) fn of(messages: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let messages =
            messages.into_iter().map(|(topic, payload)| Message { topic, payload: payload.into() });
        Self { messages: messages.collect(), ends: false }
    }
}

impl Answers for Script {
    async fn next(&mut self) -> Option<Message> {
        match self.messages.pop_front() {
            Some(message) => Some(message),
            None if self.ends => None,
            None => std::future::pending().await,
        }
    }
}
