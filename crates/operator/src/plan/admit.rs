//! A certificate for a key that a device keeps: issued for its request, or signed elsewhere; then registered for its thing.
//!
//! It is INACTIVE until all else is done, so that nobody meets it half made. Each step may be repeated, and a run that was
//! cut short is completed by the next: what was issued for the same key is found again, what is registered stays so.

use std::future::Future;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{PolicyName, ThingName};
use serde_json::json;

use super::credential::failed;
use super::{Change, Operator, PlanError, Tools};
use crate::cloud::{Cloud, Issued};
use crate::control_plane::{ApiError, ControlPlane, Done};

/// How old a certificate may be that an earlier run has had issued for the same request.
const RECENT: Duration = Duration::from_secs(7 * 86_400);

/// Registers certificates that the account has not made, and attaches them.
pub trait Registrar: ControlPlane {
    /// RegisterCertificateWithoutCA, INACTIVE; [`ApiError::AlreadyExists`] for one that is registered.
    fn register(&self, pem: &str) -> impl Future<Output = Done> + Send;

    /// AttachThingPrincipal, exclusively: thing policy variables resolve for any client id then.
    fn attach_thing(
        &self,
        thing: &ThingName,
        certificate: &CertificateId,
    ) -> impl Future<Output = Done> + Send;
}

/// What is to become of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The certificate.
    pub certificate: CertificateId,
    /// In PEM, where the account has not made it.
    pub foreign: Option<String>,
    /// The thing that it is for.
    pub thing: ThingName,
    /// What it is to be allowed.
    pub policy: PolicyName,
}

impl<C: Cloud + Registrar> Operator<'_, C> {
    /// That a thing is there.
    ///
    /// # Errors
    /// When it is not, or a call fails.
    pub async fn expect_thing(&self, thing: &ThingName) -> Result<(), PlanError> {
        match self.attributes(thing).await? {
            Some(_) => Ok(()),
            None => Err(PlanError::NoThing(thing.to_string())),
        }
    }

    /// Has the account sign a request, INACTIVE; what an earlier run has had signed for the same key is taken again,
    /// unless it was revoked.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn issue_for(&mut self, thing: &ThingName, csr: &str, key: &[u8]) -> Result<Issued, PlanError> {
        let cloud = self.tools.cloud;
        let what = format!("certificate for the request of {thing}");
        let since = self.now() - RECENT;
        let found = self.tools.making.call(|_| {}, || cloud.certificates_for_key(key, since)).await;
        let found = found.map_err(failed(&what))?;
        let usable = |issued: &Issued| issued.status.may_become(CertificateStatus::Active);
        if let Some(issued) = found.into_iter().find(usable) {
            return Ok(issued);
        }
        let change = Change { action: "create", what, why: None, before: None, after: None };
        // Not repeated where no answer came: the next run finds what was issued.
        let work = async |tools: &Tools<'_, C>| tools.cloud.certificate_from_csr(csr).await;
        let made = |issued: &Issued| Some(json!({ "certificate": issued.id, "status": issued.status }));
        self.journaled_as(change, work, made).await
    }

    /// Deletes a certificate that was issued and is of no use; nothing hangs on it yet.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn withdraw(&mut self, id: &CertificateId, why: &str) -> Result<(), PlanError> {
        let change = Change {
            action: "delete",
            what: format!("certificate {id}"),
            why: Some(why.to_owned()),
            before: Some(json!({ "status": CertificateStatus::Inactive })),
            after: None,
        };
        let patience = self.tools.making;
        let work = async |tools: &Tools<'_, C>| match patience
            .call(|_| {}, || tools.cloud.delete_certificate(id))
            .await
        {
            Err(ApiError::NotFound(_)) => Ok(()),
            answer => answer,
        };
        self.journaled(change, work).await
    }

    /// Registers a certificate for a thing, with a policy, and makes it ACTIVE, in this order.
    ///
    /// # Errors
    /// When a call fails; what was done stays, and the same call goes on from there.
    pub async fn admit(&mut self, admission: &Admission) -> Result<(), PlanError> {
        let Admission { certificate: id, foreign, thing, policy } = admission;
        let after = json!({
            "certificate": id, "status": CertificateStatus::Active, "policies": [policy], "thing": thing,
        });
        let change = Change {
            action: "activate",
            what: format!("certificate {id} of {thing}"),
            why: Some("for a key that the device keeps".to_owned()),
            before: None,
            after: Some(after),
        };
        let patience = self.tools.making;
        let work = async |tools: &Tools<'_, C>| {
            let cloud = tools.cloud;
            if let Some(pem) = foreign {
                match patience.call(|_| {}, || cloud.register(pem)).await {
                    Err(ApiError::AlreadyExists(_)) => {}
                    answer => answer?,
                }
            }
            patience.call(|_| {}, || cloud.attach_policy(policy, id)).await?;
            patience.call(|_| {}, || cloud.attach_thing(thing, id)).await?;
            let active = CertificateStatus::Active;
            patience.call(|_| {}, || cloud.update_certificate(id, active)).await
        };
        self.journaled(change, work).await
    }
}
