//! What the machine asks of its driver. Each action has exactly one outcome event, named at its variant.

use alloc::string::String;

use fleetkey_model::name::ThingName;
use fleetkey_model::provisioning::CertificateIssued;

use crate::record::{Authority, Record};
use crate::slot::SlotId;

/// One thing to do. Run it to its end, then hand its outcome to `Machine::handle`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one action exists at a time")]
pub enum Action {
    /// Make the record durable: a barrier. → `Persisted` | `StorageFailed`
    Persist(Record),
    /// Prove, before anything is asked of the cloud, that a whole rotation fits on the disk: write and sync as much as
    /// a slot takes, and have the reserve in place. → `Ready` | `StorageFailed`
    Preflight,
    /// Make a key in an empty or half-made slot: key durable first, then the CSR. → `KeyMade` | `StorageFailed`
    MakeKey {
        /// The candidate's slot.
        slot: SlotId,
    },
    /// Ask for a certificate with the slot's CSR, always the same bytes. → `Issued` | `Rejected` | `NoAnswer`
    RequestCertificate {
        /// The candidate's slot.
        slot: SlotId,
        /// Over whose connection.
        authority: Authority,
    },
    /// Make the certificate and its token durable in the slot. → `CertificateStored` | `StorageFailed`
    StoreCertificate {
        /// The candidate's slot.
        slot: SlotId,
        /// What the cloud issued; its public key is the slot's.
        issued: CertificateIssued,
    },
    /// RegisterThing with the slot's token. → `Registered` | `Rejected` | `NoAnswer`
    RegisterThing {
        /// The candidate's slot.
        slot: SlotId,
        /// Over whose connection.
        authority: Authority,
    },
    /// Connect with the slot's identity beside the live session and prove it, tier by tier, up to a QoS 1 echo.
    /// Also asked of the current slot, to tell a refusal from a bad network. → `Verified` | `VerifyFailed`
    Verify {
        /// Which identity.
        slot: SlotId,
        /// As which thing.
        thing: ThingName,
    },
    /// Give the slot's files to other programs, all or nothing; idempotent.
    /// → `Exported` | `StorageFailed` | `SlotDamaged`
    Export {
        /// The committed slot.
        slot: SlotId,
    },
    /// Move the live session to this slot's identity, make-before-break. → `Live` | `LiveFailed`
    GoLive {
        /// The committed slot.
        slot: SlotId,
    },
    /// Read the committed slot back, and only if it holds what it should, ask the controller, on the live session, to
    /// retire what is older. → `RetireAnswered` | `NoAnswer` | `SlotDamaged`
    RequestRetire {
        /// The id of the rotation that committed.
        id: String,
    },
    /// Tell the controller, on the live session, that a certificate is held ready: what is newer than the one in use
    /// and lies unused is no leftover. → `Told` | `NoAnswer`
    TellStaged {
        /// The id of the rotation that waits.
        id: String,
    },
    /// Empty a slot that nothing refers to. A slot that is not there is a success. → `Destroyed` | `StorageFailed`
    DestroySlot {
        /// Which slot.
        slot: SlotId,
    },
}
