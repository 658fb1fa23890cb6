//! Whether a chain that was seen is to be trusted: its end and its name, each for itself. Pure.

use std::time::Duration;

use fleetkey_model::time::Timestamp;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::subject::issuer;
use crate::tls::provider;

/// The verdict on a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    Given,
    Refused(String),
}

/// Whether the chain leads to one of the roots, at a moment.
pub(super) fn chain(chain: &[CertificateDer<'static>], roots: &RootCertStore, at: Timestamp) -> Trust {
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Trust::Refused("there is no certificate".into());
    };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.as_secs()));
    let algorithms = provider().signature_verification_algorithms.all;
    let verified = ParsedCertificate::try_from(leaf).and_then(|leaf| {
        verify_server_cert_signed_by_trust_anchor(&leaf, roots, intermediates, at, algorithms)
    });
    judge(verified)
}

/// Whether the first certificate is for `name`.
pub(super) fn name(chain: &[CertificateDer<'static>], name: &ServerName<'static>) -> Trust {
    let Some(leaf) = chain.first() else {
        return Trust::Refused("there is no certificate".into());
    };
    judge(ParsedCertificate::try_from(leaf).and_then(|leaf| verify_server_name(&leaf, name)))
}

/// The name of the known roots, if the chain ends at one of them.
pub(super) fn known(
    known: Option<&(String, String)>,
    seen: &[CertificateDer<'static>],
    at: Timestamp,
) -> Option<String> {
    let (name, pem) = known?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).flatten());
    (chain(seen, &roots, at) == Trust::Given).then(|| name.clone())
}

/// Who issued the end of the chain.
pub(super) fn last_issuer(chain: &[CertificateDer<'static>]) -> String {
    chain.last().map_or_else(String::new, |last| issuer(last))
}

fn judge(verified: Result<(), Error>) -> Trust {
    match verified {
        Ok(()) => Trust::Given,
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })) => {
            Trust::Refused(format!("it is for {}", presented.join(", ")))
        }
        Err(error) => Trust::Refused(error.to_string()),
    }
}
