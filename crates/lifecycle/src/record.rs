//! The one durable record, `state.json`: its `current` is the only commit point of the device.

use alloc::string::String;
use alloc::vec::Vec;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Offline;
use crate::slot::SlotId;

/// The version of the record that this code writes; a newer one on disk is refused by the store.
pub const RECORD_VERSION: u32 = 3;

/// Everything that must survive a power cut, besides the slots themselves. At most 4 KB as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`] of the writer.
    pub v: u32,
    /// The number that the next slot gets.
    pub next_slot: u64,
    /// The committed identity. Changing this field durably *is* the commit.
    pub current: Option<SlotId>,
    /// When `current` was committed; the age trigger counts from here.
    pub current_since: Timestamp,
    /// The identity before, until the server has retired it.
    pub previous: Option<SlotId>,
    /// The rotation or first provisioning under way.
    pub rotation: Option<Rotation>,
    /// What is still to be done about `previous`.
    pub aftermath: Option<Aftermath>,
    /// Slots that nothing refers to any more; emptied when the disk allows.
    pub doomed: Vec<SlotId>,
    /// Rotations that failed in a row.
    pub failures: u32,
    /// No new rotation before this moment, unless the certificate is compromised.
    pub not_before: Option<Timestamp>,
    /// The keys up to this slot may be known to others; a rotation away from them waits for nothing. Since version 2.
    #[serde(default)]
    pub compromised: Option<SlotId>,
    /// When a recovery was last begun. Since version 2.
    #[serde(default)]
    pub recovery_at: Option<Timestamp>,
    /// The last command to rotate. Since version 2.
    #[serde(default)]
    pub asked: Option<Asked>,
    /// A rotation is to be prepared and then to wait for a switch. Since version 3.
    #[serde(default)]
    pub to_stage: bool,
    /// The slot that an operator wants back. Since version 3.
    #[serde(default)]
    pub back_to: Option<SlotId>,
    /// The last order of an operator that was carried out. Since version 3.
    #[serde(default)]
    pub met: Option<Met>,
    /// Time was at least this: build time, or NotBefore of a certificate that came over a validated link.
    pub time_floor: Timestamp,
}

impl Record {
    /// The record of a device that has nothing yet.
    pub fn fresh(time_floor: Timestamp) -> Self {
        Self {
            v: RECORD_VERSION,
            next_slot: 1,
            current: None,
            current_since: Timestamp::default(),
            previous: None,
            rotation: None,
            aftermath: None,
            doomed: Vec::new(),
            failures: 0,
            not_before: None,
            compromised: None,
            recovery_at: None,
            asked: None,
            to_stage: false,
            back_to: None,
            met: None,
            time_floor,
        }
    }

    /// Whether a rotation is under way, or is to be, that an operator takes step by step.
    pub fn is_in_steps(&self) -> bool {
        self.to_stage || self.rotation.as_ref().is_some_and(|rotation| rotation.hold != Hold::Never)
    }

    /// Whether any field refers to `slot`.
    pub fn refers_to(&self, slot: SlotId) -> bool {
        self.current == Some(slot)
            || self.previous == Some(slot)
            || self.rotation.as_ref().is_some_and(|rotation| rotation.slot == slot)
    }
}

/// A command to rotate: remembered until a commit has met it, and after that so that it is not taken twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Tells commands apart: the first half of SHA-256 of the command's id, in hexadecimal.
    pub mark: String,
    /// No commit has come since.
    pub open: bool,
}

/// An order that was carried out, so that the same order again is known to have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// The order: a switch, or going back.
    pub order: Offline,
    /// The committed slot that it has led to.
    pub slot: SlotId,
}

/// Why a rotation was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The device has no identity yet.
    Provision,
    /// The certificate has reached its age.
    Age,
    /// The certificate is about to expire.
    Expiry,
    /// Somebody asked for it.
    Command,
    /// The key may be known to others: waits for nothing.
    Compromise,
    /// The broker accepts none of the identities that are here.
    Recovery,
}

/// Whose connection the cloud is asked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// The claim certificate, on the claim template.
    Claim,
    /// The claim certificate, on the recovery template, which an operator opens for a while.
    Recovery,
    /// The identity in this slot, on the rotation template.
    Current(SlotId),
}

