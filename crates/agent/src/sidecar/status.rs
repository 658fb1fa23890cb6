//! What the sidecar tells: its state, for `status`, and what happens, as events.

use fleetkey_lifecycle::SlotId;
use fleetkey_model::certificate::CertificateId;
use serde::{Deserialize, Serialize};

use super::relay::Resumed;

/// The state of the sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SidecarStatus {
    /// Where clients come in: `tcp 127.0.0.1:1883`, `unix /run/…`.
    pub listen: Vec<String>,
    /// The client that is connected.
    pub client: Option<ClientStatus>,
    /// The slot whose identity its link to the broker has, and that identity's certificate.
    pub slot: Option<SlotId>,
    /// The certificate that the broker has accepted for it: the answer to "which certificate is the live connection on?"
    pub certificate: Option<CertificateId>,
    /// Whether the client is held: its link is changing hands or was lost.
    pub held: bool,
    /// Packets of the client that wait for a link, and that wait for the broker's answer.
    pub waiting_up: usize,
    /// See [`Self::waiting_up`].
    pub unanswered_up: usize,
    /// Messages that wait for the client, and that wait for its answer.
    pub waiting_down: usize,
    /// See [`Self::waiting_down`].
    pub unanswered_down: usize,
    /// Subscriptions that would be made again.
    pub subscriptions: usize,
    /// QoS 0 messages that were dropped because too much waited, either way, since the start.
    pub dropped: u64,
    /// Moves to another identity since the start.
    pub moves: u64,
    /// Links that were lost without our doing, since the start.
    pub losses: u64,
    /// The last move, or the last recovery of a lost link.
    pub last: Option<MoveStatus>,
}

/// A local client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// The client id that it gave; up there it is the thing's name.
    pub id: String,
    /// `3.1.1` or `5`.
    pub version: String,
    /// Where it came from.
    pub peer: String,
}

/// How a client was served again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveStatus {
    /// The slot whose identity it is served with.
    pub slot: SlotId,
    /// How long it was held, in milliseconds.
    pub held_ms: u64,
    /// Whether the broker still had its session.
    pub session_present: bool,
    /// Packets sent again.
    pub repeated: usize,
    /// Subscriptions made again.
    pub resubscribed: usize,
}

/// What happens in the sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum SidecarEvent {
    /// A client is served.
    Serving {
        /// With which slot's identity.
        slot: SlotId,
        /// Whether the broker had a session for it.
        session_present: bool,
    },
    /// A client was not taken.
    Turned {
        /// Why.
        why: String,
    },
    /// The client's link has moved to another identity; its own connection has stayed.
    Moved(MoveStatus),
    /// It has not: the identity before serves.
    NotMoved {
        /// The slot that was asked for.
        slot: SlotId,
        /// Why.
        why: String,
    },
    /// The client's link was lost; the client is held.
    Lost {
        /// Why.
        why: String,
    },
    /// It is served again.
    Recovered(MoveStatus),
    /// The broker refused an attempt to connect again, or could not be reached.
    NotConnected {
        /// With which slot's identity.
        slot: SlotId,
        /// Why.
        why: String,
    },
    /// The broker takes less on the new link than the client was told on the first.
    Narrowed {
        /// What.
        limits: Vec<String>,
    },
    /// So much of the client's waits that it is read no further until less does. Until then its PINGREQs wait too.
    Full {
        /// How many packets.
        waiting: usize,
    },
    /// The client was disconnected for breaking the rules, or for a packet that cannot be taken.
    Expelled {
        /// Which packet, and what is wrong with it.
        why: String,
    },
    /// The client has gone, or was closed.
    Ended {
        /// Why.
        why: String,
    },
}

impl SidecarEvent {
    /// Whether somebody should look at it.
    pub(crate) fn is_trouble(&self) -> bool {
        matches!(
            self,
            Self::Turned { .. }
                | Self::NotMoved { .. }
                | Self::Lost { .. }
                | Self::NotConnected { .. }
                | Self::Narrowed { .. }
                | Self::Full { .. }
                | Self::Expelled { .. }
        )
    }
}

impl MoveStatus {
    pub(super) fn new(slot: SlotId, resumed: Resumed) -> Self {
        let Resumed { held, session_present, repeated, resubscribed } = resumed;
        let held_ms = u64::try_from(held.as_millis()).unwrap_or(u64::MAX);
        Self { slot, held_ms, session_present, repeated, resubscribed }
    }
}
