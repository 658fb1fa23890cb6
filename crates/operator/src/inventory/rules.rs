//! The rules, by what they look at.

mod certificates;
mod things;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::findings::{Finding, Rule, Thresholds};
use super::store::Store;

/// What a rule sees.
pub(super) struct View<'a> {
    pub(super) store: &'a Store,
    pub(super) now: Timestamp,
    pub(super) thresholds: &'a Thresholds,
}

impl View<'_> {
    /// What deserves attention of these things.
    pub(super) fn look_at_things<'a>(
        &self,
        names: impl IntoIterator<Item = &'a ThingName>,
        found: &mut Vec<Finding>,
    ) {
        let rows = names.into_iter().filter_map(|name| Some((name, self.store.thing(name)?)));
        rows.for_each(|(name, row)| things::look(self, name, row, found));
    }

    /// What deserves attention of these certificates.
    pub(super) fn look_at_certificates<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a CertificateId>,
        found: &mut Vec<Finding>,
    ) {
        let rows = ids.into_iter().filter_map(|id| Some((id, self.store.certificate(id)?)));
        rows.for_each(|(id, row)| certificates::look(self, id, row, found));
    }
}

fn finding(
    rule: Rule,
    thing: Option<&ThingName>,
    certificate: Option<&CertificateId>,
    saw: String,
    (why, act): (&'static str, &str),
) -> Finding {
    Finding {
        rule,
        severity: rule.severity(),
        thing: thing.cloned(),
        certificate: certificate.copied(),
        saw,
        why,
        act: act.to_owned(),
    }
}
