//! Signing keys: ECDSA P-256 for the server side, RSA 2048 for the device side.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use der::asn1::{Any, ObjectIdentifier};
use der::{Decode, Encode};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use super::error::CaError;

/// ecdsa-with-SHA256 (RFC 5758 §3.2)
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// sha256WithRSAEncryption (RFC 8017 appendix A.2.4)
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// A private key that can sign, with its PKCS#8 form.
pub(super) struct SigningKey {
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
}

enum Pair {
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// A fresh ECDSA P-256 key.
    pub(super) fn p256() -> Result<Self, CaError> {
        let failed = |_| CaError::Crypto("an ECDSA key cannot be made");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(failed)?;
        Ok(Self { pkcs8: Zeroizing::new(pkcs8.as_ref().to_vec()), pair: Pair::P256(pair) })
    }

    /// A fresh RSA key of 2048 bits. Takes tens to hundreds of milliseconds of computing.
    pub(super) fn rsa_2048() -> Result<Self, CaError> {
        let failed = |_| CaError::Crypto("an RSA key cannot be made");
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let pkcs8 = pair.as_der().map_err(failed)?;
        Ok(Self { pkcs8: Zeroizing::new(pkcs8.as_ref().to_vec()), pair: Pair::Rsa(pair) })
    }

    /// Reads a key of either kind; `None` when it is neither.
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
            .map(Pair::P256)
            .or_else(|_| RsaKeyPair::from_pkcs8(pkcs8).map(Pair::Rsa))
            .ok()?;
        Some(Self { pair, pkcs8: Zeroizing::new(pkcs8.to_vec()) })
    }

    /// The key in PKCS#8 DER.
    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The algorithm that [`SigningKey::sign`] uses, as a certificate names it.
    pub(super) fn algorithm(&self) -> AlgorithmIdentifierOwned {
        match &self.pair {
            Pair::P256(_) => AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
            Pair::Rsa(_) => AlgorithmIdentifierOwned { oid: SHA256_WITH_RSA, parameters: Some(Any::null()) },
        }
    }

    /// The public key as a certificate holds it.
    pub(super) fn public_key(&self) -> Result<SubjectPublicKeyInfoOwned, CaError> {
        let der: Result<PublicKeyX509Der<'_>, _> = match &self.pair {
            Pair::P256(pair) => pair.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
        };
        let der = der.map_err(|_| CaError::Crypto("a public key cannot be encoded"))?;
        Ok(SubjectPublicKeyInfoOwned::from_der(der.as_ref())?)
    }

    /// Signs `message` with SHA-256.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        let random = SystemRandom::new();
        let failed = |_| CaError::Crypto("signing failed");
        match &self.pair {
            Pair::P256(pair) => {
                let signature = pair.sign(&random, message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }

    /// Whether a certificate with this public key belongs to this key.
    pub(super) fn matches(&self, public_key_der: &[u8]) -> Result<bool, CaError> {
        Ok(self.public_key()?.to_der()? == public_key_der)
    }
}
