//! Why an operation of IAM is refused, under IAM's names and in its words.

use crate::document::DocumentError;

/// A refusal of IAM.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IamError {
    /// There is no such role or policy.
    #[error("{0}")]
    NoSuchEntity(String),
    /// The name is taken.
    #[error("{0}")]
    AlreadyExists(String),
    /// Something still hangs on it.
    #[error("{0}")]
    DeleteConflict(&'static str),
    /// A document is no policy.
    #[error("{0}")]
    Malformed(String),
    /// More than IAM keeps.
    #[error("{0}")]
    LimitExceeded(String),
    /// A name or number breaks its constraint.
    #[error("{0}")]
    Validation(String),
    /// It belongs to AWS.
    #[error("{0}")]
    AccessDenied(String),
    /// Well formed, and still not to be had.
    #[error("{0}")]
    InvalidInput(String),
    /// No randomness for an identifier, or the disk failed.
    #[error("{0}")]
    Failure(String),
}

impl IamError {
    pub(super) fn no_role(name: &str) -> Self {
        Self::NoSuchEntity(format!("The role with name {name} cannot be found."))
    }

    pub(super) fn no_policy(arn: &str) -> Self {
        Self::NoSuchEntity(format!("Policy {arn} was not found."))
    }

    pub(super) fn quota(name: &str, limit: usize) -> Self {
        Self::LimitExceeded(format!("Cannot exceed quota for {name}: {limit}"))
    }

    /// The name on the wire.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchEntity(_) => "NoSuchEntity",
            Self::AlreadyExists(_) => "EntityAlreadyExists",
            Self::DeleteConflict(_) => "DeleteConflict",
            Self::Malformed(_) => "MalformedPolicyDocument",
            Self::LimitExceeded(_) => "LimitExceeded",
            Self::Validation(_) => "ValidationError",
            Self::AccessDenied(_) => "AccessDenied",
            Self::InvalidInput(_) => "InvalidInput",
            Self::Failure(_) => "ServiceFailure",
        }
    }

    /// The HTTP status.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::NoSuchEntity(_) => 404,
            Self::AlreadyExists(_) | Self::DeleteConflict(_) | Self::LimitExceeded(_) => 409,
            Self::Malformed(_) | Self::Validation(_) | Self::InvalidInput(_) => 400,
            Self::AccessDenied(_) => 403,
            Self::Failure(_) => 500,
        }
    }
}

impl From<DocumentError> for IamError {
    fn from(error: DocumentError) -> Self {
        Self::Failure(error.to_string())
    }
}
