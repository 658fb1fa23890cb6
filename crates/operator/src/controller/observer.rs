//! Whoever wants to know what the controller hears and does: metrics, an inventory, a feed for people.

use fleetkey_model::time::Timestamp;

use super::action::{Event, Report};

/// Is told in the order of events. A call comes between two steps of the controller, so it must be short.
pub trait Observer: Send + Sync {
    /// The controller has heard this, and is about to draw conclusions.
    fn heard(&self, now: Timestamp, event: &Event);

    /// The controller has this to tell.
    fn told(&self, now: Timestamp, report: &Report);
}
