//! Why an account refuses an operation, reduced to what a caller can act on.

/// A refused or failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// ResourceNotFoundException.
    #[error("not found: {0}")]
    NotFound(String),
    /// ResourceAlreadyExistsException.
    #[error("exists already: {0}")]
    AlreadyExists(String),
    /// ThrottlingException, LimitExceededException on a rate.
    #[error("throttled: the account's request rate is used up")]
    Throttled,
    /// DeleteConflictException, CertificateStateException, a detachment that is not through yet.
    #[error("in conflict with the resource's state: {0}")]
    Conflict(String),
    /// No answer, or a failure on the service's side.
    #[error("the service cannot be reached or fails: {0}")]
    Unavailable(String),
    /// Anything else: access denied, a malformed request, a quota.
    #[error("{0}")]
    Other(String),
}

impl ApiError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Throttled | Self::Conflict(_) | Self::Unavailable(_) => true,
            Self::NotFound(_) | Self::AlreadyExists(_) | Self::Other(_) => false,
        }
    }
}
