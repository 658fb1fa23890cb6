//! A certificate in a PLC's store, and which of several CODESYS takes for a connection, as its documentation has it
//! (CmpX509Cert, X509CertStoreGetRegisteredCert):
//!
//! 1. a thumbprint that is pinned for the use case wins, and nothing else will do;
//! 2. else those of the common name that is asked for, which may be used by a client and are valid now;
//! 3. of these, one that a CA has signed before one that has signed itself;
//! 4. then the one with the *longest period of validity*;
//! 5. then the one with the strongest key.

use std::time::Duration;

use aws_lc_rs::digest;
use der::Decode;
use fleetkey_model::certificate::{BadCertificate, CertificateFacts};
use fleetkey_model::time::Timestamp;
use x509_cert::Certificate;

use super::extension::is_usable_by_a_client;
use super::verify::{Kind, kind_of};

/// What a PLC looks at in one of its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// What stands in it.
    pub facts: CertificateFacts,
    /// SHA-1 of its DER, in upper case and without colons, as it is pinned.
    pub thumbprint: String,
    /// Nobody else vouches for it.
    pub self_signed: bool,
    /// Key usage and extended key usage, where they are there, allow a TLS client.
    pub for_a_client: bool,
    /// Bits of its key, where it is RSA.
    pub rsa_bits: Option<usize>,
    /// Bits that count when keys are compared.
    strength: usize,
}

/// What a store takes for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<'a> {
    /// This one.
    Takes(&'a Owned),
    /// These are alike in all that counts; which is taken nobody documents.
    Tie(&'a Owned, &'a Owned),
    /// Nothing fits.
    Nothing,
}

impl Owned {
    /// Reads one in DER.
    ///
    /// # Errors
    /// When it is no certificate in DER.
    pub fn read(der: &[u8]) -> Result<Self, BadCertificate> {
        let facts = CertificateFacts::from_der(der)?;
        let read =
            Certificate::from_der(der).map_err(|error| BadCertificate { reason: error.to_string() })?;
        let body = read.tbs_certificate();
        let (rsa_bits, strength) = match kind_of(body.subject_public_key_info()) {
            Ok(Kind::Rsa(bits)) => (Some(bits), bits),
            Ok(Kind::Ec(bits)) => (None, bits),
            Err(_) => (None, 0),
        };
        Ok(Self {
            thumbprint: thumbprint(der),
            self_signed: body.issuer() == body.subject(),
            for_a_client: is_usable_by_a_client(body.extensions().map(Vec::as_slice).unwrap_or_default()),
            rsa_bits,
            strength,
            facts,
        })
    }

    /// Whether it is valid at this moment.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.facts.not_before <= now && now <= self.facts.not_after
    }

    fn rank(&self) -> (bool, Duration, usize) {
        (!self.self_signed, self.facts.not_after.since(self.facts.not_before), self.strength)
    }
}

impl<'a> Choice<'a> {
    /// Chooses among certificates for which there is a key. A pin is a SHA-1 thumbprint as [`Owned::thumbprint`].
    pub fn among(own: &'a [Owned], pin: Option<&str>, common_name: &str, now: Timestamp) -> Self {
        if let Some(pin) = pin {
            return own.iter().find(|one| one.thumbprint == pin).map_or(Self::Nothing, Self::Takes);
        }
        let fits = |one: &&Owned| {
            one.facts.common_name().as_deref() == Some(common_name) && one.for_a_client && one.is_valid(now)
        };
        let mut fitting: Vec<_> = own.iter().filter(fits).collect();
        fitting.sort_by_key(|one| core::cmp::Reverse(one.rank()));
        match fitting.as_slice() {
            [] => Self::Nothing,
            [first, second, ..] if first.rank() == second.rank() => Self::Tie(first, second),
            [first, ..] => Self::Takes(first),
        }
    }
}

fn thumbprint(der: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}
