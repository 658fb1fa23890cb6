//! The common name of a certificate's subject.

use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_cert::Certificate;

/// `id-at-commonName` (RFC 5280, appendix A.1).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The first common name of the subject, where it is text.
pub(super) fn common_name(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    let subject = certificate.tbs_certificate().subject();
    let attribute = subject.iter().find(|attribute| attribute.oid == COMMON_NAME)?;
    core::str::from_utf8(attribute.value.value()).ok().map(str::to_owned)
}

/// The whole issuer, for people.
pub(super) fn issuer(der: &[u8]) -> String {
    Certificate::from_der(der)
        .map_or_else(|_| "nobody who reads".to_owned(), |found| found.tbs_certificate().issuer().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::testing::self_signed;
    use fleetkey_model::certificate::CertificateFacts;

    #[test]
    fn the_common_name_is_found_and_rubbish_has_none() {
        let facts = CertificateFacts::from_pem(&self_signed("pump 1").1).unwrap();
        assert_eq!(common_name(&facts.der).as_deref(), Some("pump 1"));
        assert_eq!(issuer(&facts.der), "CN=pump 1");
        assert_eq!(common_name(b"rubbish"), None);
    }
}
