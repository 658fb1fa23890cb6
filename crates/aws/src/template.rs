//! Provisioning templates and their versions, and the claims that the service makes for five minutes.

use aws_sdk_iot::types::ProvisioningHook;
use fleetkey_model::name::TemplateName;
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_operator::cloud::{Found, Spec, Tags, TemporaryClaim};
use fleetkey_operator::control_plane::{ApiError, Done};

use crate::Aws;
use crate::certificate::moment;
use crate::error::{gone, incomplete, optional, refused};
use crate::permit::Command::{
    Cleanup, PanicClaim, PanicUndo, RecoveryWindow, Setup, Status, TemporaryClaim as Claiming,
};
use crate::permit::{On, Permit};
use crate::tags::{self, unfinished};

pub(crate) const PERMITS: &[Permit] = &[
    Permit {
        call: "iot:DescribeProvisioningTemplate",
        also: &[],
        on: On::Templates,
        by: &[Setup, Cleanup, Status, RecoveryWindow, PanicClaim, PanicUndo],
    },
    Permit {
        call: "iot:CreateProvisioningTemplate",
        also: &["iot:TagResource", "iam:PassRole"],
        on: On::Templates,
        by: &[Setup],
    },
    Permit { call: "iot:CreateProvisioningTemplateVersion", also: &[], on: On::Templates, by: &[Setup] },
    Permit {
        call: "iot:UpdateProvisioningTemplate",
        also: &["iam:PassRole"],
        on: On::Templates,
        by: &[Setup],
    },
    // Of `enabled` alone: no role is passed.
    Permit {
        call: "iot:UpdateProvisioningTemplate",
        also: &[],
        on: On::Templates,
        by: &[RecoveryWindow, PanicClaim, PanicUndo],
    },
    Permit {
        call: "iot:ListProvisioningTemplateVersions",
        also: &[],
        on: On::Templates,
        by: &[Setup, Cleanup],
    },
    Permit {
        call: "iot:DeleteProvisioningTemplateVersion",
        also: &[],
        on: On::Templates,
        by: &[Setup, Cleanup],
    },
    Permit { call: "iot:DeleteProvisioningTemplate", also: &[], on: On::Templates, by: &[Setup, Cleanup] },
    Permit { call: "iot:CreateProvisioningClaim", also: &[], on: On::Templates, by: &[Claiming] },
];

/// The only version of the hook's payload (API Reference, ProvisioningHook).
const PAYLOAD: &str = "2020-04-01";
/// How many versions a template can have (Service Quotas).
const VERSIONS: usize = 5;

/// A template as it is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) body: &'a str,
    pub(crate) enabled: bool,
    pub(crate) hook: Option<&'a str>,
    pub(crate) role: &'a str,
}

impl Aws {
    pub(crate) async fn look_at_template(&self, name: &str) -> Result<Option<Found>, ApiError> {
        let call = self.iot.describe_provisioning_template().template_name(name).send();
        let Some(found) = optional(call.await.map_err(refused))? else {
            return Ok(None);
        };
        let spec = Spec::Template {
            body: found.template_body().unwrap_or_default().to_owned(),
            enabled: found.enabled().unwrap_or_default(),
            hook: found.pre_provisioning_hook().map(|hook| hook.target_arn().to_owned()),
            role: found.provisioning_role_arn().unwrap_or_default().to_owned(),
        };
        let arn = found.template_arn().ok_or_else(|| incomplete("templateArn"))?;
        Ok(optional(self.iot_tags(arn).await)?.map(|tags| Found { spec, tags }))
    }

    pub(crate) async fn make_template(&self, wanted: Wanted<'_>, tags: &Tags) -> Done {
        let call = self
            .iot
            .create_provisioning_template()
            .template_name(wanted.name)
            .template_body(wanted.body)
            .enabled(wanted.enabled)
            .provisioning_role_arn(wanted.role)
            .set_pre_provisioning_hook(hook(wanted.hook)?)
            .set_tags(Some(tags::iot(tags)?));
        call.send().await.map(drop).map_err(refused)
    }

    /// A new default version if the body differs, and everything else by an update.
    pub(crate) async fn change_template(&self, wanted: Wanted<'_>, body_differs: bool) -> Done {
        if body_differs {
            let old = self.other_template_versions(wanted.name).await?;
            if old.len() + 1 >= VERSIONS
                && let Some(oldest) = old.first()
            {
                self.drop_template_version(wanted.name, *oldest).await?;
            }
            let call = self.iot.create_provisioning_template_version().template_name(wanted.name);
            call.template_body(wanted.body).set_as_default(true).send().await.map_err(refused)?;
        }
        let call = self
            .iot
            .update_provisioning_template()
            .template_name(wanted.name)
            .enabled(wanted.enabled)
            .provisioning_role_arn(wanted.role)
            .set_pre_provisioning_hook(hook(wanted.hook)?)
            .set_remove_pre_provisioning_hook(wanted.hook.is_none().then_some(true));
        call.send().await.map(drop).map_err(refused)
    }

    /// Enables a template or disables it, and leaves the rest as it is.
    pub(crate) async fn turn_template(&self, name: &TemplateName, enabled: bool) -> Done {
        let call = self.iot.update_provisioning_template().template_name(name.as_str()).enabled(enabled);
        call.send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn drop_template(&self, name: &str) -> Done {
        for version in optional(self.other_template_versions(name).await)?.unwrap_or_default() {
            self.drop_template_version(name, version).await?;
        }
        let call = self.iot.delete_provisioning_template().template_name(name);
        gone(call.send().await.map_err(refused))
    }

    pub(crate) async fn claim_for(&self, template: &TemplateName) -> Result<TemporaryClaim, ApiError> {
        let call = self.iot.create_provisioning_claim().template_name(template.as_str());
        let answer = call.send().await.map_err(refused)?;
        let id = answer.certificate_id().and_then(|id| id.parse().ok());
        let key = answer.key_pair().and_then(|pair| pair.private_key());
        Ok(TemporaryClaim {
            id: id.ok_or_else(|| incomplete("certificateId"))?,
            pem: answer.certificate_pem().ok_or_else(|| incomplete("certificatePem"))?.to_owned(),
            private_key: PrivateKeyPem::new(key.ok_or_else(|| incomplete("PrivateKey"))?),
            expires: moment(answer.expiration()),
        })
    }

    /// The versions that are not the default, oldest first.
    async fn other_template_versions(&self, name: &str) -> Result<Vec<i32>, ApiError> {
        let call = self.iot.list_provisioning_template_versions().template_name(name);
        let mut pages = call.into_paginator().items().send();
        let mut versions = Vec::new();
        while let Some(version) = pages.next().await {
            let version = version.map_err(refused)?;
            if !version.is_default_version() {
                versions.extend(version.version_id());
            }
        }
        versions.sort_unstable();
        Ok(versions)
    }

    async fn drop_template_version(&self, name: &str, version: i32) -> Done {
        let call = self.iot.delete_provisioning_template_version().template_name(name).version_id(version);
        gone(call.send().await.map_err(refused))
    }
}

fn hook(function: Option<&str>) -> Result<Option<ProvisioningHook>, ApiError> {
    function
        .map(|arn| ProvisioningHook::builder().payload_version(PAYLOAD).target_arn(arn).build())
        .transpose()
        .map_err(unfinished)
}
