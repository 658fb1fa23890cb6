//! What joins the operator's side to a local IoT Core: its account as the control plane (against AWS the SDK stands
//! here), and the way to its broker.

use std::collections::BTreeSet;
use std::io;

use fleetkey_agent::tls::{ClientIdentity, Dialer, Stream};
use fleetkey_iotcore::account::{Account, AccountError};
use fleetkey_iotcore::hook::{BuiltinHook, SerialPattern};
use fleetkey_iotcore::registry::{CertificateRecord, TemplateRecord};
use fleetkey_iotcore::server::{Handle, Presences};
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, GroupName, PolicyName, TemplateName, ThingName};
use fleetkey_operator::control_plane::{
    ApiError, CertificateSummary, Connected, ControlPlane, CreatedCertificate, Done, Hook, TemplateSpec,
};
use fleetkey_operator::controller::Connector;
use fleetkey_operator::documents::RECOVERED_ATTRIBUTE;
use fleetkey_operator::setup::Present;

/// The controller's way to the broker: mutual TLS, like any client.
#[derive(Debug)]
pub struct Line {
    /// Where the broker is.
    pub dialer: Dialer,
    /// The controller's certificate and key.
    pub identity: ClientIdentity,
}

impl Connector for Line {
    type Stream = Stream;

    async fn connect(&self) -> io::Result<Stream> {
        self.dialer.dial(&self.identity).await.map_err(io::Error::other)
    }
}

/// The control plane of a local IoT Core in this process. Clones share it.
#[derive(Debug, Clone)]
pub struct LocalControl(Account, Presences);

impl LocalControl {
    /// That of this server.
    pub fn of(core: &Handle) -> Self {
        Self(core.account().clone(), core.presences())
    }
}

impl ControlPlane for LocalControl {
    async fn create_policy(&self, name: &PolicyName, document: &str) -> Done {
        self.0.create_policy(name, document).await.map_err(api_error)
    }

    async fn policy(&self, name: &PolicyName) -> Result<String, ApiError> {
        self.0.describe_policy(name).map(|record| record.text).map_err(api_error)
    }

    async fn replace_policy(&self, name: &PolicyName, document: &str) -> Done {
        self.0.replace_policy(name, document).await.map_err(api_error)
    }

    async fn describe_thing_group(&self, name: &GroupName) -> Done {
        self.0.describe_thing_group(name).map(drop).map_err(api_error)
    }

    async fn create_thing_group(&self, name: &GroupName) -> Done {
        self.0.create_thing_group(name, None).await.map_err(api_error)
    }

    async fn template(&self, name: &TemplateName) -> Result<TemplateSpec, ApiError> {
        self.0.describe_template(name).map(spec).map_err(api_error)
    }

    async fn create_template(&self, template: &TemplateSpec) -> Done {
        let hook = template.hook.as_ref().map(builtin);
        let TemplateSpec { name, body, enabled, .. } = template;
        self.0.create_template(name, body, *enabled, hook).await.map_err(api_error)
    }

    async fn replace_template(&self, template: &TemplateSpec) -> Done {
        let TemplateSpec { name, body, enabled, .. } = template;
        let hook = template.hook.as_ref().map(builtin);
        self.0.replace_template(name, body, *enabled, hook).await.map_err(api_error)
    }

    async fn create_keys_and_certificate(&self, set_active: bool) -> Result<CreatedCertificate, ApiError> {
        let minted = self.0.create_keys_and_certificate(set_active).await.map_err(api_error)?;
        let Some(private_key) = minted.private_key else {
            return Err(ApiError::Other("the certificate came without its key".into()));
        };
        Ok(CreatedCertificate { id: minted.facts.id, pem: minted.pem, private_key })
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate: &CertificateId) -> Done {
        self.0.attach_policy(policy, certificate).await.map_err(api_error)
    }

    async fn attached_policies(&self, certificate: &CertificateId) -> Result<Vec<PolicyName>, ApiError> {
        let record = self.0.describe_certificate(certificate).map_err(api_error)?;
        Ok(record.policies.into_iter().collect())
    }

