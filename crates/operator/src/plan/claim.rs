//! Claims: giving the fleet a new one, and one for five minutes.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::TemplateName;
use serde_json::json;

use super::credential::{discard, failed, load};
use super::{Change, Operator, PlanError, Tools};
use crate::cloud::{Cloud, TemporaryClaim};
use crate::documents::Fleet;
use crate::files;
use crate::setup::Credential;

/// A claim that was exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The new one.
    pub claim: Credential,
    /// The one that it replaces, which is gone; `None` when there was none.
    pub replaced: Option<CertificateId>,
}

impl<C: Cloud> Operator<'_, C> {
    /// Makes a new claim certificate, puts it in the old one's place, and removes the old one: whoever still holds it
    /// provisions nothing more. Devices that were never provisioned need the new files.
    ///
    /// Cut short, the next run goes on: the old one waits in `claim.old` until it is gone.
    ///
    /// # Errors
    /// When the account refuses, or a file cannot be moved.
    pub async fn rotate_claim(&mut self, fleet: &Fleet) -> Result<Rotated, PlanError> {
        self.finish_leaving().await?;
        let home = self.directory.join("claim");
        let old = self.directory.join("claim.old");
        // An earlier run may have stopped between the two moves.
        if load(&old)?.is_none() && load(&home)?.is_some() {
            files::rename(&home, &old)?;
        }
        let replaced = load(&old)?.map(|credential| credential.id);
        let claim = match load(&home)? {
            Some(claim) => claim,
            None => self.make_credential("claim", &fleet.names.claim_policy).await?,
        };
        if let Some(id) = &replaced {
            self.remove_certificate(id).await?;
        }
        discard(&old)?;
        Ok(Rotated { claim, replaced })
    }

    /// A claim that the service makes for five minutes (CreateProvisioningClaim): for a person who takes one device
    /// into service and should hold nothing afterwards.
    ///
    /// # Errors
    /// When the account refuses.
    pub async fn temporary_claim(&mut self, template: &TemplateName) -> Result<TemporaryClaim, PlanError> {
        let what = format!("temporary claim of {template}");
        let change = Change { action: "create", what: what.clone(), why: None, before: None, after: None };
        let ask = async |tools: &Tools<'_, C>| {
            tools.making.call(|_| {}, || tools.cloud.provisioning_claim(template)).await
        };
        let made = |claim: &TemporaryClaim| {
            Some(json!({ "certificate": claim.id, "expires": claim.expires.to_string() }))
        };
        self.journaled_as(change, ask, made).await.map_err(|error| match error {
            PlanError::Call { error, .. } => failed(&what)(error),
            other => other,
        })
    }
}
