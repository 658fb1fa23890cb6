//! Amazon's root CAs, by which a client knows AWS IoT Core; from the `webpki-root-certs` crate, so that set-up downloads
//! nothing and there is nothing to tamper with, and checked against their published SHA-256.
//!
//! Root CA 1 ends in 2038, before the certificates that AWS issues to devices: roots must be replaceable in the field.

use std::fmt::Write;

use base64ct::{Base64, Encoding};
use fleetkey_model::certificate::CertificateId;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Name and SHA-256 of the certificate, from https://www.amazontrust.com/repository/ (Developer Guide,
/// server-authentication).
const AMAZON: [(&str, &str); 4] = [
    ("Amazon Root CA 1", "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e"),
    ("Amazon Root CA 2", "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4"),
    ("Amazon Root CA 3", "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4"),
    ("Amazon Root CA 4", "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092"),
];

/// The crate no longer has a root that AWS IoT Core may present.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not among the root certificates that this program was built with; give the file with --root-ca"
)]
pub struct RootMissing(pub &'static str);

/// All four roots in one PEM text, each after its name: AWS advises to install every one.
///
/// # Errors
/// When one is missing.
pub fn amazon() -> Result<String, RootMissing> {
    AMAZON.iter().try_fold(String::new(), |mut bundle, &(name, digest)| {
        let found = TLS_SERVER_ROOT_CERTS.iter().find(|der| CertificateId::of_der(der).to_string() == digest);
        let der = found.ok_or(RootMissing(name))?;
        let _ = write!(bundle, "# {name}\n{}", pem(der));
        Ok(bundle)
    })
}

fn pem(der: &[u8]) -> String {
    let text = Base64::encode_string(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::certificate::CertificateFacts;

    #[test]
    fn all_four_are_there_and_read_back_as_what_was_published() {
        let bundle = amazon().unwrap();
        let parts: Vec<_> = bundle.split("# Amazon").filter(|part| !part.is_empty()).collect();
        assert_eq!(parts.len(), AMAZON.len());
        for (part, (_, digest)) in parts.iter().zip(AMAZON) {
            let pem = &part[part.find("-----BEGIN").unwrap()..];
            assert_eq!(CertificateFacts::from_pem(pem).unwrap().id.to_string(), digest);
        }
    }
}