    async fn detach_policy(&self, policy: &PolicyName, certificate: &CertificateId) -> Done {
        self.0.detach_policy(policy, certificate).await.map_err(api_error)
    }

    async fn describe_certificate(
        &self,
        certificate: &CertificateId,
    ) -> Result<CertificateSummary, ApiError> {
        self.0.describe_certificate(certificate).map(|record| summary(&record)).map_err(api_error)
    }

    async fn thing_certificates(&self, thing: &ThingName) -> Result<Vec<CertificateSummary>, ApiError> {
        let records = self.0.thing_certificates(thing).map_err(api_error)?;
        Ok(records.iter().map(summary).collect())
    }

    async fn update_certificate(&self, certificate: &CertificateId, status: CertificateStatus) -> Done {
        self.0.update_certificate(certificate, status).await.map_err(api_error)
    }

    async fn detach_thing_principal(&self, thing: &ThingName, certificate: &CertificateId) -> Done {
        self.0.detach_thing_principal(thing, certificate).await.map_err(api_error)
    }

    async fn delete_certificate(&self, certificate: &CertificateId) -> Done {
        self.0.delete_certificate(certificate, false).await.map_err(api_error)
    }

    async fn recovered(&self, thing: &ThingName) -> Result<Option<CertificateId>, ApiError> {
        let found = match self.0.describe_thing(thing).map_err(api_error) {
            Err(ApiError::NotFound(_)) => return Ok(None),
            answer => answer?,
        };
        Ok(found.attributes.get(RECOVERED_ATTRIBUTE).and_then(|id| id.parse().ok()))
    }

    async fn connection(&self, client: &ClientId) -> Result<Connected, ApiError> {
        Ok(self.1.since(client).map_or(Connected::No, Connected::Since))
    }
}

impl Present for LocalControl {
    fn group(&self, name: &GroupName) -> bool {
        self.0.describe_thing_group(name).is_ok()
    }

    fn policy(&self, name: &PolicyName) -> Option<String> {
        self.0.describe_policy(name).ok().map(|record| record.text)
    }

    fn template(&self, name: &TemplateName) -> Option<TemplateSpec> {
        self.0.describe_template(name).ok().map(spec)
    }

    fn policies_of(&self, certificate: &CertificateId) -> Option<BTreeSet<PolicyName>> {
        let record = self.0.describe_certificate(certificate).ok()?;
        Some(record.policies.into_iter().collect())
    }
}

fn spec(record: TemplateRecord) -> TemplateSpec {
    let TemplateRecord { name, body, enabled, hook, .. } = record;
    TemplateSpec { name, body, enabled, hook: hook.map(hook_of) }
}

fn summary(record: &CertificateRecord) -> CertificateSummary {
    CertificateSummary { id: record.id, status: record.status, created_at: record.created_at }
}

/// The account's refusal by AWS's name for it.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn api_error(error: AccountError) -> ApiError {
    let text = error.to_string();
    match error.code() {
        "ResourceNotFoundException" => ApiError::NotFound(text),
        "ResourceAlreadyExistsException" => ApiError::AlreadyExists(text),
        "DeleteConflictException" | "CertificateStateException" => ApiError::Conflict(text),
        "ThrottlingException" => ApiError::Throttled,
        "InternalFailureException" => ApiError::Unavailable(text),
        _ => ApiError::Other(text),
    }
}

fn builtin(hook: &Hook) -> BuiltinHook {
    match hook {
        Hook::OwnThing => BuiltinHook::OwnThing,
        Hook::Serials { allow } => {
            BuiltinHook::Serials { allow: allow.iter().cloned().map(SerialPattern).collect() }
        }
        Hook::Function { arn } => BuiltinHook::Function { arn: arn.clone() },
    }
}

fn hook_of(hook: BuiltinHook) -> Hook {
    match hook {
        BuiltinHook::OwnThing => Hook::OwnThing,
        BuiltinHook::Serials { allow } => {
            Hook::Serials { allow: allow.into_iter().map(|pattern| pattern.0).collect() }
        }
        BuiltinHook::Function { arn } => Hook::Function { arn },
    }
}
