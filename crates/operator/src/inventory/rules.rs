//! The rules, by what they look at.

pub(super) mod certificates;
pub(super) mod things;

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
