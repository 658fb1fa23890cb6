//! What an agent tells whoever runs it: one event for each thing worth a log line or a line of a summary.

use std::path::PathBuf;

use fleetkey_lifecycle::record::Reason;
use fleetkey_lifecycle::status::Alarm;
use fleetkey_lifecycle::{Notice, SlotId};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;
use serde::Serialize;

use crate::config::hooks::Occasion;
use crate::sidecar::SidecarEvent;
use crate::store::AuditEntry;
use crate::watch::Trouble;

/// One thing that happened. Events inform; nothing is decided by them, and a slow listener may miss some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AgentEvent {
    /// The device has its first identity.
    Provisioned {
        /// The first provisioning, which counts as a rotation.
        id: String,
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
    /// The candidate is ready, and its commit waits for a switch.
    Staged {
        /// The rotation.
        id: String,
        /// The certificate.
        certificate: CertificateId,
        /// Whether it has proved itself.
        verified: bool,
    },
    /// On an operator's order another slot's identity serves again.
    WentBack {
        /// The rotation whose identity was left.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The slot that was left; it is kept.
        from: SlotId,
        /// The slot that serves.
        to: SlotId,
    },
    /// The way back that an operator ordered is closed; what is committed serves on.
    CannotGoBack {
        /// The rotation whose identity serves on.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The slot that was wanted.
        to: SlotId,
        /// Why.
        why: String,
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
        /// The rotation that committed it, until its predecessor is retired.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
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
    /// The cloud said no to the registration of a first identity; its certificate is tried before that is believed.
    RegistrationRefused {
        /// The rotation.
        id: String,
        /// What the cloud said.
        why: String,
    },
    /// A rotation was given up; the identity in use serves on.
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
        /// The rotation that committed it, until its predecessor is retired.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The committed slot.
        slot: SlotId,
        /// What the broker said.
        why: String,
    },
    /// The committed identity was refused again and again while another was accepted, which serves now.
    FellBack {
        /// The rotation whose identity was refused, until its predecessor is retired.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The slot that was refused; it is kept.
        from: SlotId,
        /// The slot that serves.
        to: SlotId,
    },
    /// Something needs to be looked at.
    Alarm {
        /// What.
        alarm: Alarm,
    },
    /// A step failed and will be tried again.
    Waiting {
        /// The rotation that waits, if one has begun.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
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
    /// The broker refused the live session's attempt to connect again.
    LinkRefused {
        /// With which slot's identity.
        slot: SlotId,
        /// What it said.
        why: String,
    },
    /// Another connection, none of ours, took the live session's client id over.
    Displaced,
    /// Something happened to the sidecar's client or its link.
    Sidecar(SidecarEvent),
    /// A hook has run.
    HookRan {
        /// What it does, without its arguments.
        hook: String,
        /// After what.
        on: Occasion,
        /// The slot that was in use.
        slot: SlotId,
    },
    /// A hook has failed, and is tried again.
    HookFailed {
        /// What it does, without its arguments.
        hook: String,
        /// After what.
        on: Occasion,
        /// The slot that was in use.
        slot: SlotId,
        /// Why.
        why: String,
    },
    /// The watched log of another program tells of TLS trouble.
    ClientTrouble {
        /// Of which kind.
        trouble: Trouble,
        /// The words that gave it away.
        words: String,
        /// How many such lines since the last event of the kind.
        lines: u64,
        /// Why no rotation follows; without it, one that waits for nothing does.
        #[serde(skip_serializing_if = "Option::is_none")]
        held_back: Option<String>,
    },
    /// A slot did not match and was moved out of the way.
    PutAside {
        /// Where it is now.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk does not read a slot that the device can do without for now.
    Unreadable {
        /// The slot.
        path: PathBuf,
        /// What the disk said.
        reason: String,
    },
}

impl From<Notice> for AgentEvent {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Started { id, reason } => Self::RotationStarted { id, reason },
            Notice::CertificateStored { id, certificate } => Self::Issued { id, certificate },
            Notice::Verified { id, certificate } => Self::Verified { id, certificate },
            Notice::Staged { id, certificate, verified } => Self::Staged { id, certificate, verified },
            Notice::WentBack { from, to } => Self::WentBack { id: None, from, to },
            Notice::CannotGoBack { to, why } => Self::CannotGoBack { id: None, to, why },
            Notice::Committed { id, reason, certificate } => Self::Committed { id, reason, certificate },
            Notice::WentLive { slot } => Self::WentLive { id: None, slot },
            Notice::Abandoned { id, why } | Notice::RolledBack { id, why } => Self::RolledBack { id, why },
            Notice::RegistrationRefused { id, why } => Self::RegistrationRefused { id, why },
            Notice::Deferred { why, until } => Self::Deferred { why, until },
            Notice::Refused { slot, why } => Self::Refused { id: None, slot, why },
            Notice::FellBack { from, to } => Self::FellBack { id: None, from, to },
            Notice::Alarm(alarm) => Self::Alarm { alarm },
            Notice::Retired { id, certificates } => Self::Retired { id, certificates },
            Notice::Frozen { id, why } => Self::Frozen { id, why },
            Notice::Waiting { why, until } => Self::Waiting { id: None, why, until },
        }
    }
}

