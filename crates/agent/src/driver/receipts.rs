//! Who asked for something and waits to hear that it will not be forgotten: the broker for a PUBACK, whoever is at the
//! status socket for an answer.
//!
//! The machine makes a wish durable with the next record that it writes. So a receipt is given when a record that was
//! begun after the wish is on the disk, or when the machine has nothing to write while the disk takes writes: then
//! the wish was met or noted before. A wish whose receipt was never given is delivered again by the broker.

use fleetkey_mqtt::session::Ack;
use tokio::sync::oneshot;

/// How one who asked is told.
#[derive(Debug)]
pub(super) enum Receipt {
    /// The PUBACK of a command, which the live session gives.
    Broker(Ack),
    /// At the status socket.
    Socket(oneshot::Sender<()>),
}

/// So many may wait. A disk that takes no writes for a long time must not fill the memory; what is dropped here comes
/// again with the next connection.
const MOST: usize = 64;

/// The receipts that are owed.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    /// Each with whether the record that is being written was begun after it.
    owed: Vec<(Receipt, bool)>,
}

impl Receipts {
    /// Somebody asked for something just now.
    pub(super) fn owe(&mut self, receipt: Receipt) {
        if self.owed.len() < MOST {
            self.owed.push((receipt, false));
        }
    }

    /// A record is on its way to the disk.
    pub(super) fn writing(&mut self) {
        self.owed.iter_mut().for_each(|(_, carried)| *carried = true);
    }

    /// It is there, or not: returns who is to be told.
    pub(super) fn written(&mut self, durable: bool) -> Vec<Receipt> {
        if durable {
            return self.owed.extract_if(.., |(_, carried)| *carried).map(|(receipt, _)| receipt).collect();
        }
        self.owed.iter_mut().for_each(|(_, carried)| *carried = false);
        Vec::new()
    }

    /// There is nothing to write, and the disk takes writes: returns who is to be told.
    pub(super) fn idle(&mut self) -> Vec<Receipt> {
        self.owed.drain(..).map(|(receipt, _)| receipt).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(receipts: &mut Receipts) -> oneshot::Receiver<()> {
        let (told, waits) = oneshot::channel();
        receipts.owe(Receipt::Socket(told));
        waits
    }

    fn tell(receipts: Vec<Receipt>) {
        for receipt in receipts {
            if let Receipt::Socket(told) = receipt {
                let _ = told.send(());
            }
        }
    }

    #[test]
    fn only_a_record_that_was_begun_after_the_wish_and_is_durable_is_a_reason_to_tell() {
        let mut receipts = Receipts::default();
        let mut early = ask(&mut receipts);
        receipts.writing();
        let mut late = ask(&mut receipts);
        tell(receipts.written(true));
        assert_eq!((early.try_recv(), late.try_recv().is_err()), (Ok(()), true));
        receipts.writing();
        tell(receipts.written(false));
        tell(receipts.written(true));
        assert!(late.try_recv().is_err(), "the record that failed carried it");
        receipts.writing();
        tell(receipts.written(true));
        assert_eq!(late.try_recv(), Ok(()));
    }

    #[test]
    fn a_disk_that_takes_no_writes_for_long_does_not_fill_the_memory() {
        let mut receipts = Receipts::default();
        let waiting: Vec<_> = (0..1000).map(|_| ask(&mut receipts)).collect();
        assert_eq!(receipts.idle().len(), MOST);
        drop(waiting);
    }
}
