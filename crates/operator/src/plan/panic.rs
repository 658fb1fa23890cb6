//! The panic path: stops a leaked claim, or everybody who has a policy, at once; and the way back.
//!
//! What was there before stands in `operator/panic.json` before the first call that changes it, so that the way back is
//! known whenever a run is killed. Speed comes first: one version of a policy that denies everything stops every device
//! that has it with two calls, where revoking takes two calls a certificate; what is to be ended for good can then be ended
//! in peace.

use std::future::Future;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, PolicyName, TemplateName};
use fleetkey_model::time::Timestamp;
use serde_json::json;

use super::credential::failed;
use super::{Change, Cut, Cutter, Doors, Ending, Operator, PlanError, Tools};
use crate::cloud::{Cloud, Key, Kind, Spec};
use crate::control_plane::{ApiError, ControlPlane, Done};
use crate::documents::Fleet;

pub use stopped::{PANIC_FILE, Stopped, StoppedError};

mod stopped;
mod undo;

pub use undo::Restored;

/// The version that stops everybody. A Deny wins over every Allow, whatever other policies a certificate has.
pub const DENY_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:*","Resource":"*"}]}"#;

/// How many versions a policy can have (Service Quotas).
const VERSIONS: usize = 5;

/// A version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Its number.
    pub id: String,
    /// Whether it is the one that counts.
    pub is_default: bool,
}

/// The versions of policies.
pub trait Versions: ControlPlane {
    /// GetPolicy: the document that counts; [`ApiError::NotFound`] when there is no such policy.
    fn policy_in_force(&self, name: &PolicyName) -> impl Future<Output = Result<String, ApiError>> + Send;

    /// ListPolicyVersions, the oldest first.
    fn policy_versions(
        &self,
        name: &PolicyName,
    ) -> impl Future<Output = Result<Vec<PolicyVersion>, ApiError>> + Send;

    /// CreatePolicyVersion as the default.
    fn add_policy_version(&self, name: &PolicyName, document: &str) -> impl Future<Output = Done> + Send;

    /// SetDefaultPolicyVersion.
    fn prefer_policy_version(&self, name: &PolicyName, version: &str) -> impl Future<Output = Done> + Send;

    /// DeletePolicyVersion; one that is not there is deleted already.
    fn drop_policy_version(&self, name: &PolicyName, version: &str) -> impl Future<Output = Done> + Send;
}

/// What stopping claims is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The certificates, and what they are.
    pub certificates: Vec<(CertificateId, CertificateStatus)>,
    /// The templates that claims can use, and whether they are enabled.
    pub templates: Vec<(TemplateName, bool)>,
}

/// What stopping a policy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The policy.
    pub policy: PolicyName,
    /// The version that counts.
    pub version: String,
    /// Whether that denies everything already.
    pub is_denied: bool,
    /// The version that makes room for another, when there are five.
    pub makes_room: Option<String>,
}

/// Something that was done, and how long after the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// In words.
    pub did: String,
    /// Since the first call that changed something.
    pub after: Duration,
}

