//! Accepts any client certificate whose key is proved, unless a test has it refused here: else whether it may connect is
//! decided at CONNECT.

use std::fmt;
use std::sync::Arc;

use fleetkey_model::certificate::CertificateId;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::broker::Shared;
use crate::keys::testing::self_signed;

struct Doorman {
    provider: Arc<CryptoProvider>,
    registry: Shared,
    change: Arc<watch::Sender<u64>>,
}

impl fmt::Debug for Doorman {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorman").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Doorman {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.registry.lock().unwrap().finishes_tls(CertificateId::of_der(certificate)) {
            return Ok(ClientCertVerified::assertion());
        }
        self.change.send_modify(|count| *count += 1);
        Err(Error::InvalidCertificate(CertificateError::Revoked))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A TLS acceptor for localhost, and its root in PEM. Whoever is refused is noted, and `change` told.
pub(super) fn acceptor(
    versions: &[&'static SupportedProtocolVersion],
    registry: Shared,
    change: Arc<watch::Sender<u64>>,
) -> (TlsAcceptor, String) {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (key, chain) = self_signed("server");
    let doorman = Doorman { provider: provider.clone(), registry, change };
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(Arc::new(doorman))
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).unwrap(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), chain)
}
