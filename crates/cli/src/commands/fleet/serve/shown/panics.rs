//! The panic path over the API.

use std::path::Path;

use fleetkey_api::backend::{Leaked, Trouble};
use fleetkey_operator::plan::{Claims, Denial, PanicStep, Stopped};
use serde_json::{Value, json};

use super::super::super::revoke::cut_fields;
use super::super::board::{Alarm, StoppedClaims, StoppedPolicy};
use super::Shown;
use super::orders::unavailable;

/// What stands stopped.
pub(super) fn standing(directory: &Path) -> Result<Value, Trouble> {
    let stopped = Stopped::read(directory).map_err(|error| Trouble::Unavailable(error.to_string()))?;
    let policies: Vec<_> = stopped
        .policies
        .iter()
        .map(|(policy, version)| json!({ "policy": policy, "version": version }))
        .collect();
    let claims: Vec<_> = stopped.claims.keys().collect();
    Ok(json!({
        "since": stopped.since, "why": stopped.why, "claims": claims, "templates": stopped.templates,
        "policies": policies,
    }))
}

impl Shown {
    /// Stops what has leaked, or tells what that would come to.
    pub(super) async fn stop(&self, leaked: Leaked, alarm: Alarm<'_>) -> Result<Value, Trouble> {
        let dry_run = alarm.dry_run;
        match leaked {
            Leaked::Claims { clients } => {
                let stopped = self.board.stop_claims(clients, alarm).await.map_err(unavailable)?;
                Ok(claims(&stopped, dry_run))
            }
            Leaked::Policy(name) => {
                self.board.is_own(&name).map_err(|refused| Trouble::Missing(refused.to_string()))?;
                let stopped = self.board.stop_policy(name, alarm).await.map_err(unavailable)?;
                Ok(policy(&stopped, dry_run))
            }
        }
    }

    /// Restores what was stopped.
    pub(super) async fn restore(&self, alarm: Alarm<'_>) -> Result<Value, Trouble> {
        let restored = self.board.restore(alarm).await.map_err(unavailable)?;
        let restored: Vec<_> =
            restored.iter().map(|one| json!({ "what": one.what, "outcome": one.outcome })).collect();
        Ok(json!({ "restored": restored }))
    }
}

fn claims(stopped: &StoppedClaims, dry_run: bool) -> Value {
    let StoppedClaims { claims: Claims { certificates, templates }, clients, steps, cuts } = stopped;
    let certificates: Vec<_> =
        certificates.iter().map(|(id, status)| json!({ "certificate": id, "status": status })).collect();
    let templates: Vec<_> =
        templates.iter().map(|(name, enabled)| json!({ "template": name, "enabled": enabled })).collect();
    json!({
        "dry_run": dry_run, "certificates": certificates, "templates": templates, "clients": clients,
        "stopped": done(steps), "connections": cuts.iter().map(cut_fields).collect::<Vec<_>>(),
    })
}

fn policy(stopped: &StoppedPolicy, dry_run: bool) -> Value {
    let StoppedPolicy { denial: Denial { policy, version, is_denied, makes_room }, steps } = stopped;
    json!({
        "dry_run": dry_run, "policy": policy, "version": version, "is_denied": is_denied, "makes_room": makes_room,
        "stopped": done(steps),
    })
}

fn done(steps: &[PanicStep]) -> Vec<Value> {
    steps.iter().map(|step| json!({ "did": step.did, "seconds": step.after.as_secs_f64() })).collect()
}
