//! What the rules find, page by page. The place of a finding is its rule, its thing and its certificate: two have never the
//! same.

use fleetkey_dashboard::fleet::{Finding, FindingPage, FindingQuery, Severity};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_operator::inventory::{self, Rule};

use super::Board;

/// Where a finding stands among all of them.
type Place = (Rule, Option<ThingName>, Option<CertificateId>);

impl Board {
    /// Some of the findings.
    pub(super) fn found(&self, query: &FindingQuery) -> FindingPage {
        page(self.hindrances.findings(), &self.all_found().all, query)
    }
}

/// What hinders the controller itself comes first, on the first page.
fn page(mut hindrances: Vec<Finding>, all: &[inventory::Finding], query: &FindingQuery) -> FindingPage {
    let total = hindrances.len() + all.len();
    let begin = match read(&query.after) {
        Some(after) => {
            hindrances.clear();
            all.partition_point(|found| place(found) <= after)
        }
        None => 0,
    };
    let rest = all.get(begin..).unwrap_or_default();
    // At least one, or there would be no place to go on from.
    let room = query.limit.saturating_sub(hindrances.len()).max(1);
    let shown = rest.get(..room).unwrap_or(rest);
    let last = shown.last().filter(|_| shown.len() < rest.len());
    FindingPage {
        next: last.map(|found| write(&place(found))),
        findings: hindrances.into_iter().chain(shown.iter().map(finding)).collect(),
        total,
    }
}

fn place(found: &inventory::Finding) -> Place {
    (found.rule, found.thing.clone(), found.certificate)
}

/// Neither a name nor an id has a comma.
fn write((rule, thing, certificate): &Place) -> String {
    let thing = thing.as_ref().map(ToString::to_string).unwrap_or_default();
    let certificate = certificate.map(|id| id.to_string()).unwrap_or_default();
    format!("{},{thing},{certificate}", rule.as_str())
}

fn read(text: &str) -> Option<Place> {
    let mut parts = text.split(',');
    let (rule, thing, certificate) = (parts.next()?, parts.next()?, parts.next()?);
    Some((rule.parse().ok()?, ThingName::new(thing).ok(), certificate.parse().ok()))
}

fn finding(found: &inventory::Finding) -> Finding {
    Finding {
        severity: match found.severity {
            inventory::Severity::Critical => Severity::Critical,
            inventory::Severity::High => Severity::High,
            inventory::Severity::Medium => Severity::Medium,
        },
        thing: found.thing.clone(),
        seen: found.saw.clone(),
        matters: found.why.to_owned(),
        remedy: found.act.clone(),
        since: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::certificate::CertificateStatus;
    use fleetkey_model::time::Timestamp;
    use fleetkey_operator::inventory::{Crawl, ListedCertificate, ListedThing, Store, Thresholds, Watch};

    const NOW: Timestamp = Timestamp::from_secs(100 * 86_400);

    /// Things of which some are frozen and all have an old certificate, and old certificates on no thing.
    fn watch() -> Watch {
        let mut store = Store::default();
        for n in 0..40u8 {
            let (id, status) = (CertificateId::of_der(&[n]), CertificateStatus::Active);
            let created_at = Timestamp::from_secs(86_400);
            store.listed_certificates(NOW, &[ListedCertificate { id, status, created_at }]);
            if n % 4 > 0 {
                let name = ThingName::new(format!("press:{n}-a_b")).unwrap();
                let listed = ListedThing { name: name.clone(), newest: Some(id), recovered: None };
                store.listed_things(NOW, &[listed]);
                store.frozen(&name, (n % 3 == 0).then(|| "why".to_owned()));
            }
        }
        Watch::new(store, Crawl::default())
    }

    #[test]
    fn page_by_page_every_finding_comes_once() {
        let all = watch().findings(NOW, &Thresholds::default());
        assert!(all.len() >= 40, "{}", all.len());
        for limit in [1, 7, all.len(), all.len() + 1] {
            let (mut query, mut seen) = (FindingQuery { limit, ..FindingQuery::default() }, Vec::new());
            loop {
                let found = page(Vec::new(), &all, &query);
                assert_eq!(found.total, all.len());
                seen.extend(found.findings);
                let Some(next) = found.next else { break };
                query.after = next;
            }
            assert_eq!(seen, all.iter().map(finding).collect::<Vec<_>>(), "by {limit}");
        }
    }

    #[test]
    fn a_place_that_is_gone_is_behind_what_was_before_it_and_one_that_never_was_is_the_beginning() {
        let mut all = watch().findings(NOW, &Thresholds::default());
        let query = FindingQuery { limit: 5, ..FindingQuery::default() };
        let next = page(Vec::new(), &all, &query).next.unwrap();
        let sixth = finding(&all[5]);
        all.remove(4);
        let after = page(Vec::new(), &all, &FindingQuery { after: next, limit: query.limit });
        assert_eq!(after.findings[0], sixth);
        for text in ["", "nothing", "frozen", "<script>,,", "a,b,c,d"] {
            let again = page(Vec::new(), &all, &FindingQuery { after: text.to_owned(), ..query.clone() });
            assert_eq!(again, page(Vec::new(), &all, &query), "{text}");
        }
    }

    #[test]
    fn what_hinders_the_controller_stands_before_all_others_and_once() {
        let all = watch().findings(NOW, &Thresholds::default());
        let deaf = Finding { seen: "nothing is heard".to_owned(), ..finding(&all[0]) };
        for limit in [1, 2, 7] {
            let (mut query, mut seen) = (FindingQuery { limit, ..FindingQuery::default() }, Vec::new());
            loop {
                let found = page(vec![deaf.clone()], &all, &query);
                assert_eq!(found.total, all.len() + 1);
                seen.extend(found.findings);
                let Some(next) = found.next else { break };
                query.after = next;
            }
            assert_eq!((&seen[0], seen.len()), (&deaf, all.len() + 1), "by {limit}");
            assert!(!seen[1..].contains(&deaf), "by {limit}");
        }
        assert_eq!(page(vec![deaf], &[], &FindingQuery { limit: 6, ..FindingQuery::default() }).total, 1);
    }
}
