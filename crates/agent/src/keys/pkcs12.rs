//! A PKCS#12 file (RFC 7292) of a key and its certificate: what programs import that take no PEM.
//!
//! Key and certificate are encrypted by PBES2 with PBKDF2 (HMAC-SHA-256) and AES-256-CBC (RFC 8018), the whole is
//! authenticated by HMAC-SHA-256 with the key of RFC 7292 appendix B: what OpenSSL 3 writes by default, and Windows and
//! CODESYS read since 2018 and so. Not here: the older kinds with 3DES and SHA-1, reading, and where the passphrase is
//! kept.

use core::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use aws_lc_rs::{digest, hmac, pbkdf2, rand, rsa};
use fleetkey_model::secret::PrivateKeyPem;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::KeyError;

/// As many rounds as make a guess costly, and an import not.
const ROUNDS: u32 = 100_000;
const SALT: usize = 16;
/// SHA-256: its block and its output, in bytes.
const BLOCK: usize = 64;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const NULL: &[u8] = &[0x05, 0x00];
const BMP_STRING: u8 = 0x1e;
/// `[0] EXPLICIT`, and `[0] IMPLICIT` of something primitive.
const EXPLICIT: u8 = 0xa0;
const IMPLICIT: u8 = 0x80;

/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.7.6
const ENCRYPTED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
/// 1.2.840.113549.1.12.10.1.2
const SHROUDED_KEY_BAG: &[u8] =
    &[0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x02];
/// 1.2.840.113549.1.12.10.1.3
const CERT_BAG: &[u8] = &[0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03];
/// 1.2.840.113549.1.9.22.1
const X509_CERTIFICATE: &[u8] = &[0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
/// 1.2.840.113549.1.9.20
const FRIENDLY_NAME: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14];
/// 1.2.840.113549.1.9.21
const LOCAL_KEY_ID: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x15];
/// 1.2.840.113549.1.5.13
const PBES2: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
/// 1.2.840.113549.1.5.12
const PBKDF2: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
/// 1.2.840.113549.2.9
const HMAC_SHA256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
/// 2.16.840.1.101.3.4.1.42
const AES_256_CBC: &[u8] = &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
/// 2.16.840.1.101.3.4.2.1
const SHA_256: &[u8] = &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

/// The file with `key` and `certificate` (DER), under a name that people see and a passphrase.
///
/// # Errors
/// When the key cannot be read, or the cryptographic library refuses.
pub fn pkcs12(
    key: &PrivateKeyPem,
    certificate: &[u8],
    name: &str,
    passphrase: &str,
) -> Result<Vec<u8>, KeyError> {
    let id = digest::digest(&digest::SHA256, certificate);
    let attributes = attributes(name, id.as_ref().get(..20).unwrap_or_default());
    let shrouded = encrypted(&pkcs8(key)?, passphrase)?;
    let shrouded = tlv(SEQUENCE, &[&shrouded.algorithm, &tlv(OCTETS, &[&shrouded.content])]);
    let key_bag = bag(SHROUDED_KEY_BAG, &shrouded, &attributes);
    let value = tlv(SEQUENCE, &[X509_CERTIFICATE, &tlv(EXPLICIT, &[&tlv(OCTETS, &[certificate])])]);
    let certificate_bag = tlv(SEQUENCE, &[&bag(CERT_BAG, &value, &attributes)]);
    let certificates = encrypted(&certificate_bag, passphrase)?;
    let content = tlv(SEQUENCE, &[DATA, &certificates.algorithm, &tlv(IMPLICIT, &[&certificates.content])]);
    let certificates = tlv(SEQUENCE, &[&tlv(INTEGER, &[&[0]]), &content]);
    let safe = tlv(
        SEQUENCE,
        &[
            &tlv(SEQUENCE, &[ENCRYPTED_DATA, &tlv(EXPLICIT, &[&certificates])]),
            &data(&tlv(SEQUENCE, &[&key_bag])),
        ],
    );
    let authenticated = authentication(&safe, passphrase)?;
    Ok(tlv(SEQUENCE, &[&tlv(INTEGER, &[&[3]]), &data(&safe), &authenticated]))
}

