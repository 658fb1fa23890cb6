//! The account as set-up and clean-up need it: each resource to the file of its kind.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{GroupName, PolicyName, TemplateName, ThingName};
use fleetkey_model::retirement::DeviceCommand;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::cloud::{
    Cloud, Found, Identity, Issued, Key, Kind, Resource, Spec, Tags, TemporaryClaim,
};
use fleetkey_operator::control_plane::{ApiError, Done};
use fleetkey_operator::plan::{Doors, Mark, Marks, PolicyVersion, Registrar, Versions};

use crate::Aws;
use crate::error::{incomplete, refused};
use crate::permit::Command::{
    Cleanup, Decommission, Doctor, Inventory, PanicClaim, PanicPolicy, PanicUndo, RecoveryApprove,
    RecoveryReject, RecoveryShow, RecoveryWindow, Revoke, RotateClaim, Serve, Setup, SignRequest, Status,
    TemporaryClaim as Claiming,
};
use crate::permit::{On, Permit};
use crate::{rule, template};

pub(crate) const PERMITS: &[Permit] = &[
    Permit {
        call: "sts:GetCallerIdentity",
        also: &[],
        on: On::Anything,
        by: &[
            Setup,
            Cleanup,
            Status,
            Decommission,
            RotateClaim,
            Claiming,
            Doctor,
            Serve,
            Inventory,
            Revoke,
            SignRequest,
            RecoveryWindow,
            RecoveryShow,
            RecoveryApprove,
            RecoveryReject,
            PanicClaim,
            PanicPolicy,
            PanicUndo,
        ],
    },
    Permit { call: "iot:DescribeEndpoint", also: &[], on: On::Anything, by: &[Setup] },
];

/// The endpoint whose server certificate Amazon's roots have signed; without a type AWS answers an older one.
const ENDPOINT: &str = "iot:Data-ATS";

impl Cloud for Aws {
    async fn identity(&self) -> Result<Identity, ApiError> {
        self.who().await.cloned()
    }

    async fn endpoint(&self) -> Result<String, ApiError> {
        let answer = self.iot.describe_endpoint().endpoint_type(ENDPOINT).send().await.map_err(refused)?;
        answer.endpoint_address.ok_or_else(|| incomplete("endpointAddress"))
    }

    async fn look(&self, key: &Key) -> Result<Option<Found>, ApiError> {
        let name = key.name.as_str();
        match key.kind {
            Kind::Policy => self.look_at_policy(name).await,
            Kind::ThingType => self.look_at_thing_type(name).await,
            Kind::Group => self.look_at_group(name).await,
            Kind::LogGroup => self.look_at_log_group(name).await,
            Kind::Role => self.look_at_role(name).await,
            Kind::Function => self.look_at_function(name).await,
            Kind::Template => self.look_at_template(name).await,
            Kind::Rule => self.look_at_rule(name).await,
        }
    }

    async fn create(&self, resource: &Resource, tags: &Tags) -> Done {
        let name = resource.key.name.as_str();
        match &resource.spec {
            Spec::Policy { document } => self.make_policy(name, document, tags).await,
            Spec::ThingType { .. } => self.make_thing_type(name, tags).await,
            Spec::Group => self.make_group(name, tags).await,
            Spec::LogGroup { retention_days } => self.make_log_group(name, *retention_days, tags).await,
            Spec::Role { trust, permissions } => self.make_role(name, trust, permissions, tags).await,
            Spec::Function(spec) => self.make_function(name, spec, tags).await,
            Spec::Template { .. } => self.make_template(wanted_template(resource)?, tags).await,
            Spec::Rule { .. } => self.make_rule(wanted_rule(resource)?, tags).await,
        }
    }

    async fn change(&self, resource: &Resource, found: &Found) -> Done {
        let name = resource.key.name.as_str();
        match &resource.spec {
            Spec::Policy { document } => self.change_policy(name, document).await,
            Spec::ThingType { deprecated } => self.deprecate_thing_type(name, *deprecated).await,
            Spec::Group => Ok(()),
            Spec::LogGroup { retention_days } => self.change_log_group(name, *retention_days).await,
            Spec::Role { trust, permissions } => self.change_role(name, trust, permissions).await,
            Spec::Function(spec) => self.change_function(name, spec, found).await,
            Spec::Template { .. } => {
                let body = found.spec.differences(&resource.spec).contains(&"body");
                self.change_template(wanted_template(resource)?, body).await
            }
            Spec::Rule { .. } => self.change_rule(wanted_rule(resource)?).await,
        }
    }

