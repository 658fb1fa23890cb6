//! Why a control-plane operation fails, with AWS's exception name and HTTP status.

use crate::ca::{CaError, CsrError};
use crate::registry::RegistryError;
use crate::store::StorageError;

/// Why a control-plane operation fails.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The registry's rules forbid it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The certificate signing request is not acceptable.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Minting failed.
    #[error(transparent)]
    Ca(#[from] CaError),
}

impl AccountError {
    /// The name of AWS's exception.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Registry(error) => error.code(),
            Self::Csr(_) => "InvalidRequestException",
            Self::Storage(_) | Self::Ca(_) => "InternalFailureException",
        }
    }

    /// The HTTP status that AWS answers with.
    pub fn status(&self) -> u16 {
        match self {
            Self::Registry(error) => error.status(),
            Self::Csr(_) => 400,
            Self::Storage(_) | Self::Ca(_) => 500,
        }
    }

    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        self.status() >= 500
    }
}
