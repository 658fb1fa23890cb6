//! The way back from a rotation that the fleet's operator takes back: a command on the device's topic
//! ([`WayBack`]) becomes the very order that `rollback` on the status socket gives, if the device is where it says.
//!
//! Whoever sends it watches with which certificate the device connects, and sends it again: nothing is noted here.
//! Not here: what going back means, and when there is no way (`fleetkey_lifecycle::machine`).

use fleetkey_lifecycle::Status;
use fleetkey_lifecycle::event::Offline;
use fleetkey_lifecycle::status::StateName;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::retirement::WayBack;
use tokio::sync::{mpsc, oneshot, watch};

use crate::carrier::Message;
use crate::driver::{Order, Ordered};

/// Whether a payload is such a command.
pub(crate) fn is_one(payload: &[u8]) -> bool {
    serde_json::from_slice::<WayBack>(payload).is_ok()
}

/// Obeys the commands among these messages, until there are no more.
pub(crate) async fn obey(
    mut messages: mpsc::Receiver<Message>,
    orders: mpsc::WeakSender<Ordered>,
    status: watch::Receiver<Status>,
) {
    while let Some(message) = messages.recv().await {
        let Ok(WayBack::Rollback { from }) = serde_json::from_slice(&message.payload) else {
            continue;
        };
        let fits = weigh(&status.borrow(), &from);
        match fits.map(|()| orders.upgrade()) {
            Ok(Some(orders)) => order(&orders, &from).await,
            Ok(None) => return,
            Err(why) => tracing::info!(from = from.short(), why, "no way back was taken"),
        }
    }
}

/// Whether the command is about what the device does now.
fn weigh(status: &Status, from: &CertificateId) -> Result<(), &'static str> {
    if status.certificate.as_ref() != Some(from) {
        return Err("another certificate is in use");
    }
    // A rotation under way, or what an operator has staged, is not what was to be taken back.
    if status.state != StateName::Soak || status.held {
        return Err("it does not soak: there is no way back from it");
    }
    if status.going_back { Err("the device is on its way back already") } else { Ok(()) }
}

async fn order(orders: &mpsc::Sender<Ordered>, from: &CertificateId) {
    let (noted, note) = oneshot::channel();
    let ordered = Ordered { order: Order::Offline(Offline::Rollback), noted: Some(noted) };
    if orders.send(ordered).await.is_err() {
        return;
    }
    match note.await {
        Ok(Ok(())) => tracing::info!(from = from.short(), "the device goes back, by command"),
        Ok(Err(why)) => tracing::info!(from = from.short(), why, "no way back was taken"),
        // The agent stops.
        Err(_) => {}
    }
}