    async fn tag(&self, key: &Key, tags: &Tags) -> Done {
        let name = key.name.as_str();
        let tail = match key.kind {
            Kind::LogGroup => return self.tag_log_group(name, tags).await,
            Kind::Role => return self.tag_role(name, tags).await,
            Kind::Function => return self.tag_function(name, tags).await,
            Kind::Policy => "policy",
            Kind::ThingType => "thingtype",
            Kind::Group => "thinggroup",
            Kind::Template => "provisioningtemplate",
            Kind::Rule => "rule",
        };
        self.tag_iot(&self.scope().await?.arn(&format!("{tail}/{name}")), tags).await
    }

    async fn delete(&self, key: &Key) -> Done {
        let name = key.name.as_str();
        match key.kind {
            Kind::Policy => self.drop_policy(name).await,
            Kind::ThingType => self.drop_thing_type(name).await,
            Kind::Group => self.drop_group(name).await,
            Kind::LogGroup => self.drop_log_group(name).await,
            Kind::Role => self.drop_role(name).await,
            Kind::Function => self.drop_function(name).await,
            Kind::Template => self.drop_template(name).await,
            Kind::Rule => self.drop_rule(name).await,
        }
    }

    async fn certificate_from_csr(&self, csr: &str) -> Result<Issued, ApiError> {
        self.certificate_by_csr(csr).await
    }

    async fn certificates_for_key(
        &self,
        public_key: &[u8],
        since: Timestamp,
    ) -> Result<Vec<Issued>, ApiError> {
        self.certificates_with_key(public_key, since).await
    }

    async fn policy_certificates(&self, policy: &PolicyName) -> Result<Vec<CertificateId>, ApiError> {
        self.certificates_of_policy(policy).await
    }

    async fn certificate_things(&self, certificate: &CertificateId) -> Result<Vec<ThingName>, ApiError> {
        self.things_of(certificate).await
    }

    async fn thing(&self, name: &ThingName) -> Result<Option<Tags>, ApiError> {
        self.attributes_of(name).await
    }

    async fn group_things(&self, group: &GroupName) -> Result<Vec<ThingName>, ApiError> {
        self.things_in(group).await
    }

    async fn delete_thing(&self, name: &ThingName) -> Done {
        self.drop_thing(name).await
    }

    async fn provisioning_claim(&self, template: &TemplateName) -> Result<TemporaryClaim, ApiError> {
        self.claim_for(template).await
    }
}

impl Registrar for Aws {
    async fn register(&self, pem: &str) -> Done {
        self.register_foreign(pem).await
    }

    async fn attach_thing(&self, thing: &ThingName, certificate: &CertificateId) -> Done {
        self.attach_to(thing, certificate).await
    }
}

impl Doors for Aws {
    async fn switch_template(&self, name: &TemplateName, enabled: bool) -> Done {
        self.turn_template(name, enabled).await
    }
}

impl Marks for Aws {
    async fn mark(&self, thing: &ThingName) -> Result<Option<Mark>, ApiError> {
        self.mark_of(thing).await
    }

    async fn unmark(&self, thing: &ThingName, version: i64) -> Done {
        self.take_mark(thing, version).await
    }

    async fn command(&self, thing: &ThingName, command: &DeviceCommand) -> Done {
        self.tell_device(thing, command).await
    }
}

impl Versions for Aws {
    async fn policy_in_force(&self, name: &PolicyName) -> Result<String, ApiError> {
        self.document_in_force(name).await
    }

    async fn policy_versions(&self, name: &PolicyName) -> Result<Vec<PolicyVersion>, ApiError> {
        self.versions_of(name.as_str()).await
    }

    async fn add_policy_version(&self, name: &PolicyName, document: &str) -> Done {
        self.make_version(name.as_str(), document).await
    }

    async fn prefer_policy_version(&self, name: &PolicyName, version: &str) -> Done {
        self.prefer_version(name, version).await
    }

    async fn drop_policy_version(&self, name: &PolicyName, version: &str) -> Done {
        self.drop_version(name.as_str(), version).await
    }
}

fn wanted_template(resource: &Resource) -> Result<template::Wanted<'_>, ApiError> {
    match &resource.spec {
        Spec::Template { body, enabled, hook, role } => Ok(template::Wanted {
            name: &resource.key.name,
            body,
            enabled: *enabled,
            hook: hook.as_deref(),
            role,
        }),
        _ => Err(ApiError::Other(format!("{} is no template", resource.key))),
    }
}

fn wanted_rule(resource: &Resource) -> Result<rule::Wanted<'_>, ApiError> {
    match &resource.spec {
        Spec::Rule { sql, topic, role } => Ok(rule::Wanted { name: &resource.key.name, sql, topic, role }),
        _ => Err(ApiError::Other(format!("{} is no rule", resource.key))),
    }
}
