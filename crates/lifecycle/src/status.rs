//! What people see of the machine: its state, what blocks it, and notices of what has happened.

use alloc::string::String;
use alloc::vec::Vec;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::{Met, Reason};
use crate::slot::SlotId;

/// The machine's state, named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// No identity, and none under way.
    Unprovisioned,
    /// A committed identity, nothing under way.
    Idle,
    /// Rotation is due and waits, see [`Status::blocked`].
    Deferred,
    /// The disk is asked whether it takes a whole rotation; nothing has been asked of the cloud.
    Preflight,
    /// The candidate's key is being made.
    MakingKey,
    /// The candidate's key and CSR are durable; nothing has been asked of the cloud.
    KeyReady,
    /// A certificate is being asked for.
    Requested,
    /// The certificate is durable.
    CertStored,
    /// The certificate is being registered.
    Registering,
    /// The candidate is proving itself.
    Verifying,
    /// The candidate is ready, and its commit waits for an operator's switch.
    Staged,
    /// The new identity is committed and in use; the old one is kept.
    Soak,
    /// The controller is asked to retire the old identity.
    Retiring,
    /// The old identity is retired and being destroyed.
    Retired,
    /// The broker refuses the committed identity; the others that are here are tried in turn.
    Ladder,
}

/// What somebody should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// The state directory does not take writes: full, read-only, or broken.
    Storage,
    /// Others connect with this device's client id, again and again: most likely a copy of its disk.
    DuplicateClientId,
    /// The broker accepts none of the identities that are here.
    NoIdentityAccepted,
    /// The controller holds the last retirement until an operator decides.
    Frozen,
}

/// A snapshot for people and for `fleetkey device status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The state.
    pub state: StateName,
    /// Which thing this is.
    pub thing: ThingName,
    /// The committed slot.
    pub current: Option<SlotId>,
    /// The certificate in it.
    pub certificate: Option<CertificateId>,
    /// The end of that certificate.
    pub not_after: Option<Timestamp>,
    /// The slot before, while it is kept.
    pub previous: Option<SlotId>,
    /// The candidate's slot.
    pub candidate: Option<SlotId>,
    /// The id of the rotation under way or last committed and not yet retired.
    pub rotation: Option<String>,
    /// Why the rotation under way was begun.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// Whether the rotation under way, or the one that is to be prepared, waits for a switch.
    #[serde(default)]
    pub held: bool,
    /// What waits for a switch.
    #[serde(default)]
    pub staged: Option<Staged>,
    /// Whether the device is on its way back to the identity before.
    #[serde(default)]
    pub going_back: bool,
    /// The last order of an operator that was carried out.
    #[serde(default)]
    pub met: Option<Met>,
    /// When the next rotation is due.
    pub due: Option<Timestamp>,
    /// Whether the live session is connected.
    pub connected: bool,
    /// Whether other programs have the committed identity's files.
    pub exported: bool,
    /// Why nothing moves, if nothing does.
    pub blocked: Option<String>,
    /// Rotations that failed in a row.
    pub failures: u32,
    /// What somebody should look at; empty when all is well.
    #[serde(default)]
    pub alarms: Vec<Alarm>,
}

/// A certificate that is ready to be switched to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// The certificate.
    pub certificate: CertificateId,
    /// When it proved itself; `None` where that waits for the switch.
    pub verified: Option<Timestamp>,
    /// Whether it was tried, since the process began, to tell the controller.
    #[serde(default)]
    pub tried_to_tell: bool,
}

/// Something worth a log line or an event; never needed to decide anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A rotation has begun.
    Started {
        /// Its id.
        id: String,
        /// Its reason.
        reason: Reason,
    },
    /// The candidate's certificate is durable.
    CertificateStored {
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
    /// The candidate is ready, and waits for a switch.
    Staged {
        /// The rotation.
        id: String,
        /// The certificate.
        certificate: CertificateId,
        /// Whether it has proved itself.
        verified: bool,
    },
    /// On an operator's order another slot is the committed one again.
    WentBack {
        /// The slot that was left; it is kept.
        from: SlotId,
        /// The slot that serves.
        to: SlotId,
    },
    /// The way back that an operator ordered is closed; what is committed serves on.
    CannotGoBack {
        /// The slot that was wanted.
        to: SlotId,
        /// Why.
        why: String,
    },
    /// The candidate is the identity now.
    Committed {
        /// The rotation.
        id: String,
        /// Its reason.
        reason: Reason,
        /// The certificate.
        certificate: CertificateId,
    },
    /// The live session moved to the committed identity.
    WentLive {
        /// The slot.
        slot: SlotId,
    },
    /// The cloud said no to the registration of a first identity. It may have been carried out all the same: the
    /// certificate is tried for a while before that is believed.
    RegistrationRefused {
        /// The rotation.
        id: String,
        /// What the cloud said.
        why: String,
    },
    /// The rotation was given up before its certificate was accepted anywhere; the old identity serves on.
    Abandoned {
        /// The rotation.
        id: String,
        /// Why.
        why: String,
    },
    /// The broker refused the registered candidate while it accepted the old identity, which serves on.
    RolledBack {
        /// The rotation.
        id: String,
        /// Why.
        why: String,
    },
    /// A rotation is due and put off: the disk would not take it. Nothing was asked of the cloud.
    Deferred {
        /// Why.
        why: String,
        /// Until when.
        until: Timestamp,
    },
    /// The broker refuses the committed identity; the others that are here are tried.
    Refused {
        /// The committed slot.
        slot: SlotId,
        /// What the broker said.
        why: String,
    },
    /// The committed identity was refused again and again while this one was accepted: it serves now.
    FellBack {
        /// The slot that was refused; it is kept.
        from: SlotId,
        /// The slot that serves.
        to: SlotId,
    },
    /// Something needs to be looked at.
    Alarm(Alarm),
    /// What is older can no longer connect.
    Retired {
        /// The rotation.
        id: String,
        /// The certificates that the controller named.
        certificates: Vec<CertificateId>,
    },
    /// The controller holds the retirement until an operator decides.
    Frozen {
        /// The rotation.
        id: String,
        /// What it said.
        why: String,
    },
    /// A step failed and will be tried again.
    Waiting {
        /// What and why.
        why: String,
        /// Until when.
        until: Timestamp,
    },
}