/// The key in PKCS#8, whatever its PEM is.
fn pkcs8(key: &PrivateKeyPem) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let der = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| KeyError::Unreadable)?;
    let unreadable = |_| KeyError::Unreadable;
    match &der {
        PrivateKeyDer::Pkcs8(bytes) => Ok(Zeroizing::new(bytes.secret_pkcs8_der().to_vec())),
        PrivateKeyDer::Sec1(bytes) => {
            let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
            let pair = EcdsaKeyPair::from_private_key_der(algorithm, bytes.secret_sec1_der());
            let pair = pair.map_err(|_| KeyError::Unreadable)?;
            pair.to_pkcs8v1().map(|bytes| Zeroizing::new(bytes.as_ref().to_vec())).map_err(unreadable)
        }
        PrivateKeyDer::Pkcs1(bytes) => {
            let pair = rsa::KeyPair::from_der(bytes.secret_pkcs1_der()).map_err(|_| KeyError::Unreadable)?;
            let encoded: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().map_err(unreadable)?;
            Ok(Zeroizing::new(encoded.as_ref().to_vec()))
        }
        _ => Err(KeyError::Unreadable),
    }
}

/// A SafeBag (RFC 7292 section 4.2).
fn bag(kind: &[u8], value: &[u8], attributes: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[kind, &tlv(EXPLICIT, &[value]), attributes])
}

/// A name, and what says that key and certificate belong together.
fn attributes(name: &str, id: &[u8]) -> Vec<u8> {
    let name = tlv(SEQUENCE, &[FRIENDLY_NAME, &tlv(SET, &[&tlv(BMP_STRING, &[&utf16(name)])])]);
    let id = tlv(SEQUENCE, &[LOCAL_KEY_ID, &tlv(SET, &[&tlv(OCTETS, &[id])])]);
    // DER orders the elements of a set by their encoding.
    let mut both = [name, id];
    both.sort();
    tlv(SET, &both.each_ref().map(Vec::as_slice))
}

fn data(content: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[DATA, &tlv(EXPLICIT, &[&tlv(OCTETS, &[content])])])
}

/// What PBES2 makes of something, and how.
struct Encrypted {
    algorithm: Vec<u8>,
    content: Vec<u8>,
}

fn encrypted(plain: &[u8], passphrase: &str) -> Result<Encrypted, KeyError> {
    let salt = random()?;
    let rounds = NonZeroU32::new(ROUNDS).ok_or(KeyError::Generate)?;
    let mut secret = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, passphrase.as_bytes(), secret.as_mut_slice());
    let refused = |_| KeyError::Generate;
    let cipher = UnboundCipherKey::new(&AES_256, secret.as_slice()).map_err(refused)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(refused)?;
    let mut content = plain.to_vec();
    let context = cipher.encrypt(&mut content).map_err(refused)?;
    let DecryptionContext::Iv128(iv) = context else { return Err(KeyError::Generate) };
    let prf = tlv(SEQUENCE, &[HMAC_SHA256, NULL]);
    let derivation = tlv(SEQUENCE, &[&tlv(OCTETS, &[&salt]), &number(ROUNDS), &prf]);
    let derivation = tlv(SEQUENCE, &[PBKDF2, &derivation]);
    let scheme = tlv(SEQUENCE, &[AES_256_CBC, &tlv(OCTETS, &[iv.as_ref()])]);
    let algorithm = tlv(SEQUENCE, &[PBES2, &tlv(SEQUENCE, &[&derivation, &scheme])]);
    Ok(Encrypted { algorithm, content })
}

/// MacData (RFC 7292 section 4).
fn authentication(content: &[u8], passphrase: &str) -> Result<Vec<u8>, KeyError> {
    let salt = random()?;
    let key = derived(passphrase, &salt);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), content);
    let algorithm = tlv(SEQUENCE, &[SHA_256, NULL]);
    let digest = tlv(SEQUENCE, &[&algorithm, &tlv(OCTETS, &[tag.as_ref()])]);
    Ok(tlv(SEQUENCE, &[&digest, &tlv(OCTETS, &[&salt]), &number(ROUNDS)]))
}

