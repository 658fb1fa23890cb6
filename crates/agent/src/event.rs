//! What an agent tells whoever runs it: one event for each thing worth a log line or a line of a summary.

use std::path::PathBuf;

use fleetkey_lifecycle::record::Reason;
use fleetkey_lifecycle::{Notice, SlotId};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;
use serde::Serialize;

/// One thing that happened. Events inform; nothing is decided by them, and a slow listener may miss some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AgentEvent {
    /// The device has its first identity.
    Provisioned {
        /// Its certificate.
        certificate: CertificateId,
    },
    /// A rotation, or the first provisioning, has begun.
    RotationStarted {
        /// One id a rotation.
        id: String,
        /// Why.
        reason: Reason,
    },
    /// The candidate's certificate is durable.
    Issued {
        /// The rotation.
        id: String,
        /// The certificate.
        certificate: CertificateId,
    },
    /// The candidate has passed every tier.
    Verified {
        /// The rotation.
        id: String,
        /// The certificate.
        certificate: CertificateId,
    },
    /// The candidate is the device's identity now.
    Committed {
        /// The rotation.
        id: String,
        /// Why it was started.
        reason: Reason,
        /// The certificate.
        certificate: CertificateId,
    },
    /// The live session runs on the committed identity.
    WentLive {
        /// Its slot.
        slot: SlotId,
    },
    /// The controller has taken the retirement on; older certificates are still within soak or grace.
    RetirePending {
        /// The rotation.
        id: String,
    },
    /// Older certificates can no longer connect.
    Retired {
        /// The rotation.
        id: String,
        /// Which.
        certificates: Vec<CertificateId>,
    },
    /// The controller holds the retirement until an operator decides.
    Frozen {
        /// The rotation.
        id: String,
        /// What it said.
        why: String,
    },
    /// A rotation was given up; the identity in use serves on.
    RolledBack {
        /// The rotation.
        id: String,
        /// Why.
        why: String,
    },
    /// A step failed and will be tried again.
    Waiting {
        /// What and why.
        why: String,
        /// Until when.
        until: Timestamp,
    },
    /// The live session is connected.
    LinkUp {
        /// With which slot's identity.
        slot: SlotId,
    },
    /// The live session is not connected.
    LinkDown {
        /// Why.
        why: String,
    },
    /// A slot did not match and was moved out of the way.
    PutAside {
        /// Where it is now.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<Notice> for AgentEvent {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Started { id, reason } => Self::RotationStarted { id, reason },
            Notice::CertificateStored { id, certificate } => Self::Issued { id, certificate },
            Notice::Verified { id, certificate } => Self::Verified { id, certificate },
            Notice::Committed { id, reason, certificate } => Self::Committed { id, reason, certificate },
            Notice::WentLive { slot } => Self::WentLive { slot },
            Notice::Abandoned { id, why } => Self::RolledBack { id, why },
            Notice::Retired { id, certificates } => Self::Retired { id, certificates },
            Notice::Frozen { id, why } => Self::Frozen { id, why },
            Notice::Waiting { why, until } => Self::Waiting { why, until },
        }
    }
}

impl AgentEvent {
    /// Writes the event to the log, at the level it deserves.
    pub(crate) fn log(&self) {
        let shown = serde_json::to_string(self).unwrap_or_default();
        match self {
            Self::RolledBack { .. } | Self::Frozen { .. } | Self::PutAside { .. } => {
                tracing::error!("{shown}");
            }
            Self::Waiting { .. } | Self::LinkDown { .. } => tracing::warn!("{shown}"),
            _ => tracing::info!("{shown}"),
        }
    }
}
