//! The operations of AWS IoT that setup and controller need, as a trait.
//!
//! Shaped like the AWS API (API Reference, one method an operation or two), so that the SDK and the local IoT Core
//! implement it alike. Every method may be repeated: whoever calls it copes with [`ApiError::AlreadyExists`] and
//! [`ApiError::NotFound`].

use core::future::Future;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, GroupName, PolicyName, TemplateName, ThingName};
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;

use serde::{Deserialize, Serialize};

pub use error::ApiError;

mod error;

/// A certificate as it is listed (DescribeCertificate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateSummary {
    /// Its id.
    pub id: CertificateId,
    /// Its status.
    pub status: CertificateStatus,
    /// When it was registered; AWS counts in seconds.
    pub created_at: Timestamp,
}

/// The answer of CreateKeysAndCertificate. The key is given out once and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedCertificate {
    /// Its id.
    pub id: CertificateId,
    /// The certificate, PEM.
    pub pem: String,
    /// Its private key.
    pub private_key: PrivateKeyPem,
}

/// Whether a client id is connected (GetConnection). By which certificate, that operation never tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connected {
    /// The account does not serve the question, or does not let us ask it.
    Untold,
    /// It is not.
    No,
    /// It is, since this moment by the broker's clock.
    Since(Timestamp),
}

/// One call that was made, for the journal and for the proof of least privilege.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Service and operation, for example `iot:CreatePolicy`.
    pub call: String,
    /// The service's id of the request, where one came back.
    pub request: Option<String>,
    /// Whether it was answered with success.
    pub succeeded: bool,
}

/// The pre-provisioning hook of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// The serial must match one of the patterns (`*` any run, `?` any one character); built into the local IoT Core.
    Serials {
        /// Exact serials or patterns.
        allow: Vec<String>,
    },
    /// The caller must hold the thing it asks for; built into the local IoT Core.
    OwnThing,
    /// A Lambda function, by ARN.
    Function {
        /// `arn:aws:lambda:…`
        arn: String,
    },
}

/// A provisioning template as it is made and described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSpec {
    /// Its name.
    pub name: TemplateName,
    /// Its body, JSON.
    pub body: String,
    /// RegisterThing is refused while this is false.
    pub enabled: bool,
    /// What decides on every RegisterThing.
    pub hook: Option<Hook>,
}

/// An account, as far as the operator needs it.
pub trait ControlPlane: Send + Sync {
    /// CreatePolicy.
    fn create_policy(&self, name: &PolicyName, document: &str) -> impl Future<Output = Done> + Send;

    /// GetPolicy: the document of the default version.
    fn policy(&self, name: &PolicyName) -> impl Future<Output = Result<String, ApiError>> + Send;

    /// CreatePolicyVersion as the default, after making room among the five versions.
    fn replace_policy(&self, name: &PolicyName, document: &str) -> impl Future<Output = Done> + Send;

    /// DescribeThingGroup; [`ApiError::NotFound`] when there is none.
    fn describe_thing_group(&self, name: &GroupName) -> impl Future<Output = Done> + Send;

    /// CreateThingGroup, without parent.
    fn create_thing_group(&self, name: &GroupName) -> impl Future<Output = Done> + Send;

    /// DescribeProvisioningTemplate.
    fn template(&self, name: &TemplateName) -> impl Future<Output = Result<TemplateSpec, ApiError>> + Send;

    /// CreateProvisioningTemplate.
    fn create_template(&self, template: &TemplateSpec) -> impl Future<Output = Done> + Send;

    /// CreateProvisioningTemplateVersion as the default, and UpdateProvisioningTemplate.
    fn replace_template(&self, template: &TemplateSpec) -> impl Future<Output = Done> + Send;

    /// CreateKeysAndCertificate.
    fn create_keys_and_certificate(
        &self,
        set_active: bool,
    ) -> impl Future<Output = Result<CreatedCertificate, ApiError>> + Send;

    /// AttachPolicy to a certificate; attaching again is no error.
    fn attach_policy(
        &self,
        policy: &PolicyName,
        certificate: &CertificateId,
    ) -> impl Future<Output = Done> + Send;

    /// ListAttachedPolicies of a certificate.
    fn attached_policies(
        &self,
        certificate: &CertificateId,
    ) -> impl Future<Output = Result<Vec<PolicyName>, ApiError>> + Send;

    /// DetachPolicy from a certificate.
    fn detach_policy(
        &self,
        policy: &PolicyName,
        certificate: &CertificateId,
    ) -> impl Future<Output = Done> + Send;

    /// DescribeCertificate.
    fn describe_certificate(
        &self,
        certificate: &CertificateId,
    ) -> impl Future<Output = Result<CertificateSummary, ApiError>> + Send;

    /// ListThingPrincipals with DescribeCertificate: every certificate attached to a thing, whatever its status.
    fn thing_certificates(
        &self,
        thing: &ThingName,
    ) -> impl Future<Output = Result<Vec<CertificateSummary>, ApiError>> + Send;

    /// UpdateCertificate.
    fn update_certificate(
        &self,
        certificate: &CertificateId,
        status: CertificateStatus,
    ) -> impl Future<Output = Done> + Send;

    /// DetachThingPrincipal.
    fn detach_thing_principal(
        &self,
        thing: &ThingName,
        certificate: &CertificateId,
    ) -> impl Future<Output = Done> + Send;

    /// DeleteCertificate; it must not be ACTIVE, and nothing may be attached to it.
    fn delete_certificate(&self, certificate: &CertificateId) -> impl Future<Output = Done> + Send;

    /// The certificate that a recovery has given a thing, while nobody has decided on it (DescribeThing: the attribute
    /// that the recovery template writes); none where there is no such thing.
    fn recovered(
        &self,
        _thing: &ThingName,
    ) -> impl Future<Output = Result<Option<CertificateId>, ApiError>> + Send {
        core::future::ready(Ok(None))
    }

    /// GetConnection, of the data plane.
    fn connection(&self, _client: &ClientId) -> impl Future<Output = Result<Connected, ApiError>> + Send {
        core::future::ready(Ok(Connected::Untold))
    }

    /// The calls made since this was asked last, in order; none where nobody writes them down.
    fn take_calls(&self) -> Vec<CallRecord> {
        Vec::new()
    }
}

/// What an operation without an answer answers.
pub type Done = Result<(), ApiError>;