/// The key for the MAC (RFC 7292 appendix B.2, ID 3), which is no longer than one output of the hash.
fn derived(passphrase: &str, salt: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut password = Zeroizing::new(utf16(passphrase));
    password.extend([0, 0]);
    let mut input = Zeroizing::new(vec![3; BLOCK]);
    input.extend(filled(salt).chain(filled(&password)));
    let mut output = Zeroizing::new(digest::digest(&digest::SHA256, &input).as_ref().to_vec());
    for _ in 1..ROUNDS {
        *output = digest::digest(&digest::SHA256, &output).as_ref().to_vec();
    }
    output
}

/// Repeated until whole blocks are full.
fn filled(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().copied().cycle().take(bytes.len().div_ceil(BLOCK) * BLOCK)
}

fn random() -> Result<[u8; SALT], KeyError> {
    let mut salt = [0; SALT];
    rand::fill(&mut salt).map_err(|_| KeyError::Generate)?;
    Ok(salt)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn number(number: u32) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let front = bytes.iter().take(3).take_while(|byte| **byte == 0).count();
    let digits = bytes.get(front..).unwrap_or_default();
    // A first bit that is set would make it negative.
    let sign: &[u8] = if digits.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    tlv(INTEGER, &[sign, digits])
}

/// DER: a tag, the length of the parts, the parts.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ 0..0x80) => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
            out.extend(digits);
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::keys::testing::certificate_for;
    use crate::keys::{Keys, P256Keys};

    /// What OpenSSL reads of it: exit code and output. The passphrase goes by a file, as everywhere.
    fn openssl(arguments: &[&str], file: &[u8], passphrase: &str) -> (bool, String) {
        let dir = tempfile::tempdir().unwrap();
        let (bundle, secret) = (dir.path().join("bundle.p12"), dir.path().join("secret"));
        std::fs::write(&bundle, file).unwrap();
        std::fs::write(&secret, passphrase).unwrap();
        let output = Command::new("openssl")
            .args(["pkcs12", "-in"])
            .arg(bundle)
            .arg("-passin")
            .arg(format!("file:{}", secret.display()))
            .args(arguments)
            .output()
            .expect("openssl is installed with the test's packages");
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), told.into_owned())
    }

    #[test]
    fn openssl_reads_back_what_went_in() {
        let key = P256Keys.generate().unwrap();
        let (der, pem) = certificate_for(&P256Keys.public_key(&key).unwrap());
        let file = pkcs12(&key, &der, "PM500-0001", "correct horse").unwrap();
        let (read, told) = openssl(&["-nodes"], &file, "correct horse");
        assert!(read && told.contains(pem.trim()) && told.contains("friendlyName: PM500-0001"), "{told}");
        assert_eq!(P256Keys.public_key(&PrivateKeyPem::new(told)), P256Keys.public_key(&key));
        let (_, told) = openssl(&["-info", "-noout"], &file, "correct horse");
        assert!(
            told.contains("sha256, Iteration 100000") && told.matches("AES-256-CBC").count() == 2,
            "{told}"
        );
    }

    #[test]
    fn another_passphrase_or_a_changed_byte_is_refused() {
        let key = P256Keys.generate().unwrap();
        let (der, _) = certificate_for(&P256Keys.public_key(&key).unwrap());
        let mut file = pkcs12(&key, &der, "x", "right").unwrap();
        assert!(!openssl(&["-noout"], &file, "wrong").0);
        let middle = file.len() / 2;
        file[middle] ^= 1;
        assert!(!openssl(&["-noout"], &file, "right").0);
    }

    #[test]
    fn two_files_of_one_key_have_nothing_in_common_that_is_secret() {
        let key = P256Keys.generate().unwrap();
        let (der, _) = certificate_for(&P256Keys.public_key(&key).unwrap());
        let make = || pkcs12(&key, &der, "x", "same").unwrap();
        assert_ne!(make(), make());
    }

    #[test]
    fn lengths_and_numbers_are_der() {
        assert_eq!(tlv(OCTETS, &[&[0; 127]])[..2], [4, 127]);
        assert_eq!(tlv(OCTETS, &[&[0; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(OCTETS, &[&[0; 256]])[..4], [4, 0x82, 1, 0]);
        assert_eq!(number(100_000), [2, 3, 1, 0x86, 0xa0]);
        assert_eq!(number(0x80), [2, 2, 0, 0x80]);
        assert_eq!(number(0), [2, 1, 0]);
    }
}