impl AgentEvent {
    /// The rotation that the event is about.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Provisioned { id, .. }
            | Self::RotationStarted { id, .. }
            | Self::Issued { id, .. }
            | Self::Staged { id, .. }
            | Self::Verified { id, .. }
            | Self::Committed { id, .. }
            | Self::RetirePending { id }
            | Self::Retired { id, .. }
            | Self::Frozen { id, .. }
            | Self::RegistrationRefused { id, .. }
            | Self::RolledBack { id, .. } => Some(id),
            Self::WentLive { id, .. }
            | Self::WentBack { id, .. }
            | Self::CannotGoBack { id, .. }
            | Self::Refused { id, .. }
            | Self::FellBack { id, .. }
            | Self::Waiting { id, .. } => id.as_deref(),
            Self::Deferred { .. }
            | Self::Alarm { .. }
            | Self::LinkUp { .. }
            | Self::LinkDown { .. }
            | Self::LinkRefused { .. }
            | Self::Displaced
            | Self::Sidecar(_)
            | Self::HookRan { .. }
            | Self::HookFailed { .. }
            | Self::ClientTrouble { .. }
            | Self::PutAside { .. }
            | Self::Unreadable { .. } => None,
        }
    }

    /// The same event, said to be about the rotation `id` if it does not say so itself.
    pub(crate) fn within(mut self, rotation: Option<&str>) -> Self {
        if let Self::WentLive { id, .. }
        | Self::WentBack { id, .. }
        | Self::CannotGoBack { id, .. }
        | Self::Refused { id, .. }
        | Self::FellBack { id, .. }
        | Self::Waiting { id, .. } = &mut self
            && id.is_none()
        {
            *id = rotation.map(str::to_owned);
        }
        self
    }

    /// The entry that the audit log gets: what happens to the identity, and not how the link or a wait goes.
    pub(crate) fn audit_entry(&self, at: Timestamp) -> Option<AuditEntry> {
        let noise = matches!(
            self,
            Self::LinkUp { .. }
                | Self::LinkDown { .. }
                | Self::LinkRefused { .. }
                | Self::Displaced
                | Self::Sidecar(_)
                | Self::Waiting { .. }
                | Self::Deferred { .. }
                | Self::RetirePending { .. }
        );
        let event = serde_json::to_value(self).ok().filter(|_| !noise)?;
        Some(AuditEntry { at, id: self.id().map(str::to_owned), event })
    }

    /// Writes the event to the log, at the level it deserves.
    pub(crate) fn log(&self) {
        let shown = serde_json::to_string(self).unwrap_or_default();
        match self {
            Self::RolledBack { .. }
            | Self::RegistrationRefused { .. }
            | Self::Frozen { .. }
            | Self::PutAside { .. }
            | Self::Unreadable { .. }
            | Self::Refused { .. }
            | Self::FellBack { .. }
            | Self::ClientTrouble { .. }
            | Self::CannotGoBack { .. }
            | Self::Alarm { .. } => {
                tracing::error!("{shown}");
            }
            Self::Waiting { .. }
            | Self::Deferred { .. }
            | Self::LinkDown { .. }
            | Self::LinkRefused { .. }
            | Self::HookFailed { .. }
            | Self::Displaced => tracing::warn!("{shown}"),
            Self::Sidecar(event) if event.is_trouble() => tracing::warn!("{shown}"),
            _ => tracing::info!("{shown}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_log_gets_what_happens_to_the_identity_with_the_id_of_the_rotation() {
        let at = Timestamp::from_secs(1);
        let id = || "r1".to_owned();
        let audited = |event: &AgentEvent| event.audit_entry(at).map(|entry| entry.id);
        let went_live = AgentEvent::WentLive { id: None, slot: SlotId(2) }.within(Some("r1"));
        assert_eq!(audited(&went_live), Some(Some(id())));
        assert_eq!(audited(&AgentEvent::RolledBack { id: id(), why: "no".into() }), Some(Some(id())));
        assert_eq!(audited(&AgentEvent::PutAside { path: "/x".into(), reason: "no".into() }), Some(None));
        assert_eq!(audited(&AgentEvent::LinkDown { why: "gone".into() }), None);
        let waiting = AgentEvent::Waiting { id: None, why: "full".into(), until: at }.within(Some("r1"));
        assert_eq!((audited(&waiting), waiting.id()), (None, Some("r1")));
    }
}
