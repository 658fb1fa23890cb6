//! What tests of the relay share.

use std::time::Duration;

use super::{QueueLimits, Settings};

/// Settings with AWS's numbers and short queues.
pub(crate) fn settings() -> Settings {
    Settings {
        client_id: "thing".into(),
        keep_alive: 30,
        ping_timeout: Duration::from_secs(10),
        spacing: Duration::from_secs(1),
        drain: Duration::from_millis(500),
        part: Duration::from_millis(250),
        connect: Duration::from_secs(5),
        max_hold: Duration::from_secs(10),
        reconnect_cap: Duration::from_secs(5),
        window: 100,
        rate: 0,
        queue: QueueLimits { quality_zero: 20, bytes: 6_000 },
        filters_per_subscribe: 8,
        expiry_floor: 300,
        max_payload: 128 * 1024,
        max_packet: 146 * 1024,
    }
}