/// A rotation under way; its slot is the candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// One id a rotation, the same in events, requests and logs.
    pub id: String,
    /// Why it was started.
    pub reason: Reason,
    /// Where the candidate's key and certificate live.
    pub slot: SlotId,
    /// Over whose connection the cloud is asked.
    pub authority: Authority,
    /// When it was started.
    pub started_at: Timestamp,
    /// Whether its commit waits for an order. Since version 3.
    #[serde(default)]
    pub hold: Hold,
    /// How far it has durably come.
    pub phase: Phase,
}

/// Whether the commit of a rotation waits for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// It comes as soon as the candidate has proved itself.
    #[default]
    Never,
    /// It waits for a switch.
    Held,
    /// The switch was ordered.
    Released,
}

/// How far a rotation has durably come. A phase owns exactly what is valid in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// The slot is chosen; its key and CSR are being made.
    MakingKey,
    /// Key and CSR are durable; nothing has been asked of the cloud.
    KeyReady,
    /// Key and CSR are durable; the certificate may have been asked for any number of times with this CSR.
    Requested,
    /// The certificate and its token are durable; RegisterThing has not been asked for.
    CertStored {
        /// The certificate in the slot.
        certificate: CertificateId,
        /// After this the token is not worth trying.
        token_until: Timestamp,
    },
    /// RegisterThing may have been asked for, and may have been carried out.
    Registering {
        /// The certificate in the slot.
        certificate: CertificateId,
        /// After this the token is not worth trying.
        token_until: Timestamp,
    },
    /// RegisterThing was accepted; the candidate has to prove itself.
    Verifying {
        /// The certificate in the slot.
        certificate: CertificateId,
        /// Since when it has been tried.
        since: Timestamp,
    },
    /// RegisterThing was accepted, and the commit waits for a switch. Since version 3.
    Staged {
        /// The certificate in the slot.
        certificate: CertificateId,
        /// When it proved itself; `None` where proving it would have taken the live session over.
        verified: Option<Timestamp>,
    },
}

impl Phase {
    /// Whether the candidate's certificate is durable.
    pub const fn has_certificate(&self) -> bool {
        !matches!(self, Self::MakingKey | Self::KeyReady | Self::Requested)
    }

    /// Whether the candidate may be registered, so that the broker may accept it sooner or later.
    pub const fn may_be_registered(&self) -> bool {
        matches!(self, Self::Registering { .. } | Self::Verifying { .. } | Self::Staged { .. })
    }
}

/// What follows a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aftermath {
    /// The id of the rotation that committed.
    pub id: String,
    /// How far it has come.
    pub stage: Stage,
}

/// The stages after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// Real traffic runs on the new identity; the old one is kept in reserve until then.
    Soak {
        /// The end of the soak.
        until: Timestamp,
    },
    /// The controller is asked to retire what is older, again and again until it answers.
    Retiring,
    /// The controller has confirmed; the previous slot may be destroyed.
    Retired,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_record_fits_in_four_kilobytes_and_reads_back() {
        let mut record = Record::fresh(Timestamp::from_secs(1_700_000_000));
        record.current = Some(SlotId(u64::MAX));
        record.previous = Some(SlotId(u64::MAX));
        record.rotation = Some(Rotation {
            id: "f".repeat(32),
            reason: Reason::Compromise,
            slot: SlotId(u64::MAX),
            authority: Authority::Current(SlotId(u64::MAX)),
            started_at: Timestamp::AWS_CERTIFICATE_END,
            hold: Hold::Released,
            phase: Phase::Registering {
                certificate: CertificateId::of_der(b""),
                token_until: Timestamp::AWS_CERTIFICATE_END,
            },
        });
        record.aftermath = Some(Aftermath {
            id: "f".repeat(32),
            stage: Stage::Soak { until: Timestamp::from_millis(u64::MAX) },
        });
        record.doomed = alloc::vec![SlotId(u64::MAX); 16];
        record.compromised = Some(SlotId(u64::MAX));
        record.recovery_at = Some(Timestamp::from_millis(u64::MAX));
        record.asked = Some(Asked { mark: "f".repeat(32), open: false });
        record.back_to = Some(SlotId(u64::MAX));
        record.met = Some(Met { order: Offline::Rollback, slot: SlotId(u64::MAX) });
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.len() <= 4096, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }

    #[test]
    fn a_record_of_version_1_still_reads() {
        let text = r#"{"v":1,"next_slot":2,"current":1,"current_since":5,"previous":null,"rotation":null,
            "aftermath":null,"doomed":[],"failures":0,"not_before":null,"time_floor":3}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!((record.current, record.compromised, record.recovery_at), (Some(SlotId(1)), None, None));
    }
}
