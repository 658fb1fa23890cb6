//! The way back from a panic: what stands in its file is restored, one after the other, each taken off the file when it is
//! done. What somebody else has changed meanwhile stays as they have made it.

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{PolicyName, TemplateName};
use serde_json::json;

use super::{Stopped, Versions, denies_all};
use crate::cloud::{Cloud, Key, Kind};
use crate::control_plane::ApiError;
use crate::plan::credential::failed;
use crate::plan::{Change, Cutter, Doors, Operator, PlanError, Tools};
use crate::recovery::Windows;

/// What became of one thing that was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What it is.
    pub what: String,
    /// What became of it, in words.
    pub outcome: String,
}

impl<C: Cloud + Doors + Versions + Cutter> Operator<'_, C> {
    /// Restores all that a panic has stopped: policies, then claims, then templates. Killed, the next run goes on.
    ///
    /// # Errors
    /// When a call fails; what was restored is off the file.
    pub async fn restart(&mut self, recovery: &TemplateName, why: &str) -> Result<Vec<Restored>, PlanError> {
        self.resume().await?;
        let mut stopped = Stopped::read(&self.directory)?;
        let mut restored = Vec::new();
        while let Some((policy, version)) = stopped.policies.first_key_value() {
            let (policy, version) = (policy.clone(), version.clone());
            let outcome = self.allow_again(&policy, &version, why).await?;
            restored.push(Restored { what: format!("policy {policy}"), outcome });
            stopped.policies.remove(&policy);
            stopped.write(&self.directory)?;
        }
        while let Some((id, status)) = stopped.claims.first_key_value() {
            let (id, status) = (*id, *status);
            let outcome = self.activate_again(&id, status, why).await?;
            restored.push(Restored { what: format!("claim certificate {id}"), outcome });
            stopped.claims.remove(&id);
            stopped.write(&self.directory)?;
        }
        while let Some(name) = stopped.templates.first().cloned() {
            let outcome = self.enable_again(&name, recovery, why).await?;
            restored.push(Restored { what: format!("provisioning template {name}"), outcome });
            stopped.templates.remove(&name);
            stopped.write(&self.directory)?;
        }
        Ok(restored)
    }

    async fn allow_again(
        &mut self,
        policy: &PolicyName,
        version: &str,
        why: &str,
    ) -> Result<String, PlanError> {
        let (cloud, patience) = (self.tools.cloud, self.tools.making);
        let what = format!("policy {policy}");
        let document = match patience.call(|_| {}, || cloud.policy_in_force(policy)).await {
            Err(ApiError::NotFound(_)) => return Ok("it is gone".to_owned()),
            answer => answer.map_err(failed(&what))?,
        };
        let versions = patience.call(|_| {}, || cloud.policy_versions(policy)).await;
        let versions = versions.map_err(failed(&what))?;
        let current = versions.iter().find(|found| found.is_default).map(|found| found.id.clone());
        let current = current.unwrap_or_default();
        if !denies_all(&document) {
            return Ok(format!("version {current} counts, which does not deny everything: it is left so"));
        }
        let change = Change {
            action: "allow again",
            what,
            why: Some(why.to_owned()),
            before: Some(json!({ "default": current })),
            after: Some(json!({ "default": version })),
        };
        let work = async |tools: &Tools<'_, C>| {
            let cloud = tools.cloud;
            patience.call(|_| {}, || cloud.prefer_policy_version(policy, version)).await?;
            patience.call(|_| {}, || cloud.drop_policy_version(policy, &current)).await
        };
        self.journaled(change, work).await?;
        Ok(format!("version {version} counts again"))
    }

    async fn activate_again(
        &mut self,
        id: &CertificateId,
        before: CertificateStatus,
        why: &str,
    ) -> Result<String, PlanError> {
        let (cloud, patience) = (self.tools.cloud, self.tools.making);
        let found = match patience.call(|_| {}, || cloud.describe_certificate(id)).await {
            Err(ApiError::NotFound(_)) => return Ok("it is gone".to_owned()),
            answer => answer.map_err(failed(&format!("certificate {id}")))?.status,
        };
        if found != CertificateStatus::Inactive {
            return Ok(format!("it is {found}, and is left so"));
        }
        self.set_status("reactivate", id, (found, before), why).await?;
        Ok(format!("{before} again"))
    }

    /// The recovery template is enabled again only if a window is open still.
    async fn enable_again(
        &mut self,
        name: &TemplateName,
        recovery: &TemplateName,
        why: &str,
    ) -> Result<String, PlanError> {
        let windows = Windows::read(&self.directory)?;
        if name == recovery && windows.open_at(self.now()).is_empty() {
            return Ok("its recovery windows are over: it stays disabled".to_owned());
        }
        if self.look(&Key::new(Kind::Template, name.as_str())).await?.is_none() {
            return Ok("it is gone".to_owned());
        }
        self.switch(name, true, why).await?;
        Ok("enabled again".to_owned())
    }
}
