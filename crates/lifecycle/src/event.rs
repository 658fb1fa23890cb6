//! What the driver tells the machine: outcomes of actions, and what happens by itself.

use alloc::string::String;
use alloc::vec::Vec;

use fleetkey_model::name::ThingName;
use fleetkey_model::provisioning::{CertificateIssued, Rejection};
use fleetkey_model::retirement::{ControllerAnswer, DeviceCommand};
use serde::{Deserialize, Serialize};

use crate::slot::{SlotCertificate, SlotId};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Only time has passed.
    Tick,
    /// Outcome of `Persist`: the record is durable.
    Persisted,
    /// Outcome of any action that writes: nothing may be assumed of what it was to write.
    StorageFailed(StorageFault),
    /// Outcome of `Preflight`: the disk takes a whole rotation.
    Ready,
    /// Outcome of `MakeKey`: key and CSR are durable.
    KeyMade {
        /// The slot.
        slot: SlotId,
        /// DER of the SubjectPublicKeyInfo.
        public_key: Vec<u8>,
    },
    /// Outcome of `RequestCertificate`.
    Issued {
        /// The slot whose CSR was sent.
        slot: SlotId,
        /// What came.
        issued: CertificateIssued,
    },
    /// Outcome of `StoreCertificate`: certificate and token are durable.
    CertificateStored {
        /// The slot.
        slot: SlotId,
        /// The certificate as it was read back.
        certificate: SlotCertificate,
    },
    /// Outcome of `RegisterThing`: it was accepted.
    Registered {
        /// The slot.
        slot: SlotId,
        /// The thing that the certificate is attached to, when the answer names it.
        thing: Option<ThingName>,
    },
    /// Outcome of `RequestCertificate` or `RegisterThing`: the cloud answered no.
    Rejected(Rejection),
    /// Outcome of an action that waits for an answer: none came in time, or the connection was lost.
    NoAnswer {
        /// For people.
        why: String,
    },
    /// Outcome of `Verify`: every tier passed.
    Verified {
        /// The slot.
        slot: SlotId,
    },
    /// Outcome of `Verify`: a tier did not pass.
    VerifyFailed {
        /// The slot.
        slot: SlotId,
        /// The tier that did not.
        tier: Tier,
        /// Whether the broker said no or could not be asked.
        kind: FailureKind,
        /// For people.
        why: String,
    },
    /// Outcome of `Export`.
    Exported {
        /// The certificate as it was read.
        certificate: SlotCertificate,
    },
    /// Outcome of `GoLive`: the session runs on this slot's identity.
    Live {
        /// The slot.
        slot: SlotId,
    },
    /// Outcome of `GoLive`: the session runs on what it ran on before, or on nothing.
    LiveFailed {
        /// The slot that was asked for.
        slot: SlotId,
        /// Whether the broker said no or could not be asked.
        kind: FailureKind,
        /// For people.
        why: String,
    },
    /// Outcome of `RequestRetire`, or an answer that came later by itself.
    RetireAnswered(ControllerAnswer),
    /// Outcome of an action that reads the committed slot: it can be read, and is no identity any more. The session may
    /// go on from memory; a restart could not.
    SlotDamaged {
        /// The slot.
        slot: SlotId,
        /// For people.
        why: String,
    },
    /// Outcome of `DestroySlot`.
    Destroyed {
        /// The slot.
        slot: SlotId,
    },
    /// A command for this device.
    Command(DeviceCommand),
    /// The key of the current identity may be known to others.
    Compromised,
    /// The broker has taken what was to be told.
    Told,
    /// Whether rotations that only time asks for are held back, for a maintenance window or the end of a trial.
    /// Commands, a compromise, and a rotation under way go on.
    Hold(bool),
    /// An operator takes a rotation one step further, or back. One that makes no sense as things stand is passed over:
    /// `Machine::weigh` tells.
    Offline(Offline),
    /// The live session is connected, with this slot's identity.
    LinkUp {
        /// The slot.
        slot: SlotId,
    },
    /// The live session is not connected.
    LinkDown,
    /// The broker refused the live session's attempt to connect again, with this slot's identity.
    LinkRefused {
        /// The slot.
        slot: SlotId,
        /// For people.
        why: String,
    },
    /// Another connection took the live session's client id over, and it was none of ours.
    Displaced,
}

/// A step of a rotation that an operator orders, days apart if need be. Each may be ordered twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offline {
    /// Prepare: everything up to the commit, which waits.
    Stage,
    /// Commit to what is staged, after one more proof.
    Switch,
    /// End the soak: ask for the retirement of what is older now.
    Retire,
    /// Give up what is staged, or go back from what was committed to the identity before.
    Rollback,
}

/// Why a write failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageFault {
    /// No space, or over quota.
    Full,
    /// The file system cannot be written.
    ReadOnly,
    /// Anything else.
    Io,
}

/// How far a verification came; each tier proves more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The handshake, which under TLS 1.3 proves nothing about the client's certificate.
    Tls,
    /// CONNACK: the broker knows the certificate and its policy lets it connect.
    Connack,
    /// SUBACK: its policy lets it listen to its own topic.
    Suback,
    /// A QoS 1 message came back to us.
    Echo,
}

/// Whether somebody said no or nobody could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The broker was there and did not accept us.
    Refused,
    /// The broker could not be reached, or broke off for reasons that are not ours.
    Unreachable,
    /// The disk did not give the slot's files, which may pass: nobody was asked.
    Unreadable,
}
