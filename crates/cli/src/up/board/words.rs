//! An agent's events and states in a person's words, with the tone they deserve.

use fleetkey_agent::AgentEvent;
use fleetkey_dashboard::fleet::{Phase, Tone};
use fleetkey_lifecycle::record::Reason;
use fleetkey_lifecycle::status::{Alarm, StateName};

/// What happened; `true` if it is news for the whole fleet. `None` for what only the state shows.
pub(super) fn incident(event: &AgentEvent) -> Option<(Tone, String, bool)> {
    Some(match event {
        AgentEvent::Provisioned { certificate, .. } => {
            (Tone::Good, format!("has its first certificate {}", certificate.short()), true)
        }
        AgentEvent::RotationStarted { reason, .. } => {
            (Tone::Busy, format!("rotation began: {}", self::reason(*reason)), false)
        }
        AgentEvent::Issued { certificate, .. } => {
            (Tone::Busy, format!("certificate {} was issued", certificate.short()), false)
        }
        AgentEvent::Verified { certificate, .. } => {
            (Tone::Busy, format!("certificate {} has proved itself", certificate.short()), false)
        }
        AgentEvent::Staged { certificate, .. } => (
            Tone::Good,
            format!("certificate {} is staged and waits for a switch", certificate.short()),
            true,
        ),
        // No device of a trial has a sidecar, hooks or another program's log to watch.
        AgentEvent::Committed { reason: Reason::Provision, .. }
        | AgentEvent::Sidecar(_)
        | AgentEvent::HookRan { .. }
        | AgentEvent::HookFailed { .. }
        | AgentEvent::ClientTrouble { .. } => return None,
        AgentEvent::Committed { certificate, .. } => {
            (Tone::Good, format!("rotated to {}", certificate.short()), true)
        }
        AgentEvent::WentLive { .. } => {
            (Tone::Good, "the live session runs on the committed certificate".into(), false)
        }
        AgentEvent::RetirePending { .. } => {
            (Tone::Busy, "the controller has taken the retirement on".into(), false)
        }
        AgentEvent::Retired { certificates, .. } => {
            let ids: Vec<String> = certificates.iter().take(3).map(|id| id.short()).collect();
            (Tone::Good, format!("can no longer connect with {}", ids.join(", ")), true)
        }
        AgentEvent::Frozen { why, .. } => (Tone::Bad, format!("retirement is frozen: {why}"), true),
        AgentEvent::RegistrationRefused { why, .. } => {
            (Tone::Bad, format!("registration was refused: {why}"), true)
        }
        AgentEvent::RolledBack { why, .. } => (Tone::Bad, format!("rotation was given up: {why}"), true),
        AgentEvent::Deferred { why, .. } => (Tone::Warn, format!("rotation is put off: {why}"), true),
        AgentEvent::Refused { why, .. } => {
            (Tone::Bad, format!("the broker refuses the committed certificate: {why}"), true)
        }
        AgentEvent::FellBack { .. } => (Tone::Bad, "fell back to an earlier certificate".into(), true),
        AgentEvent::WentBack { .. } => (Tone::Warn, "went back to the certificate before".into(), true),
        AgentEvent::CannotGoBack { why, .. } => (Tone::Bad, format!("there is no way back: {why}"), true),
        AgentEvent::Alarm { alarm } => (Tone::Bad, self::alarm(*alarm).into(), true),
        AgentEvent::Waiting { why, .. } => (Tone::Warn, format!("waits: {why}"), false),
        AgentEvent::LinkUp { .. } => (Tone::Good, "connected".into(), false),
        AgentEvent::LinkDown { why } => (Tone::Warn, format!("not connected: {why}"), false),
        AgentEvent::LinkRefused { why, .. } => (Tone::Warn, format!("connection refused: {why}"), false),
        AgentEvent::Displaced => (Tone::Bad, "somebody else connected with its client id".into(), true),
        AgentEvent::PutAside { reason, .. } => (Tone::Warn, format!("a slot was put aside: {reason}"), true),
        AgentEvent::Unreadable { reason, .. } => {
            (Tone::Warn, format!("a slot cannot be read: {reason}"), true)
        }
    })
}

pub(super) const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Provision => "first provisioning",
        Reason::Age => "age",
        Reason::Expiry => "expiry",
        Reason::Command => "command",
        Reason::Compromise => "compromise",
        Reason::Recovery => "recovery",
    }
}

pub(super) const fn alarm(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::Storage => "its state directory takes no writes",
        Alarm::DuplicateClientId => "somebody else keeps connecting with its client id",
        Alarm::NoIdentityAccepted => "the broker accepts none of its identities",
        Alarm::Frozen => "the controller holds its last retirement",
    }
}

pub(super) const fn state(state: StateName) -> &'static str {
    match state {
        StateName::Unprovisioned => "no identity yet",
        StateName::Idle => "idle",
        StateName::Deferred => "put off",
        StateName::Preflight => "checking the disk",
        StateName::MakingKey => "making a key",
        StateName::KeyReady => "key ready",
        StateName::Requested => "asking for a certificate",
        StateName::CertStored => "certificate stored",
        StateName::Registering => "registering",
        StateName::Verifying => "verifying",
        StateName::Staged => "staged, waiting for the switch",
        StateName::Soak => "soaking",
        StateName::Retiring => "retiring the old one",
        StateName::Retired => "destroying the old key",
        StateName::Ladder => "trying its identities",
    }
}

/// The phase that a state has reached; `None` when no rotation is under way.
pub(super) const fn phase(state: StateName) -> Option<Phase> {
    match state {
        StateName::Preflight | StateName::MakingKey => Some(Phase::Due),
        StateName::KeyReady | StateName::Requested => Some(Phase::Key),
        StateName::CertStored | StateName::Registering => Some(Phase::Issued),
        StateName::Verifying | StateName::Staged => Some(Phase::Registered),
        StateName::Soak => Some(Phase::Committed),
        StateName::Retiring => Some(Phase::Soak),
        StateName::Retired => Some(Phase::Retired),
        StateName::Unprovisioned | StateName::Idle | StateName::Deferred | StateName::Ladder => None,
    }
}
