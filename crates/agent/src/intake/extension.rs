//! The extensions that a PLC's request demands: whether it has them, and whether a certificate has kept them.

use core::fmt;

use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage};

/// id-kp-clientAuth and anyExtendedKeyUsage (RFC 5280 section 4.2.1.12).
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// An extension that CODESYS puts into a request, as critical, and looks for in the certificate (its documentation,
/// "Certificates signed by a CA, by the PLC shell").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// What the key may do.
    KeyUsage,
    /// What for.
    ExtendedKeyUsage,
    /// Under which further names.
    SubjectAlternativeName,
}

impl Demand {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::KeyUsage, Self::ExtendedKeyUsage, Self::SubjectAlternativeName];

    const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::KeyUsage => "2.5.29.15",
            Self::ExtendedKeyUsage => "2.5.29.37",
            Self::SubjectAlternativeName => "2.5.29.17",
        })
    }

    /// The extension of this kind among others.
    pub(super) fn among(self, extensions: &[Extension]) -> Option<&Extension> {
        extensions.iter().find(|extension| extension.extn_id == self.oid())
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyUsage => "key usage",
            Self::ExtendedKeyUsage => "extended key usage",
            Self::SubjectAlternativeName => "subject alternative name",
        })
    }
}

/// Why a request should not be signed: what came of it would be of no use, or would be of too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is for another name than the PLC will look for.
    #[error("its common name is {found:?}, and the store is searched for {wanted:?}")]
    CommonName {
        /// The name in it.
        found: String,
        /// The client id, or `PREFIX@<client id>`.
        wanted: String,
    },
    /// It does not demand this.
    #[error("it has no {0}, which CODESYS puts into each of its requests: was it made by the PLC?")]
    Absent(Demand),
    /// It does not insist on this.
    #[error("its {0} is not critical, as CODESYS has it")]
    NotCritical(Demand),
    /// This does not read.
    #[error("its {0} does not read")]
    Unreadable(Demand),
    /// The key may not sign handshakes.
    #[error("its key usage does not include digital signature, which TLS needs")]
    NoSignature,
    /// The key may not be a client's.
    #[error("its extended key usage does not include client authentication")]
    NoClient,
    /// The key would be a CA's.
    #[error("it asks for the right to sign certificates or revocation lists; no device gets that")]
    Authority,
}

/// What the request demands and the certificate lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It is not there.
    #[error("{0} is missing")]
    Missing(Demand),
    /// It is there, and not critical.
    #[error("{0} is not critical")]
    NotCritical(Demand),
    /// It is there with another value.
    #[error("{0} has another value")]
    Changed(Demand),
    /// It is for another key.
    #[error("it is for another key")]
    Key,
    /// It is for another name.
    #[error("its subject is another")]
    Subject,
}

/// What is wrong with the extensions of a request.
pub(super) fn faults(asked: &[Extension]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for demand in Demand::ALL {
        match demand.among(asked) {
            None => faults.push(Fault::Absent(demand)),
            Some(extension) => {
                faults.extend((!extension.critical).then_some(Fault::NotCritical(demand)));
                faults.extend(misuse(demand, extension));
            }
        }
    }
    faults
}

/// Which of the demanded extensions a certificate has not kept.
pub(super) fn losses(asked: &[Extension], found: &[Extension]) -> Vec<Loss> {
    let loss = |demand: Demand| {
        let wanted = demand.among(asked)?;
        match demand.among(found) {
            None => Some(Loss::Missing(demand)),
            Some(kept) if kept.extn_value != wanted.extn_value => Some(Loss::Changed(demand)),
            Some(kept) if wanted.critical && !kept.critical => Some(Loss::NotCritical(demand)),
            Some(_) => None,
        }
    };
    Demand::ALL.into_iter().filter_map(loss).collect()
}

/// Whether a certificate with these extensions may be a TLS client's; one that is absent forbids nothing.
pub(super) fn is_usable_by_a_client(found: &[Extension]) -> bool {
    let usages = [Demand::KeyUsage, Demand::ExtendedKeyUsage].into_iter();
    let misused = |demand: Demand| demand.among(found).and_then(|extension| misuse(demand, extension));
    !usages.filter_map(misused).any(|fault| fault != Fault::Authority)
}

fn misuse(demand: Demand, extension: &Extension) -> Option<Fault> {
    let value = extension.extn_value.as_bytes();
    match demand {
        Demand::KeyUsage => match KeyUsage::from_der(value) {
            Ok(usage) if usage.key_cert_sign() || usage.crl_sign() => Some(Fault::Authority),
            Ok(usage) => (!usage.digital_signature()).then_some(Fault::NoSignature),
            Err(_) => Some(Fault::Unreadable(demand)),
        },
        Demand::ExtendedKeyUsage => match ExtendedKeyUsage::from_der(value) {
            Ok(usage) => (!usage.0.iter().any(is_for_a_client)).then_some(Fault::NoClient),
            Err(_) => Some(Fault::Unreadable(demand)),
        },
        Demand::SubjectAlternativeName => None,
    }
}

fn is_for_a_client(usage: &ObjectIdentifier) -> bool {
    [CLIENT_AUTH, ANY_USAGE].contains(usage)
}
