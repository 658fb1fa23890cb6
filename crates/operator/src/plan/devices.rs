//! Takes devices out of an account: their certificates, then their things.
//!
//! A certificate hangs on its thing and its policy until it is gone, and once it is detached from both nothing leads to
//! it any more. So it is noted as leaving, durably, before the first call; every run finishes what is leaving first.
//! What a run has removed it looks for once more at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{PolicyName, ThingName};
use serde_json::json;

use super::apply::waiting;
use super::credential::failed;
use super::{Change, Event, Operator, PlanError, Tools};
use crate::cloud::{Cloud, Key, Kind, Tags};
use crate::control_plane::{ApiError, Done};
use crate::documents::{CERTIFICATE_ATTRIBUTE, Fleet};

/// What was removed, and must not be found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trace {
    /// A certificate.
    Certificate(CertificateId),
    /// A thing.
    Thing(ThingName),
}

/// A certificate and what it hangs on.
struct Hanging {
    status: CertificateStatus,
    policies: Vec<PolicyName>,
    things: Vec<ThingName>,
}

impl<C: Cloud> Operator<'_, C> {
    /// Removes a device: its certificates and its thing; what was removed, in words, empty when nothing was there.
    ///
    /// # Errors
    /// When the thing was not provisioned by a fleet of ours and `force` was not given; when a call fails.
    pub async fn decommission(&mut self, thing: &ThingName) -> Result<Vec<String>, PlanError> {
        self.finish_leaving().await?;
        let Some(attributes) = self.attributes(thing).await? else {
            return Ok(Vec::new());
        };
        if !attributes.contains_key(CERTIFICATE_ATTRIBUTE) && !self.force {
            return Err(PlanError::ForeignThing(thing.to_string()));
        }
        self.remove_thing(thing, &attributes).await
    }

    /// Whether nothing of a device is left in the account: neither the thing nor a certificate that this run has removed.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn is_gone(&self, thing: &ThingName) -> Result<bool, PlanError> {
        let gone = self.attributes(thing).await?.is_none() && self.state.leaving.is_empty();
        Ok(gone && self.returned().await?.is_empty())
    }

    /// What this run has removed and the account still has, in words.
    pub(super) async fn returned(&self) -> Result<Vec<String>, PlanError> {
        let cloud = self.tools.cloud;
        let mut found = Vec::new();
        for trace in &self.traces {
            match trace {
                Trace::Thing(thing) => {
                    found.extend(self.attributes(thing).await?.map(|_| format!("thing {thing}")));
                }
                Trace::Certificate(id) => {
                    match self.tools.making.call(|_| {}, || cloud.describe_certificate(id)).await {
                        Err(ApiError::NotFound(_)) => {}
                        answer => {
                            answer.map_err(failed("a removed certificate"))?;
                            found.push(format!("certificate {}", id.short()));
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    /// The devices that our templates have provisioned, with their attributes: the members of our group, and whatever
    /// else holds the device policy. A group or policy of that name that is not among `ours` leads to strangers.
    pub(super) async fn devices(
        &self,
        fleet: &Fleet,
        ours: &BTreeSet<Key>,
    ) -> Result<BTreeMap<ThingName, Tags>, PlanError> {
        let cloud = self.tools.cloud;
        let mut things = BTreeSet::new();
        let group = &fleet.names.group;
        if ours.contains(&Key::new(Kind::Group, group.as_str())) {
            let call = self.tools.making.call(|_| {}, || cloud.group_things(group)).await;
            things.extend(call.map_err(failed(group.as_str()))?);
        }
        let policy = &fleet.names.device_policy;
        if ours.contains(&Key::new(Kind::Policy, policy.as_str())) {
            let call = self.tools.making.call(|_| {}, || cloud.policy_certificates(policy)).await;
            for id in call.map_err(failed(policy.as_str()))? {
                let call = self.tools.making.call(|_| {}, || cloud.certificate_things(&id)).await;
                things.extend(call.map_err(failed("a device's certificate"))?);
            }
        }
        let mut devices = BTreeMap::new();
        for thing in things {
            let attributes = self.attributes(&thing).await?.unwrap_or_default();
            if attributes.contains_key(CERTIFICATE_ATTRIBUTE) || self.force {
                devices.insert(thing, attributes);
            }
        }
        Ok(devices)
    }

    /// Removes every device of ours. What has none of our marks keeps its certificate and only loses the policy, with the
    /// policy.
    pub(super) async fn remove_devices(
        &mut self,
        fleet: &Fleet,
        ours: &BTreeSet<Key>,
    ) -> Result<Vec<String>, PlanError> {
        let mut removed = Vec::new();
        for (thing, attributes) in self.devices(fleet, ours).await? {
            removed.extend(self.remove_thing(&thing, &attributes).await?);
        }
        Ok(removed)
    }

    /// The certificates that hold nothing but policies of this fleet and are on no thing, each with one of them: our own
    /// of a directory that was lost, a device's whose thing somebody has deleted. Without the policies they may do
    /// nothing, and nothing leads to them.
    pub(super) async fn bereft(
        &self,
        ours: &BTreeSet<Key>,
    ) -> Result<BTreeMap<CertificateId, PolicyName>, PlanError> {
        let cloud = self.tools.cloud;
        let is_ours = |policy: &PolicyName| ours.contains(&Key::new(Kind::Policy, policy.as_str()));
        let policies = ours.iter().filter(|key| key.kind == Kind::Policy);
        let mut bereft = BTreeMap::new();
        for policy in policies.filter_map(|key| PolicyName::new(key.name.as_str()).ok()) {
            let call = self.tools.making.call(|_| {}, || cloud.policy_certificates(&policy)).await;
            for id in call.map_err(failed(policy.as_str()))? {
                let call = self.tools.making.call(|_| {}, || cloud.attached_policies(&id)).await;
                if !call.map_err(failed("a certificate"))?.iter().all(is_ours) {
                    continue;
                }
                let call = self.tools.making.call(|_| {}, || cloud.certificate_things(&id)).await;
                if call.map_err(failed("a certificate"))?.is_empty() {
                    bereft.insert(id, policy.clone());
                }
            }
        }
        Ok(bereft)
    }

    /// Removes them.
    pub(super) async fn remove_bereft(&mut self, ours: &BTreeSet<Key>) -> Result<Vec<String>, PlanError> {
        let mut removed = Vec::new();
        for (id, policy) in self.bereft(ours).await? {
            self.remove_certificate(&id).await?;
            removed.push(format!("certificate {} with {policy}", id.short()));
        }
        Ok(removed)
    }

    pub(super) async fn attributes(&self, thing: &ThingName) -> Result<Option<Tags>, PlanError> {
        let cloud = self.tools.cloud;
        let call = self.tools.making.call(|_| {}, || cloud.thing(thing)).await;
        call.map_err(failed(thing.as_str()))
    }

    async fn remove_thing(&mut self, thing: &ThingName, attributes: &Tags) -> Result<Vec<String>, PlanError> {
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
        let before = Some(json!({ "attributes": attributes }));
        let change = Change { action: "delete", what: what.clone(), why: None, before, after: None };
        self.journaled(change, async |tools: &Tools<'_, C>| {
            tools.deleting.call(waiting(tools, &what), || tools.cloud.delete_thing(thing)).await
        })
        .await?;
        self.traces.push(Trace::Thing(thing.clone()));
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
        let cloud = self.tools.cloud;
        let first = self.tools.making.call(|_| {}, || hanging(cloud, id)).await.map_err(failed(&what))?;
        if let Some(first) = first {
            let before = Some(json!({
                "certificate": id, "status": first.status, "policies": first.policies, "things": first.things,
            }));
            let change = Change { action: "delete", what: what.clone(), why: None, before, after: None };
            let first = Mutex::new(Some(first));
            self.journaled(change, async |tools: &Tools<'_, C>| {
                let attempt = || {
                    let known = first.lock().unwrap_or_else(PoisonError::into_inner).take();
                    dismantle(tools.cloud, id, known)
                };
                tools.deleting.call(waiting(tools, &what), attempt).await
            })
            .await?;
        }
        self.traces.push(Trace::Certificate(*id));
        self.state.leaving.remove(id);
        self.save()
    }
}

/// What a certificate hangs on; `None` when there is none.
async fn hanging<C: Cloud>(cloud: &C, id: &CertificateId) -> Result<Option<Hanging>, ApiError> {
    let status = match cloud.describe_certificate(id).await {
        Ok(found) => found.status,
        Err(ApiError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let policies = cloud.attached_policies(id).await?;
    Ok(Some(Hanging { status, policies, things: cloud.certificate_things(id).await? }))
}

/// One attempt at removing a certificate, from what is `known` of it or by looking again; a conflict says that a
/// detachment is not through yet.
async fn dismantle<C: Cloud>(cloud: &C, id: &CertificateId, known: Option<Hanging>) -> Done {
    let known = match known {
        Some(known) => Some(known),
        None => hanging(cloud, id).await?,
    };
    let Some(Hanging { status, policies, things }) = known else {
        return Ok(());
    };
    for policy in policies {
        gone(cloud.detach_policy(&policy, id).await)?;
    }
    if status == CertificateStatus::Active {
        gone(cloud.update_certificate(id, CertificateStatus::Inactive).await)?;
    }
    for thing in things {
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
