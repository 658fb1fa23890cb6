//! Why a provisioning request is refused, and how AWS words it.
//!
//! AWS publishes the shape of a rejection but no list of codes. These are the observed ones
//! (`InvalidPayload`, `InvalidCertificateOwnershipToken`, `InvalidTemplate`, `AccessDenied`, `ProvisioningFailed`)
//! and inferred ones for the rest. A client should branch on the class of the status only.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{TemplateName, ThingName};
use fleetkey_model::provisioning::Rejection;
use fleetkey_model::template::ResolveError;

use crate::ca::{CaError, CsrError};
use crate::registry::RegistryError;
use crate::store::CommitError;

/// Why a provisioning request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The payload is not what the operation takes.
    #[error("Message cannot be parsed: {0}")]
    InvalidPayload(String),
    /// The request has no ownership token.
    #[error("Certificate ownership token cannot be empty.")]
    EmptyToken,
    /// The token is unknown, expired, or has done its work for another thing.
    #[error("Certificate ownership token is invalid.")]
    InvalidToken,
    /// The certificate signing request is not acceptable.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// There is no such template, or it is disabled.
    #[error("Template with name {0} does not exist.")]
    NoTemplate(TemplateName),
    /// The template cannot be filled with these parameters.
    #[error("{0}")]
    Template(ResolveError),
    /// The hook said no, failed, or took too long.
    #[error("Access Denied")]
    AccessDenied,
    /// The thing exists and the template says FAIL.
    #[error("Thing {thing} already exists with a different {property}.")]
    Conflict {
        /// The thing.
        thing: ThingName,
        /// The property as the template spells it.
        property: &'static str,
    },
    /// The certificate has another status and the template says FAIL.
    #[error("Certificate {0} already has a different Status.")]
    StatusConflict(CertificateId),
    /// A step of RegisterThing was refused by the registry.
    #[error("{source} (Service: AWSIot; Status Code: 400; Error Code: ResourceRegistrationFailureException; {inner})", inner = source.code())]
    Failed {
        /// The registry's reason.
        #[from]
        source: RegistryError,
    },
    /// More requests a second than the account's quota.
    #[error("Rate exceeded")]
    Throttled,
    /// This server failed; the device may try again.
    #[error("Internal error: {0}")]
    Internal(String),
}

impl Refusal {
    /// Whether the same request may succeed later: 429 and 5xx.
    pub fn retryable(&self) -> bool {
        let status = self.status();
        status == 429 || status >= 500
    }

    /// The HTTP status of the rejection.
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidPayload(_)
            | Self::EmptyToken
            | Self::InvalidToken
            | Self::Csr(_)
            | Self::Template(_)
            | Self::Failed { .. } => 400,
            Self::AccessDenied => 403,
            Self::NoTemplate(_) => 404,
            Self::Conflict { .. } | Self::StatusConflict(_) => 409,
            Self::Throttled => 429,
            Self::Internal(_) => 500,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::InvalidPayload(_) => "InvalidPayload",
            Self::EmptyToken | Self::InvalidToken => "InvalidCertificateOwnershipToken",
            Self::Csr(_) => "InvalidCertificateSigningRequest",
            Self::NoTemplate(_) => "InvalidTemplate",
            Self::Template(error) if error.is_parameter() => "InvalidParameters",
            Self::Template(_) | Self::Failed { .. } => "ProvisioningFailed",
            Self::AccessDenied => "AccessDenied",
            Self::Conflict { .. } | Self::StatusConflict(_) => "ResourceConflict",
            Self::Throttled => "Throttled",
            Self::Internal(_) => "InternalError",
        }
    }

    /// The `rejected` message.
    pub fn rejection(&self) -> Rejection {
        Rejection {
            status_code: self.status(),
            error_code: self.code().to_owned(),
            error_message: self.to_string(),
        }
    }
}

impl From<CaError> for Refusal {
    fn from(error: CaError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<CommitError<Self>> for Refusal {
    fn from(error: CommitError<Self>) -> Self {
        match error {
            CommitError::Refused(refusal) => refusal,
            CommitError::Storage(error) => Self::Internal(error.to_string()),
        }
    }
}
