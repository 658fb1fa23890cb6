//! Takes devices out of an account: their certificates, then their things.
//!
//! A certificate hangs on its thing and its policy until it is gone, and once it is detached from both nothing leads to
//! it any more. So it is noted as leaving, durably, before the first call; every run finishes what is leaving first.

use std::collections::BTreeSet;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{PolicyName, ThingName};

use super::apply::waiting;
use super::credential::failed;
use super::{Change, Event, Operator, PlanError, Tools};
use crate::cloud::{Cloud, Key, Kind};
use crate::control_plane::{ApiError, Done};
use crate::documents::{CERTIFICATE_ATTRIBUTE, Fleet};

impl<C: Cloud> Operator<'_, C> {
    /// Removes a device: its certificates and its thing; what was removed, in words, empty when nothing was there.
    ///
    /// # Errors
    /// When the thing was not provisioned by a fleet of ours and `force` was not given; when a call fails.
    pub async fn decommission(&mut self, thing: &ThingName) -> Result<Vec<String>, PlanError> {
        self.finish_leaving().await?;
        let cloud = self.tools.cloud;
        let call = self.tools.making.call(|_| {}, || cloud.thing(thing)).await;
        let Some(attributes) = call.map_err(failed(thing.as_str()))? else {
            return Ok(Vec::new());
        };
        if !attributes.contains_key(CERTIFICATE_ATTRIBUTE) && !self.force {
            return Err(PlanError::ForeignThing(thing.to_string()));
        }
        self.remove_thing(thing).await
    }

    /// Whether nothing of a device is left in the account.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn is_gone(&self, thing: &ThingName) -> Result<bool, PlanError> {
        let cloud = self.tools.cloud;
        let found = self.tools.making.call(|_| {}, || cloud.thing(thing)).await;
        Ok(found.map_err(failed(thing.as_str()))?.is_none() && self.state.leaving.is_empty())
    }

    /// Removes every device that our templates have provisioned: the members of our group, and whatever else holds the
    /// device policy. What has none of our marks keeps its certificate and only loses the policy, with the policy.
    pub(super) async fn remove_devices(
        &mut self,
        fleet: &Fleet,
        ours: &BTreeSet<Key>,
    ) -> Result<Vec<String>, PlanError> {
        let cloud = self.tools.cloud;
        let group = &fleet.names.group;
        let call = self.tools.making.call(|_| {}, || cloud.group_things(group)).await;
        let mut things: BTreeSet<ThingName> = call.map_err(failed(group.as_str()))?.into_iter().collect();
        let policy = &fleet.names.device_policy;
        if ours.contains(&Key::new(Kind::Policy, policy.as_str())) {
            let call = self.tools.making.call(|_| {}, || cloud.policy_certificates(policy)).await;
            for id in call.map_err(failed(policy.as_str()))? {
                let call = self.tools.making.call(|_| {}, || cloud.certificate_things(&id)).await;
                things.extend(call.map_err(failed("a device's certificate"))?);
            }
        }
        let mut removed = Vec::new();
        for thing in things {
            let call = self.tools.making.call(|_| {}, || cloud.thing(&thing)).await;
            let attributes = call.map_err(failed(thing.as_str()))?.unwrap_or_default();
            if attributes.contains_key(CERTIFICATE_ATTRIBUTE) || self.force {
                removed.extend(self.remove_thing(&thing).await?);
            }
        }
        Ok(removed)
    }

    /// Removes the certificates that hold nothing but policies of this fleet and are on no thing: our own of a directory
    /// that was lost, a device's whose thing somebody has deleted. Without the policies they may do nothing, and
    /// nothing leads to them.
    pub(super) async fn remove_bereft(&mut self, ours: &BTreeSet<Key>) -> Result<Vec<String>, PlanError> {
        let cloud = self.tools.cloud;
        let is_ours = |policy: &PolicyName| ours.contains(&Key::new(Kind::Policy, policy.as_str()));
        let mut removed = Vec::new();
        for policy in ours.iter().filter_map(|key| PolicyName::new(key.name.as_str()).ok()) {
            let call = self.tools.making.call(|_| {}, || cloud.policy_certificates(&policy)).await;
            for id in call.map_err(failed(policy.as_str()))? {
                let call = self.tools.making.call(|_| {}, || cloud.attached_policies(&id)).await;
                if !call.map_err(failed("a certificate"))?.iter().all(is_ours) {
                    continue;
                }
                let call = self.tools.making.call(|_| {}, || cloud.certificate_things(&id)).await;
                if call.map_err(failed("a certificate"))?.is_empty() {
                    self.remove_certificate(&id).await?;
                    removed.push(format!("certificate {} with {policy}", id.short()));
                }
            }
        }
        Ok(removed)
    }

    async fn remove_thing(&mut self, thing: &ThingName) -> Result<Vec<String>, PlanError> {
        let what = format!("thing {thing}");
        self.tools.progress.tell(Event::Start { action: "delete", what: &what });
        let cloud = self.tools.cloud;
        let call = self.tools.making.call(|_| {}, || cloud.thing_certificates(thing)).await;
        let certificates = match call {
            Err(ApiError::NotFound(_)) => Vec::new(),
            answer => answer.map_err(failed(&what))?,
        };
        let mut removed = Vec::new();
        for found in certificates {
            self.remove_certificate(&found.id).await?;
            removed.push(format!("certificate {} of {what}", found.id.short()));
        }
        self.journaled(Change::of("delete", &what), async |tools: &Tools<'_, C>| {
            tools.deleting.call(waiting(tools, &what), || tools.cloud.delete_thing(thing)).await
        })
        .await?;
        self.tools.progress.tell(Event::Done { action: "delete", what: &what });
        removed.push(what);
        Ok(removed)
    }

    /// Removes the certificates that an earlier run began to remove.
    pub(super) async fn finish_leaving(&mut self) -> Result<(), PlanError> {
        for id in self.state.leaving.clone() {
            self.remove_certificate(&id).await?;
        }
        Ok(())
    }

    /// Removes a certificate with everything on it: detached from its policies, INACTIVE, detached from its things,
    /// deleted (API Reference, DeleteCertificate).
    pub(super) async fn remove_certificate(&mut self, id: &CertificateId) -> Result<(), PlanError> {
        if self.state.leaving.insert(*id) {
            self.save()?;
        }
        let what = format!("certificate {}", id.short());
        self.journaled(Change::of("delete", &what), async |tools: &Tools<'_, C>| {
            tools.deleting.call(waiting(tools, &what), || dismantle(tools.cloud, id)).await
        })
        .await?;
        self.state.leaving.remove(id);
        self.save()
    }
}

/// One attempt at removing a certificate; a conflict says that a detachment is not through yet.
async fn dismantle<C: Cloud>(cloud: &C, id: &CertificateId) -> Done {
    let status = match cloud.describe_certificate(id).await {
        Ok(found) => found.status,
        Err(ApiError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    for policy in cloud.attached_policies(id).await? {
        gone(cloud.detach_policy(&policy, id).await)?;
    }
    if status == CertificateStatus::Active {
        gone(cloud.update_certificate(id, CertificateStatus::Inactive).await)?;
    }
    for thing in cloud.certificate_things(id).await? {
        gone(cloud.detach_thing_principal(&thing, id).await)?;
    }
    gone(cloud.delete_certificate(id).await)
}

/// What is not there any more needs no removing.
fn gone(answer: Done) -> Done {
    match answer {
        Err(ApiError::NotFound(_)) => Ok(()),
        answer => answer,
    }
}
