//! Policies of AWS IoT: made, replaced by a new default version, detached from everything and deleted.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::PolicyName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::cloud::{Found, Spec, Tags};
use fleetkey_operator::control_plane::{ApiError, Done};
use fleetkey_operator::plan::{Patience, PolicyVersion};

use crate::Aws;
use crate::error::{gone, incomplete, optional, refused};
use crate::permit::Command::{Cleanup, Pages, PanicClaim, PanicPolicy, PanicUndo, Setup, Status};
use crate::permit::{On, Permit};
use crate::tags;

pub(crate) const PERMITS: &[Permit] = &[
    Permit {
        call: "iot:GetPolicy",
        also: &[],
        on: On::Policies,
        by: &[Setup, Cleanup, Status, PanicPolicy, PanicUndo],
    },
    Permit { call: "iot:CreatePolicy", also: &["iot:TagResource"], on: On::Policies, by: &[Setup] },
    Permit { call: "iot:CreatePolicyVersion", also: &[], on: On::Policies, by: &[Setup, PanicPolicy] },
    Permit {
        call: "iot:ListPolicyVersions",
        also: &[],
        on: On::Policies,
        by: &[Setup, Cleanup, Pages, PanicPolicy, PanicUndo],
    },
    Permit { call: "iot:GetPolicyVersion", also: &[], on: On::Policies, by: &[Pages] },
    Permit {
        call: "iot:DeletePolicyVersion",
        also: &[],
        on: On::Policies,
        by: &[Setup, Cleanup, PanicPolicy, PanicUndo],
    },
    Permit { call: "iot:SetDefaultPolicyVersion", also: &[], on: On::Policies, by: &[PanicUndo] },
    Permit { call: "iot:ListTargetsForPolicy", also: &[], on: On::Policies, by: &[Cleanup, PanicClaim] },
    // Somebody may have attached it to a group of theirs.
    Permit { call: "iot:DetachPolicy", also: &[], on: On::Targets, by: &[Cleanup] },
    Permit { call: "iot:DeletePolicy", also: &[], on: On::Policies, by: &[Cleanup] },
];

/// How many versions a policy can have (Service Quotas).
const VERSIONS: usize = 5;

/// A version of a policy as it was written (API Reference, GetPolicyVersion).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenVersion {
    /// Its number.
    pub id: String,
    /// The document.
    pub document: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whether it is the one that counts.
    pub is_default: bool,
}

impl Aws {
    pub(crate) async fn look_at_policy(&self, name: &str) -> Result<Option<Found>, ApiError> {
        let answer = optional(self.iot.get_policy().policy_name(name).send().await.map_err(refused))?;
        let Some(policy) = answer else {
            return Ok(None);
        };
        let document = policy.policy_document().ok_or_else(|| incomplete("policyDocument"))?.to_owned();
        let arn = policy.policy_arn().ok_or_else(|| incomplete("policyArn"))?;
        let Some(tags) = optional(self.iot_tags(arn).await)? else {
            return Ok(None);
        };
        Ok(Some(Found { spec: Spec::Policy { document }, tags }))
    }

    pub(crate) async fn make_policy(&self, name: &str, document: &str, tags: &Tags) -> Done {
        let call = self.iot.create_policy().policy_name(name).policy_document(document);
        call.set_tags(Some(tags::iot(tags)?)).send().await.map(drop).map_err(refused)
    }

    /// Makes a new default version, after making room among the five.
    pub(crate) async fn change_policy(&self, name: &str, document: &str) -> Done {
        let old = self.other_versions(name).await?;
        if old.len() + 1 >= VERSIONS
            && let Some(oldest) = old.first()
        {
            self.drop_version(name, oldest).await?;
        }
        self.make_version(name, document).await
    }

