//! Why a connection did not come about: did the broker say no to *us*, or could it not be asked?
//!
//! The rotation machine gives a certificate up only on refusals, so in doubt it is "unreachable".

use std::io;
use std::time::Duration;

use fleetkey_lifecycle::event::{FailureKind, Tier};
use rustls::AlertDescription;

use super::TlsError;

/// A connection attempt that failed, judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// How far it came.
    pub tier: Tier,
    /// The judgement.
    pub kind: FailureKind,
    /// For people.
    pub why: String,
}

impl Failure {
    /// The broker said no at `tier`.
    pub fn refused(tier: Tier, why: impl Into<String>) -> Self {
        Self { tier, kind: FailureKind::Refused, why: why.into() }
    }

    /// The disk did not give the identity to ask with.
    pub fn unreadable(why: impl Into<String>) -> Self {
        Self { tier: Tier::Tls, kind: FailureKind::Unreadable, why: why.into() }
    }

    /// Nobody could be asked, or the connection broke for reasons that are not ours.
    pub fn unreachable(tier: Tier, why: impl Into<String>) -> Self {
        Self { tier, kind: FailureKind::Unreachable, why: why.into() }
    }
}

/// Why TCP or TLS failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Our own configuration cannot be used.
    #[error(transparent)]
    Config(#[from] TlsError),
    /// The name does not resolve, nobody listens, the network is down.
    #[error("cannot reach {to}: {error}")]
    Connect {
        /// Host and port.
        to: String,
        /// What the operating system said.
        error: io::Error,
    },
    /// The TLS handshake failed.
    #[error("TLS with {to} failed: {error}")]
    Handshake {
        /// Host and port.
        to: String,
        /// What rustls said, inside an I/O error.
        error: io::Error,
    },
    /// It took too long.
    #[error("no connection to {to} within {limit:?}")]
    Timeout {
        /// Host and port.
        to: String,
        /// The limit.
        limit: Duration,
    },
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        let why = error.to_string();
        match &error {
            DialError::Handshake { error, .. } if is_about_us(error) => Self::refused(Tier::Tls, why),
            _ => Self::unreachable(Tier::Tls, why),
        }
    }
}

/// Whether the peer sent a TLS alert about our certificate.
pub(crate) fn is_about_us(error: &io::Error) -> bool {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        tls,
        Some(rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError
        ))
    )
}
