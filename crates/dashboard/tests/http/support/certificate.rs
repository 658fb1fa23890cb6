//! A certificate that is made up, and one that is real.

use std::time::Duration;

use fleetkey_dashboard::fleet::{Certificate, Holder, Told};
use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;

use super::fleet::NOW;

/// One that says `words` of itself, or what stands in `texts`: the former one's, that of the one in use. Some words stand for what
/// the account has told of it.
pub(crate) fn sample(
    words: &str,
    texts: Option<&[String; 2]>,
    (der, status, holder): (&[u8], CertificateStatus, Holder),
) -> Certificate {
    let real = texts.map(|[former, used]| if holder == Holder::Former { former } else { used });
    let facts = real.map(|pem| CertificateFacts::from_pem(pem).unwrap());
    let name = |of: fn(&CertificateFacts) -> String| facts.as_ref().map_or_else(|| words.to_owned(), of);
    let told = |at, refused: Option<&str>| Some(Told { at, refused: refused.map(str::to_owned) });
    Certificate {
        id: CertificateId::of_der(der),
        status,
        holder,
        created: NOW - Duration::from_secs(3600),
        modified: NOW,
        not_before: NOW,
        not_after: Timestamp::AWS_CERTIFICATE_END,
        subject: name(CertificateFacts::subject),
        issuer: name(CertificateFacts::issuer),
        policies: [words.to_owned()].into(),
        pem: match words {
            _ if real.is_some() => real.cloned().unwrap_or_default(),
            "the account is asked" | "the account refuses" => String::new(),
            "all is well" | "the account told" | "the account told once" => {
                include_str!("../../../../model/fixtures/chain-ec.pem").to_owned()
            }
            words => format!("-----BEGIN CERTIFICATE-----\n{words}\n-----END CERTIFICATE-----\n"),
        },
        told: match words {
            "the account is asked" => told(None, None),
            "the account refuses" => told(None, Some(words)),
            "the account told" => told(Some(NOW - Duration::from_secs(90)), None),
            "the account told once" => told(Some(NOW - Duration::from_secs(90)), Some(words)),
            _ => None,
        },
    }
}