    /// A new default version; there must be room for it.
    pub(crate) async fn make_version(&self, name: &str, document: &str) -> Done {
        let call = self.iot.create_policy_version().policy_name(name).policy_document(document);
        call.set_as_default(true).send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn prefer_version(&self, name: &PolicyName, version: &str) -> Done {
        let call = self.iot.set_default_policy_version().policy_name(name.as_str());
        call.policy_version_id(version).send().await.map(drop).map_err(refused)
    }

    /// How many versions there are (ListPolicyVersions).
    ///
    /// # Errors
    /// When the account does not tell, or there is no such policy.
    pub async fn count_versions(&self, name: &PolicyName) -> Result<usize, ApiError> {
        Ok(self.versions_of(name.as_str()).await?.len())
    }

    /// All versions with their documents, oldest first (ListPolicyVersions, and GetPolicyVersion for each). One that is deleted
    /// meanwhile is left out.
    ///
    /// # Errors
    /// When the account does not tell, or there is no such policy.
    pub async fn written_versions(&self, name: &PolicyName) -> Result<Vec<WrittenVersion>, ApiError> {
        let mut written = Vec::new();
        for PolicyVersion { id, is_default } in self.versions_of(name.as_str()).await? {
            let call = self.iot.get_policy_version().policy_name(name.as_str()).policy_version_id(&id);
            let Some(found) = optional(call.send().await.map_err(refused))? else {
                continue;
            };
            let created = found.creation_date().and_then(|date| date.to_millis().ok());
            let created = created.and_then(|millis| u64::try_from(millis).ok()).map(Timestamp::from_millis);
            let document = found.policy_document.ok_or_else(|| incomplete("policyDocument"))?;
            written.push(WrittenVersion { id, document, created, is_default });
        }
        Ok(written)
    }

    /// The document that counts.
    pub(crate) async fn document_in_force(&self, name: &PolicyName) -> Result<String, ApiError> {
        let answer = self.iot.get_policy().policy_name(name.as_str()).send().await.map_err(refused)?;
        answer.policy_document.ok_or_else(|| incomplete("policyDocument"))
    }

    /// Detaches the policy from everything, deletes its versions and itself.
    pub(crate) async fn drop_policy(&self, name: &str) -> Done {
        for target in self.policy_targets(name).await? {
            let call = self.iot.detach_policy().policy_name(name).target(target);
            gone(call.send().await.map_err(refused))?;
        }
        for version in optional(self.other_versions(name).await)?.unwrap_or_default() {
            self.drop_version(name, &version).await?;
        }
        gone(self.iot.delete_policy().policy_name(name).send().await.map_err(refused))
    }

    /// The certificates among the targets of a policy.
    pub(crate) async fn certificates_of_policy(
        &self,
        policy: &PolicyName,
    ) -> Result<Vec<CertificateId>, ApiError> {
        let targets = self.policy_targets(policy.as_str()).await?;
        Ok(targets.iter().filter_map(|arn| arn.rsplit_once("cert/")?.1.parse().ok()).collect())
    }

    async fn policy_targets(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let mut targets = Vec::new();
        let mut marker = None;
        loop {
            let call = self.iot.list_targets_for_policy().policy_name(name).set_marker(marker).page_size(250);
            // As a group's members: a throttle is waited out at its page.
            let ask = || {
                let sent = call.clone().send();
                async { sent.await.map_err(refused) }
            };
            let Some(page) = optional(Patience::page(ask).await)? else {
                return Ok(targets);
            };
            targets.extend(page.targets().iter().cloned());
            marker = page.next_marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
            if marker.is_none() {
                return Ok(targets);
            }
        }
    }

    /// The versions that are not the default, oldest first.
    async fn other_versions(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let versions = self.versions_of(name).await?;
        Ok(versions.into_iter().filter(|version| !version.is_default).map(|version| version.id).collect())
    }

    /// All versions, oldest first.
    pub(crate) async fn versions_of(&self, name: &str) -> Result<Vec<PolicyVersion>, ApiError> {
        let page = self.iot.list_policy_versions().policy_name(name).send().await.map_err(refused)?;
        let version = |found: &aws_sdk_iot::types::PolicyVersion| {
            let is_default = found.is_default_version();
            Some(PolicyVersion { id: found.version_id()?.to_owned(), is_default })
        };
        let mut versions: Vec<_> = page.policy_versions().iter().filter_map(version).collect();
        versions.sort_by_key(|version| version.id.parse::<u64>().unwrap_or(u64::MAX));
        Ok(versions)
    }

    pub(crate) async fn drop_version(&self, name: &str, version: &str) -> Done {
        let call = self.iot.delete_policy_version().policy_name(name).policy_version_id(version);
        gone(call.send().await.map_err(refused))
    }
}