impl<C: Cloud + Doors + Versions + Cutter> Operator<'_, C> {
    /// What [`Self::stop_claims`] would stop: these certificates, or all that have the claim policy. Reads only.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn claims(&self, fleet: &Fleet, named: &[CertificateId]) -> Result<Claims, PlanError> {
        let (cloud, patience, names) = (self.tools.cloud, self.tools.making, &fleet.names);
        let ids = match named {
            [] => {
                let policy = &names.claim_policy;
                let listed = patience.call(|_| {}, || cloud.policy_certificates(policy)).await;
                listed.map_err(failed(policy.as_str()))?
            }
            named => named.to_vec(),
        };
        let mut certificates = Vec::new();
        for id in ids {
            let found = patience.call(|_| {}, || cloud.describe_certificate(&id)).await;
            certificates.push((id, found.map_err(failed(&format!("certificate {id}")))?.status));
        }
        let mut templates = Vec::new();
        for name in [&names.claim_template, &names.recovery_template] {
            let found = self.look(&Key::new(Kind::Template, name.as_str())).await?;
            if let Some(Spec::Template { enabled, .. }) = found.map(|found| found.spec) {
                templates.push((name.clone(), enabled));
            }
        }
        Ok(Claims { certificates, templates })
    }

    /// Stops claims: their certificates become INACTIVE, the templates are disabled, and what `clients` are connected with
    /// is cut. Run again, it goes on.
    ///
    /// # Errors
    /// When a call fails, or what was there before cannot be kept.
    pub async fn stop_claims(
        &mut self,
        claims: &Claims,
        clients: &[ClientId],
        ending: &Ending,
    ) -> Result<(Vec<Step>, Vec<Cut>), PlanError> {
        self.resume().await?;
        let mut stopped = Stopped::read(&self.directory)?;
        for (id, status) in claims.certificates.iter().filter(|(_, status)| may_stop(*status)) {
            stopped.claims.insert(*id, *status);
        }
        for (name, _) in claims.templates.iter().filter(|(_, enabled)| *enabled) {
            stopped.templates.insert(name.clone());
        }
        self.keep(&mut stopped, &ending.why)?;
        let begun = self.now();
        let mut steps = Vec::new();
        for (id, status) in claims.certificates.iter().filter(|(_, status)| may_stop(*status)) {
            self.set_status("deactivate", id, (*status, CertificateStatus::Inactive), &ending.why).await?;
            steps.push(self.step_done(begun, format!("claim certificate {id} is INACTIVE")));
        }
        for (name, _) in &claims.templates {
            if self.switch(name, false, &ending.why).await?.is_some() {
                steps.push(self.step_done(begun, format!("provisioning template {name} is disabled")));
            }
        }
        let clients = clients.iter().map(|client| (client.clone(), None));
        let cuts = self.cut_all(clients.collect(), ending).await?;
        Ok((steps, cuts))
    }

    /// What [`Self::stop_policy`] would do. Reads only.
    ///
    /// # Errors
    /// When there is no such policy, or a call fails.
    pub async fn denial(&self, policy: &PolicyName) -> Result<Denial, PlanError> {
        let (cloud, patience) = (self.tools.cloud, self.tools.making);
        let what = format!("policy {policy}");
        let document = patience.call(|_| {}, || cloud.policy_in_force(policy)).await;
        let document = document.map_err(failed(&what))?;
        let versions = patience.call(|_| {}, || cloud.policy_versions(policy)).await;
        let versions = versions.map_err(failed(&what))?;
        let version = versions.iter().find(|version| version.is_default).map(|version| version.id.clone());
        Ok(Denial {
            policy: policy.clone(),
            version: version.unwrap_or_default(),
            is_denied: denies_all(&document),
            makes_room: surplus(&versions),
        })
    }

    /// Makes a version that denies everything the one that counts. Run again, it changes nothing.
    ///
    /// # Errors
    /// When a call fails, or what was there before cannot be kept.
    pub async fn stop_policy(&mut self, denial: &Denial, why: &str) -> Result<Vec<Step>, PlanError> {
        if denial.is_denied {
            return Ok(Vec::new());
        }
        self.resume().await?;
        let policy = &denial.policy;
        let mut stopped = Stopped::read(&self.directory)?;
        stopped.policies.insert(policy.clone(), denial.version.clone());
        self.keep(&mut stopped, why)?;
        let begun = self.now();
        let change = Change {
            action: "deny all",
            what: format!("policy {policy}"),
            why: Some(why.to_owned()),
            before: Some(json!({ "default": denial.version, "dropped": denial.makes_room })),
            after: Some(json!({ "document": DENY_ALL })),
        };
        let patience = self.tools.making;
        let work = async |tools: &Tools<'_, C>| patience.call(|_| {}, || deny_all(tools.cloud, policy)).await;
        self.journaled(change, work).await?;
        let did = format!("policy {policy} denies everything; version {} counted before", denial.version);
        Ok(vec![self.step_done(begun, did)])
    }

    async fn set_status(
        &mut self,
        action: &'static str,
        id: &CertificateId,
        (before, after): (CertificateStatus, CertificateStatus),
        why: &str,
    ) -> Result<(), PlanError> {
        let change = Change {
            action,
            what: format!("certificate {id}"),
            why: Some(why.to_owned()),
            before: Some(json!({ "status": before })),
            after: Some(json!({ "status": after })),
        };
        let patience = self.tools.making;
        let work = async |tools: &Tools<'_, C>| {
            patience.call(|_| {}, || tools.cloud.update_certificate(id, after)).await
        };
        self.journaled(change, work).await
    }

    fn keep(&self, stopped: &mut Stopped, why: &str) -> Result<(), PlanError> {
        stopped.since.get_or_insert_with(|| self.now());
        why.clone_into(&mut stopped.why);
        Ok(stopped.write(&self.directory)?)
    }

    fn step_done(&self, begun: Timestamp, did: String) -> Step {
        Step { did, after: self.now().since(begun) }
    }
}

/// One that is INACTIVE already is somebody else's decision, and REVOKED ends for good.
fn may_stop(status: CertificateStatus) -> bool {
    status == CertificateStatus::Active
}

/// Whether a document is the one that stops everybody.
fn denies_all(document: &str) -> bool {
    let parse = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    parse(document) == parse(DENY_ALL)
}

/// The oldest version that does not count, when there is no room for another.
fn surplus(versions: &[PolicyVersion]) -> Option<String> {
    let oldest = versions.iter().find(|version| !version.is_default);
    oldest.filter(|_| versions.len() >= VERSIONS).map(|version| version.id.clone())
}

/// May be repeated: an answer that was lost is seen by what counts now.
async fn deny_all<C: Versions>(cloud: &C, policy: &PolicyName) -> Done {
    if denies_all(&cloud.policy_in_force(policy).await?) {
        return Ok(());
    }
    if let Some(oldest) = surplus(&cloud.policy_versions(policy).await?) {
        cloud.drop_policy_version(policy, &oldest).await?;
    }
    cloud.add_policy_version(policy, DENY_ALL).await
}
