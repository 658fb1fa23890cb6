//! Certificates for tests, encoded by hand: enough X.509 for a store, and for TLS on localhost.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use der::pem::{LineEnding, encode_string};
use fleetkey_model::secret::PrivateKeyPem;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::{Keys, P256Keys};

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        short @ 0..0x80 => out.push(short as u8),
        middle @ 0x80..0x100 => out.extend([0x81, middle as u8]),
        length => out.extend([&[0x82][..], &(length as u16).to_be_bytes()].concat()),
    }
    out.extend(content);
    out
}

/// ecdsa-with-SHA256, no parameters.
fn algorithm() -> Vec<u8> {
    tlv(0x30, &[&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]])
}

fn name(common: &str) -> Vec<u8> {
    let attribute = tlv(0x30, &[&[0x06, 0x03, 0x55, 0x04, 0x03], &tlv(0x0c, &[common.as_bytes()])]);
    tlv(0x30, &[&tlv(0x31, &[&attribute])])
}

/// Subject alternative names: `localhost` and 127.0.0.1, as extension 2.5.29.17.
fn localhost() -> Vec<u8> {
    let names = tlv(0x30, &[&tlv(0x82, &[b"localhost"]), &tlv(0x87, &[&[127, 0, 0, 1]])]);
    let extension = tlv(0x30, &[&[0x06, 0x03, 0x55, 0x1d, 0x11], &tlv(0x04, &[&names])]);
    tlv(0xa3, &[&tlv(0x30, &[&extension])])
}

/// A certificate for `spki`, signed by `signer`, DER and PEM. Serial numbers are random, so no two are equal.
pub(crate) fn signed(common: &str, spki: &[u8], signer: &PrivateKeyPem) -> (Vec<u8>, String) {
    let serial = (getrandom::u64().unwrap() >> 1).to_be_bytes();
    let serial = [&[0x01][..], &serial].concat();
    let validity = tlv(0x30, &[&tlv(0x17, &[b"200101000000Z"]), &tlv(0x17, &[b"491231235959Z"])]);
    let version = tlv(0xa0, &[&tlv(0x02, &[&[2]])]);
    let (serial, name) = (tlv(0x02, &[&serial]), name(common));
    let body = tlv(0x30, &[&version, &serial, &algorithm(), &name, &validity, &name, spki, &localhost()]);
    let key = PrivateKeyDer::from_pem_slice(signer.expose().as_bytes()).unwrap();
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_der()).unwrap();
    let signature = pair.sign(&SystemRandom::new(), &body).unwrap();
    let der = tlv(0x30, &[&body, &algorithm(), &tlv(0x03, &[&[0], signature.as_ref()])]);
    let pem = encode_string("CERTIFICATE", LineEnding::LF, &der).unwrap();
    (der, pem)
}

/// A certificate for any public key, signed by a key that is thrown away.
pub(crate) fn certificate_for(spki: &[u8]) -> (Vec<u8>, String) {
    signed("issued", spki, &P256Keys.generate().unwrap())
}

/// A self-signed certificate for localhost and its key: a server, or a client that a test server trusts.
pub(crate) fn self_signed(common: &str) -> (PrivateKeyPem, String) {
    let key = P256Keys.generate().unwrap();
    let spki = P256Keys.public_key(&key).unwrap();
    let (_, pem) = signed(common, &spki, &key);
    (key, pem)
}
