//! A client certificate verifier that checks one thing: the client holds the private key.
//!
//! AWS IoT authenticates a certificate by its registration, not by a chain, so there are no trust anchors here.
//! rustls' own helpers parse the certificate with webpki, which refuses X.509 v1; plain `openssl x509 -req`
//! makes v1, and AWS accepts it, so the public key is taken out with `x509-cert` instead.

use std::fmt;

use der::{Decode, Encode};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_cert::Certificate;

/// Accepts every readable certificate whose key signs the handshake.
pub(super) struct PossessionOnly {
    algorithms: WebPkiSupportedAlgorithms,
}

impl PossessionOnly {
    pub(super) const fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { algorithms }
    }
}

impl fmt::Debug for PossessionOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PossessionOnly")
    }
}

impl ClientCertVerifier for PossessionOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        read(end_entity).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = read(certificate)?;
        let key = certificate.tbs_certificate().subject_public_key_info();
        let algorithm = inner_der(&key.algorithm).ok_or(CertificateError::BadEncoding)?;
        let key = key.subject_public_key.as_bytes().ok_or(CertificateError::BadEncoding)?;
        // One TLS 1.2 scheme stands for several curves: the key's own algorithm decides which applies.
        self.algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, candidates)| candidates.iter())
            .filter(|candidate| candidate.public_key_alg_id().as_ref() == algorithm)
            .find(|candidate| candidate.verify_signature(key, message, signed.signature()).is_ok())
            .map(|_| HandshakeSignatureValid::assertion())
            .ok_or_else(|| CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = read(certificate)?
            .tbs_certificate()
            .subject_public_key_info()
            .to_der()
            .map_err(|_| CertificateError::BadEncoding)?;
        let spki = SubjectPublicKeyInfoDer::from(spki);
        verify_tls13_signature_with_raw_key(message, &spki, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn read(der: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding.into())
}

/// The content of an AlgorithmIdentifier without its SEQUENCE header, the form in which rustls names algorithms.
fn inner_der(algorithm: &impl Encode) -> Option<Vec<u8>> {
    let whole = algorithm.to_der().ok()?;
    let sequence = der::AnyRef::from_der(&whole).ok()?;
    Some(sequence.value().to_vec())
}
