//! How the rest of the broker reaches one connection: a wake-up, an order to close, a request to look again at
//! its rights, and answers that were made elsewhere. The connection's own task does everything else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetkey_mqtt::Packet;
use tokio::sync::Notify;

use super::close::Close;

/// Reaches a connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Unique within this run of the broker.
    pub(crate) id: u64,
    notify: Notify,
    inbox: Mutex<Inbox>,
}

/// What was left for the connection since it last looked.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// The order to close, if there is one; it stays.
    pub(crate) close: Option<Close>,
    /// Whether its certificate or attachments have changed.
    pub(crate) recheck: bool,
    /// Answers to be sent.
    pub(crate) answers: Vec<Answer>,
}

/// An answer that the connection owes its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) packet: Packet,
    /// The batch of the sessions file that must be durable first.
    pub(crate) after: Option<u64>,
    /// How often it is sent: 1, unless a fault says otherwise.
    pub(crate) copies: usize,
}

impl Link {
    pub(crate) fn new(id: u64) -> Arc<Self> {
        Arc::new(Self { id, notify: Notify::new(), inbox: Mutex::default() })
    }

    /// Tells the connection to look at its session and its inbox.
    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    /// Resolves after the next [`Link::wake`], or at once when there was one since the last call.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }

    /// Orders the connection to close; the first order stands.
    pub(crate) fn close(&self, close: Close) {
        self.inbox().close.get_or_insert(close);
        self.wake();
    }

    /// Asks the connection to make sure that it may still be there.
    pub(crate) fn recheck(&self) {
        self.inbox().recheck = true;
        self.wake();
    }

    /// Leaves an answer to be sent.
    pub(crate) fn answer(&self, answer: Answer) {
        self.inbox().answers.push(answer);
        self.wake();
    }

    /// Empties the inbox, except for the order to close.
    pub(crate) fn take(&self) -> Inbox {
        let mut inbox = self.inbox();
        let close = inbox.close;
        std::mem::replace(&mut *inbox, Inbox { close, ..Inbox::default() })
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_order_to_close_stands_and_wakes() {
        let link = Link::new(1);
        link.close(Close::TAKEN_OVER);
        link.close(Close::SHUTDOWN);
        link.woken().await;
        assert_eq!(link.take().close, Some(Close::TAKEN_OVER));
        assert_eq!(link.take().close, Some(Close::TAKEN_OVER));
    }
}
