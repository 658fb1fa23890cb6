//! ECDSA P-256 keys in PKCS#8 PEM, made by aws-lc-rs.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use der::pem::{LineEnding, encode_string};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use fleetkey_model::name::SerialNumber;
use fleetkey_model::secret::PrivateKeyPem;

use super::{KeyError, Keys, signing_request};

/// Keys in files. Makes ECDSA P-256; reads RSA as well, because CreateKeysAndCertificate makes RSA 2048.
#[derive(Debug, Clone, Copy, Default)]
pub struct P256Keys;

impl Keys for P256Keys {
    fn generate(&self) -> Result<PrivateKeyPem, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Generate)?;
        let der = pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?;
        encode_string("PRIVATE KEY", LineEnding::LF, der.as_ref())
            .map(PrivateKeyPem::new)
            .map_err(|_| KeyError::Generate)
    }

    fn public_key(&self, key: &PrivateKeyPem) -> Result<Vec<u8>, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| KeyError::Unreadable)?;
        if let Ok(pair) = ecdsa(&der) {
            let spki = pair.public_key().as_der().map_err(|_| KeyError::Unreadable)?;
            return Ok(spki.as_ref().to_vec());
        }
        let pair = match &der {
            PrivateKeyDer::Pkcs8(bytes) => rsa::KeyPair::from_pkcs8(bytes.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(bytes) => rsa::KeyPair::from_der(bytes.secret_pkcs1_der()),
            _ => return Err(KeyError::Unreadable),
        };
        let pair = pair.map_err(|_| KeyError::Unreadable)?;
        let spki = pair.public_key().as_der().map_err(|_| KeyError::Unreadable)?;
        Ok(spki.as_ref().to_vec())
    }

    fn request(&self, key: &PrivateKeyPem, serial: &SerialNumber) -> Result<String, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| KeyError::Unreadable)?;
        let pair = ecdsa(&der)?;
        let spki = self.public_key(key)?;
        signing_request(&spki, serial, |message| {
            let signature = pair
                .sign(&SystemRandom::new(), message)
                .map_err(|_| KeyError::Request("signing failed".into()))?;
            Ok(signature.as_ref().to_vec())
        })
    }
}

fn ecdsa(der: &PrivateKeyDer<'_>) -> Result<EcdsaKeyPair, KeyError> {
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der.secret_der())
        .map_err(|_| KeyError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
    use der::{DecodePem, Encode};
    use x509_cert::request::CertReq;

    #[test]
    fn a_key_reads_back_and_two_keys_differ() {
        let key = P256Keys.generate().unwrap();
        assert!(key.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        let public = P256Keys.public_key(&key).unwrap();
        assert_eq!(P256Keys.public_key(&key).unwrap(), public);
        let other = P256Keys.generate().unwrap();
        assert_ne!(P256Keys.public_key(&other).unwrap(), public);
    }

    #[test]
    fn a_request_names_the_serial_and_is_signed_by_its_key() {
        let key = P256Keys.generate().unwrap();
        let serial = SerialNumber::new("PM500:a_b-9").unwrap();
        let pem = P256Keys.request(&key, &serial).unwrap();
        let request = CertReq::from_pem(&pem).unwrap();
        assert_eq!(request.info.subject.to_string(), "CN=PM500:a_b-9");
        let spki = request.info.public_key.to_der().unwrap();
        assert_eq!(spki, P256Keys.public_key(&key).unwrap());
        let point = request.info.public_key.subject_public_key.raw_bytes();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .verify(&request.info.to_der().unwrap(), request.signature.raw_bytes())
            .unwrap();
    }

    #[test]
    fn even_the_longest_serial_fits_a_request() {
        let key = P256Keys.generate().unwrap();
        let serial = SerialNumber::new("s".repeat(SerialNumber::MAX)).unwrap();
        assert!(P256Keys.request(&key, &serial).unwrap().len() < 4096);
    }

    #[test]
    fn rubbish_is_no_key() {
        for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert_eq!(P256Keys.public_key(&PrivateKeyPem::new(text)), Err(KeyError::Unreadable));
        }
    }
}
