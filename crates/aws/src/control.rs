//! The account as the controller needs it.
//!
//! Making policies, groups and templates without tags and roles is what the built-in set-up of a local IoT Core does;
//! against an account that is [`fleetkey_operator::plan`]'s business, so templates are refused here.

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, GroupName, PolicyName, TemplateName, ThingName};
use fleetkey_operator::cloud::{Found, Spec, Tags};
use fleetkey_operator::control_plane::{
    ApiError, CallRecord, CertificateSummary, Connected, ControlPlane, CreatedCertificate, Done, Hook,
    TemplateSpec,
};

use crate::Aws;

impl ControlPlane for Aws {
    async fn create_policy(&self, name: &PolicyName, document: &str) -> Done {
        self.make_policy(name.as_str(), document, &Tags::new()).await
    }

    async fn policy(&self, name: &PolicyName) -> Result<String, ApiError> {
        match self.look_at_policy(name.as_str()).await? {
            Some(Found { spec: Spec::Policy { document }, .. }) => Ok(document),
            _ => Err(ApiError::NotFound(name.to_string())),
        }
    }

    async fn replace_policy(&self, name: &PolicyName, document: &str) -> Done {
        self.change_policy(name.as_str(), document).await
    }

    async fn describe_thing_group(&self, name: &GroupName) -> Done {
        let found = self.look_at_group(name.as_str()).await?;
        found.map(drop).ok_or_else(|| ApiError::NotFound(name.to_string()))
    }

    async fn create_thing_group(&self, name: &GroupName) -> Done {
        self.make_group(name.as_str(), &Tags::new()).await
    }

    async fn template(&self, name: &TemplateName) -> Result<TemplateSpec, ApiError> {
        match self.look_at_template(name.as_str()).await? {
            Some(Found { spec: Spec::Template { body, enabled, hook, .. }, .. }) => Ok(TemplateSpec {
                name: name.clone(),
                body,
                enabled,
                hook: hook.map(|arn| Hook::Function { arn }),
            }),
            _ => Err(ApiError::NotFound(name.to_string())),
        }
    }

    async fn create_template(&self, template: &TemplateSpec) -> Done {
        Err(needs_a_role(template))
    }

    async fn replace_template(&self, template: &TemplateSpec) -> Done {
        Err(needs_a_role(template))
    }

    async fn create_keys_and_certificate(&self, set_active: bool) -> Result<CreatedCertificate, ApiError> {
        self.keys_and_certificate(set_active).await
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate: &CertificateId) -> Done {
        self.give_policy(policy, certificate).await
    }

    async fn attached_policies(&self, certificate: &CertificateId) -> Result<Vec<PolicyName>, ApiError> {
        self.policies_of(certificate).await
    }

    async fn detach_policy(&self, policy: &PolicyName, certificate: &CertificateId) -> Done {
        self.take_policy(policy, certificate).await
    }

    async fn describe_certificate(
        &self,
        certificate: &CertificateId,
    ) -> Result<CertificateSummary, ApiError> {
        self.summary(certificate).await
    }

    async fn thing_certificates(&self, thing: &ThingName) -> Result<Vec<CertificateSummary>, ApiError> {
        self.certificates_of(thing).await
    }

    async fn update_certificate(&self, certificate: &CertificateId, status: CertificateStatus) -> Done {
        self.set_status(certificate, status).await
    }

    async fn detach_thing_principal(&self, thing: &ThingName, certificate: &CertificateId) -> Done {
        self.detach_from(thing, certificate).await
    }

    async fn delete_certificate(&self, certificate: &CertificateId) -> Done {
        self.erase(certificate).await
    }

    async fn recovered(&self, thing: &ThingName) -> Result<Option<CertificateId>, ApiError> {
        Ok(self.mark_of(thing).await?.and_then(|mark| mark.certificate))
    }

    async fn connection(&self, client: &ClientId) -> Result<Connected, ApiError> {
        self.connected(client).await
    }

    fn take_calls(&self) -> Vec<CallRecord> {
        self.recorder.take()
    }
}

fn needs_a_role(template: &TemplateSpec) -> ApiError {
    ApiError::Other(format!("the template {} needs a role: it is made by fleetkey setup", template.name))
}
