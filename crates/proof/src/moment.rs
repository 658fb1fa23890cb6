//! What the invariants on identities are judged by, in the order in which it happened: every change of a disk and of
//! the account, also those within one step of a device.

use fleetkey_model::certificate::CertificateId;

/// The identities that a power cut of a moment would leave a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// If it loses all that was not synced.
    pub durable: Vec<CertificateId>,
    /// If it loses nothing.
    pub seen: Vec<CertificateId>,
}

/// A moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// The disk of a device changed.
    Disk {
        /// Which device.
        device: usize,
        /// What it would keep.
        kept: Kept,
    },
    /// The account changed.
    Account {
        /// These identities would do.
        would_do: Vec<CertificateId>,
        /// Those of them that are ACTIVE.
        active: Vec<CertificateId>,
    },
    /// The power of a device failed.
    Cut,
}
