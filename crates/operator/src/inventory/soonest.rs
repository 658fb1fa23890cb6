//! The few certificates that end soonest, in the text format of Prometheus, under the name that people's alerts have
//! already: `x509_cert_not_after` (x509-certificate-exporter). A series each, so there are none unless they are asked for.

use std::fmt::Write;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::watch::Watch;

/// The end of an ACTIVE certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Which.
    pub certificate: CertificateId,
    /// The thing that it is attached to.
    pub thing: Option<ThingName>,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Watch {
    /// The ACTIVE certificates that end soonest, at most so many, of those whose end the account has told.
    pub fn soonest(&self, most: usize) -> Vec<End> {
        self.look(|store, _| {
            let ends = store.index().ends().take(most);
            let end = |(not_after, id): &(Timestamp, CertificateId)| {
                let thing = store.certificate(id).and_then(|row| row.thing.clone());
                End { certificate: *id, thing, not_after: *not_after }
            };
            ends.map(end).collect()
        })
    }
}

/// Their part of the page; nothing of none. Writing to a String cannot fail.
pub fn render_soonest(ends: &[End]) -> String {
    let mut page = String::new();
    if ends.is_empty() {
        return page;
    }
    page.push_str(
        "# HELP x509_cert_not_after End of the ACTIVE certificates that end soonest, seconds since 1970.\n",
    );
    page.push_str("# TYPE x509_cert_not_after gauge\n");
    for End { certificate, thing, not_after } in ends {
        // No name has a character that would have to be escaped.
        let thing = thing.as_ref().map_or("", |thing| thing.as_str());
        let end = not_after.as_secs();
        let _ =
            writeln!(page, "x509_cert_not_after{{certificate=\"{certificate}\",thing=\"{thing}\"}} {end}");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Crawl, Described, ListedCertificate, Store};
    use fleetkey_model::certificate::CertificateStatus;

    #[test]
    fn as_many_as_are_asked_for_end_soonest_first_and_by_default_there_is_nothing() {
        let mut store = Store::default();
        let at = Timestamp::from_secs;
        let press = ThingName::new("press-1").unwrap();
        for (n, status) in
            [(3, CertificateStatus::Active), (1, CertificateStatus::Revoked), (2, CertificateStatus::Active)]
        {
            let id = CertificateId::of_der(&[n]);
            store.listed_certificates(at(9), &[ListedCertificate { id, status, created_at: at(1) }]);
            store.described(id, &Described { not_after: at(100 * u64::from(n)) });
        }
        store.attachments(CertificateId::of_der(&[2]), std::slice::from_ref(&press));
        let watch = Watch::new(store, Crawl::default());
        let ends = |most| watch.soonest(most).iter().map(|end| end.not_after.as_secs()).collect::<Vec<_>>();
        assert_eq!(
            (ends(0), ends(1), ends(9)),
            (vec![], vec![200], vec![200, 300]),
            "what is revoked ends nothing"
        );
        assert_eq!(render_soonest(&watch.soonest(0)), "");
        let page = render_soonest(&watch.soonest(1));
        let id = CertificateId::of_der(&[2]);
        let line = format!("x509_cert_not_after{{certificate=\"{id}\",thing=\"press-1\"}} 200");
        assert_eq!(page.lines().last(), Some(line.as_str()));
    }
}
