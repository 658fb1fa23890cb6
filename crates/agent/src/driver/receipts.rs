//! Who asked for something and waits to hear that a crash would not forget it: the broker for a PUBACK, whoever is at
//! the status socket for an answer. A wish whose receipt was never given is delivered again by the broker.

use fleetkey_mqtt::session::Ack;
use tokio::sync::oneshot;

/// How one who asked is told.
#[derive(Debug)]
pub(super) enum Receipt {
    /// The PUBACK of a command, which the live session gives.
    Broker(Ack),
    /// At the status socket.
    Socket(oneshot::Sender<Result<(), String>>),
}

/// So many may wait. A disk that takes no writes for a long time must not fill the memory; what is dropped here comes
/// again with the next connection.
const MOST: usize = 64;

/// The receipts that are owed.
#[derive(Debug, Default)]
pub(crate) struct Receipts(Vec<Receipt>);

impl Receipts {
    /// Somebody asked for something.
    pub(super) fn owe(&mut self, receipt: Receipt) {
        if self.0.len() < MOST {
            self.0.push(receipt);
        }
    }

    /// Everything that was asked for is durable: returns who is to be told.
    pub(super) fn due(&mut self) -> Vec<Receipt> {
        core::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_a_disk_that_takes_no_writes_for_long_does_not_fill_the_memory() {
        let mut receipts = Receipts::default();
        for _ in 0..1000 {
            receipts.owe(Receipt::Socket(oneshot::channel().0));
        }
        assert_eq!((receipts.due().len(), receipts.due().len()), (MOST, 0));
    }
}
