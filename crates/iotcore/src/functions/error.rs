//! Why an operation of Lambda is refused, under Lambda's names and in its words.

use crate::document::DocumentError;

use super::archive::ArchiveError;

/// A refusal of Lambda.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FunctionError {
    /// There is no such function.
    #[error("Function not found: {0}")]
    NotFound(String),
    /// There is a function, but no such statement or policy.
    #[error("{0}")]
    NoStatement(String),
    /// The name is taken.
    #[error("Function already exist: {0}")]
    Exists(String),
    /// The statement's id is taken.
    #[error(
        "The statement id ({0}) provided already exists. Please provide a new statement id, or remove the existing \
         statement."
    )]
    StatementExists(String),
    /// A parameter is wrong.
    #[error("{0}")]
    InvalidParameter(String),
    /// A parameter breaks its constraint.
    #[error("{0}")]
    Validation(String),
    /// The zip file cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The payload is no JSON.
    #[error("Could not parse request body into json: {0}")]
    NoJson(String),
    /// The payload is larger than Lambda takes.
    #[error("Request must be smaller than {0} bytes for the InvokeFunction operation")]
    TooLarge(usize),
    /// Too many invocations wait.
    #[error("Rate Exceeded.")]
    TooMany,
    /// Another revision stands there than the caller has seen.
    #[error(
        "The RevisionId provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
         retrieve the latest Revision Id"
    )]
    Revision,
    /// Code may not run here.
    #[error("{0}")]
    Denied(&'static str),
    /// The disk or the system failed.
    #[error("{0}")]
    Failure(String),
}

impl FunctionError {
    /// The name on the wire.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::NoStatement(_) => "ResourceNotFoundException",
            Self::Exists(_) | Self::StatementExists(_) => "ResourceConflictException",
            Self::InvalidParameter(_)
            | Self::Archive(ArchiveError::Unusable(_) | ArchiveError::TooLarge(_)) => {
                "InvalidParameterValueException"
            }
            Self::TooLarge(_) => "RequestTooLargeException",
            Self::Validation(_) => "ValidationException",
            Self::NoJson(_) => "InvalidRequestContentException",
            Self::TooMany => "TooManyRequestsException",
            Self::Revision => "PreconditionFailedException",
            Self::Denied(_) => "AccessDeniedException",
            Self::Archive(ArchiveError::Disk(_)) | Self::Failure(_) => "ServiceException",
        }
    }

    /// The HTTP status.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::NotFound(_) | Self::NoStatement(_) => 404,
            Self::Exists(_) | Self::StatementExists(_) => 409,
            Self::InvalidParameter(_)
            | Self::Validation(_)
            | Self::NoJson(_)
            | Self::Archive(ArchiveError::Unusable(_) | ArchiveError::TooLarge(_)) => 400,
            Self::TooLarge(_) => 413,
            Self::Revision => 412,
            Self::Denied(_) => 403,
            Self::TooMany => 429,
            Self::Archive(ArchiveError::Disk(_)) | Self::Failure(_) => 500,
        }
    }
}

impl From<DocumentError> for FunctionError {
    fn from(error: DocumentError) -> Self {
        Self::Failure(error.to_string())
    }
}
