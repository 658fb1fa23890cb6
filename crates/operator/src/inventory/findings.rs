//! What deserves attention: each finding says what was seen, why it matters, and what to do. Pure functions of the store.
//!
//! One file a group of rules under `rules/`; [`Rule`] names them all.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde::Serialize;

use super::rules::View;
use super::store::Store;

/// Which rule a finding is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A thing is frozen: two generations outlast a commit, or somebody rotated who should not have.
    Frozen,
    /// A certificate came of a recovery by claim, and nobody has approved or rejected it.
    Recovered,
    /// A certificate is connected although it is not ACTIVE any more.
    ConnectedAfterEnd,
    /// A certificate has connected under the names of two things.
    Shared,
    /// A certificate is in use although its successor was attested.
    SupersededInUse,
    /// The claim is in use although nobody is to be provisioned.
    ClaimOutOfSeason,
    /// A thing connects again and again.
    Flapping,
    /// An ACTIVE certificate is on no thing.
    Orphan,
    /// An ACTIVE certificate is on a thing and was never seen in use.
    NeverSeen,
    /// A certificate in use is older than it should become.
    Aged,
    /// A certificate in use ends soon.
    Expiring,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody may have an identity that is not theirs.
    Critical,
    /// A device may lose its connection, or an end does not take effect.
    High,
    /// Something is not as it should be, and nobody is harmed yet.
    Medium,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// By which rule.
    pub rule: Rule,
    /// How much it matters.
    pub severity: Severity,
    /// The thing, where it is about one.
    pub thing: Option<ThingName>,
    /// The certificate, where it is about one.
    pub certificate: Option<CertificateId>,
    /// What was seen.
    pub saw: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub act: String,
}

/// From when on something counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thresholds {
    /// A certificate in use older than this is aged.
    pub aged_after: Duration,
    /// A certificate in use that ends within this is expiring.
    pub expiring_within: Duration,
    /// An ACTIVE certificate that is on no thing, or was never seen, for longer than this counts.
    pub idle_after: Duration,
    /// A certificate that has not been ACTIVE for longer than this, and is connected, counts: AWS takes minutes to cut.
    pub cut_within: Duration,
    /// More connections of one thing than this in ten minutes are flapping; at least 1.
    pub connects: u32,
    /// Whether devices are being provisioned these days.
    pub claims_expected: bool,
}

impl Default for Thresholds {
    /// Sixty days of age, thirty before the end, a day of idleness, ten minutes to be cut, ten connections.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3600);
        Self {
            aged_after: day * 60,
            expiring_within: day * 30,
            idle_after: day,
            cut_within: Duration::from_secs(600),
            connects: 10,
            claims_expected: true,
        }
    }
}

impl Rule {
    /// Every rule, the gravest first.
    pub const ALL: [Self; 11] = [
        Self::Frozen,
        Self::Recovered,
        Self::ConnectedAfterEnd,
        Self::Shared,
        Self::SupersededInUse,
        Self::ClaimOutOfSeason,
        Self::Flapping,
        Self::Orphan,
        Self::NeverSeen,
        Self::Aged,
        Self::Expiring,
    ];

    /// Its name, for example `never-seen`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Recovered => "recovered",
            Self::ConnectedAfterEnd => "connected-after-end",
            Self::Shared => "shared",
            Self::SupersededInUse => "superseded-in-use",
            Self::ClaimOutOfSeason => "claim-out-of-season",
            Self::Flapping => "flapping",
            Self::Orphan => "orphan",
            Self::NeverSeen => "never-seen",
            Self::Aged => "aged",
            Self::Expiring => "expiring",
        }
    }

    /// How much its findings matter.
    pub const fn severity(self) -> Severity {
        match self {
            Self::Frozen | Self::Recovered | Self::Shared | Self::ConnectedAfterEnd => Severity::Critical,
            Self::SupersededInUse | Self::ClaimOutOfSeason | Self::Expiring => Severity::High,
            Self::Flapping | Self::Orphan | Self::NeverSeen | Self::Aged => Severity::Medium,
        }
    }
}

impl Severity {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
        }
    }
}

impl core::str::FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|rule| rule.as_str() == text);
        found.ok_or_else(|| format!("no rule is called {text:?}; there are {}", known()))
    }
}

/// Everything that deserves attention at `now`, the gravest first.
pub fn findings(store: &Store, now: Timestamp, thresholds: &Thresholds) -> Vec<Finding> {
    let (view, suspects) = (View { store, now, thresholds }, store.suspects(now, thresholds));
    let mut found = Vec::new();
    view.look_at_things(&suspects.things, &mut found);
    view.look_at_certificates(&suspects.certificates, &mut found);
    sort(&mut found);
    found
}

/// What deserves attention at `now` of one thing and its certificates, the gravest first.
pub fn findings_of(
    store: &Store,
    thing: &ThingName,
    now: Timestamp,
    thresholds: &Thresholds,
) -> Vec<Finding> {
    let view = View { store, now, thresholds };
    let mut found = Vec::new();
    view.look_at_things([thing], &mut found);
    if let Some(row) = store.thing(thing) {
        view.look_at_certificates(&row.certificates, &mut found);
    }
    sort(&mut found);
    found
}

/// The certificates that findings of a rule are about: of what is found of a thing as a whole, all that the thing has.
pub fn certificates_of(store: &Store, rule: Rule, found: &[Finding]) -> BTreeSet<CertificateId> {
    let of_it = found.iter().filter(|found| found.rule == rule);
    let certificates = of_it.flat_map(|found| match (found.certificate, &found.thing) {
        (Some(id), _) => vec![id],
        (None, Some(thing)) => store.thing(thing).map(|row| row.certificates.to_vec()).unwrap_or_default(),
        (None, None) => Vec::new(),
    });
    certificates.collect()
}

/// The gravest first.
pub(super) fn sort(found: &mut [Finding]) {
    found.sort_by(|a, b| (a.rule, &a.thing, a.certificate).cmp(&(b.rule, &b.thing, b.certificate)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{FreezeReason, PresenceEvent};
    use crate::inventory::census::{Described, ListedCertificate, ListedThing};
    use fleetkey_model::certificate::CertificateStatus::{self, Active, Inactive};
    use fleetkey_model::name::ClientId;
    use std::collections::BTreeMap;

    const DAY: u64 = 86_400;
    /// When everything is looked at.
    const NOW: u64 = 100 * DAY;

    fn id(n: u8) -> CertificateId {
        CertificateId::of_der(&[n])
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn press() -> ThingName {
        ThingName::new("press-1").unwrap()
    }

    /// Certificate 1 is the operator's claim; of the thing press-1, certificate 2 is the newest, registered on day 90.
    fn store() -> Store {
        let mut store = Store::new(BTreeMap::from([(id(1), "claim".to_owned())]));
        list(&mut store, 2, Active, 90 * DAY);
        store.listed_things(at(NOW), &[ListedThing { name: press(), newest: Some(id(2)), recovered: None }]);
        connect(&mut store, 2, "press-1", NOW - 60);
        store
    }

    fn list(store: &mut Store, n: u8, status: CertificateStatus, created: u64) {
        store.listed_certificates(
            at(NOW),
            &[ListedCertificate { id: id(n), status, created_at: at(created) }],
        );
    }

    fn connect(store: &mut Store, n: u8, client: &str, seconds: u64) {
        let event = PresenceEvent {
            timestamp: at(seconds),
            principal_identifier: id(n),
            session_identifier: Some(format!("{client} {seconds}").into()),
        };
        store.connected(at(seconds), &ClientId::new(client).unwrap(), &event);
    }

    #[track_caller]
    fn found(store: &Store, rules: &[Rule]) {
        found_with(store, &Thresholds::default(), rules);
    }

    #[track_caller]
    fn found_with(store: &Store, thresholds: &Thresholds, rules: &[Rule]) {
        let found = findings(store, at(NOW), thresholds);
        assert_eq!(found.iter().map(|found| found.rule).collect::<Vec<_>>(), rules, "{found:#?}");
        let of_press: Vec<_> = found.iter().filter(|found| found.thing == Some(press())).cloned().collect();
        assert_eq!(findings_of(store, &press(), at(NOW), thresholds), of_press);
        assert!(
            found.iter().all(|found| !(found.saw.is_empty() || found.why.is_empty() || found.act.is_empty()))
        );
    }

    #[test]
    fn a_device_on_its_newest_certificate_is_no_finding() {
        found(&store(), &[]);
    }

    #[test]
    fn a_superseded_certificate_in_use_is_found_and_one_at_rest_is_not() {
        let mut store = store();
        list(&mut store, 3, Active, 80 * DAY);
        store.attachments(id(3), &[press()]);
        store.attested(at(NOW - 50), &press(), id(2), at(NOW - 50));
        store.witnessed(&press(), id(2), at(NOW - 50));
        store.ages.watching_since = Some(at(NOW - 60));
        found(&store, &[]);
        connect(&mut store, 3, "press-1~agent", NOW - 10);
        found(&store, &[Rule::SupersededInUse]);
        store.changed(at(NOW), id(3), Some(Inactive));
        found(&store, &[]);
    }

    /// What is ended connects no more; that a connection outlasts it is another rule's.
    #[test]
    fn what_two_things_share_is_found_until_it_is_ended() {
        let mut store = store();
        connect(&mut store, 2, "press-1", NOW - 20);
        connect(&mut store, 2, "press-9", NOW - 10);
        found(&store, &[Rule::Shared]);
        store.changed(at(NOW), id(2), Some(CertificateStatus::Revoked));
        found(&store, &[]);
    }

    #[test]
    fn what_is_found_of_a_thing_is_about_all_its_certificates() {
        let mut store = store();
        list(&mut store, 3, Active, 80 * DAY);
        store.attachments(id(3), &[press()]);
        store.frozen(&press(), Some("two take turns".into()));
        connect(&mut store, 3, "press-9", NOW - 20);
        connect(&mut store, 3, "press-1", NOW - 10);
        let found = findings(&store, at(NOW), &Thresholds::default());
        assert_eq!(certificates_of(&store, Rule::Frozen, &found), BTreeSet::from([id(2), id(3)]));
        assert_eq!(certificates_of(&store, Rule::Shared, &found), BTreeSet::from([id(3)]));
    }

    #[test]
    fn a_frozen_thing_is_found_until_it_is_released() {
        let mut store = store();
        store.frozen(&press(), Some("two take turns".into()));
        found(&store, &[Rule::Frozen]);
        store.frozen(&press(), None);
        found(&store, &[]);
    }

    #[test]
    fn a_recovery_is_found_with_both_generations_until_it_is_decided_on() {
        let mut store = store();
        list(&mut store, 7, Active, 80 * DAY);
        store.attachments(id(7), &[press()]);
        store.recovered(&press(), Some(id(2)));
        store.frozen(&press(), Some(FreezeReason::Recovered.to_string()));
        found(&store, &[Rule::Recovered]);
        let saw = &findings(&store, at(NOW), &Thresholds::default())[0].saw;
        assert!([id(2), id(7)].iter().all(|id| saw.contains(&id.short())), "{saw}");
        store.frozen(&press(), Some("two take turns".into()));
        found(&store, &[Rule::Frozen, Rule::Recovered]);
        store.frozen(&press(), Some(FreezeReason::Recovered.to_string()));
        store.recovered(&press(), None);
        found(&store, &[]);
        // The account's list says the same.
        let listed = |recovered| ListedThing { name: press(), newest: Some(id(2)), recovered };
        store.listed_things(at(NOW), &[listed(Some(id(2)))]);
        found(&store, &[Rule::Recovered]);
        store.listed_things(at(NOW), &[listed(None)]);
        found(&store, &[]);
    }

    #[test]
    fn one_certificate_under_two_names_is_found_and_its_roles_are_one_name() {
        let mut store = store();
        connect(&mut store, 2, "press-1~verify", NOW - 30);
        found(&store, &[]);
        connect(&mut store, 2, "press-2", NOW - 20);
        found(&store, &[Rule::Shared]);
    }

    #[test]
    fn a_connection_that_outlasts_its_certificate_is_found_after_the_time_that_a_cut_takes() {
        let mut store = store();
        connect(&mut store, 2, "press-1~agent", NOW - 700);
        store.changed(at(NOW - 599), id(2), Some(Inactive));
        found(&store, &[]);
        store.changed(at(NOW - 600), id(2), Some(Active));
        store.changed(at(NOW - 600), id(2), Some(Inactive));
        found(&store, &[Rule::ConnectedAfterEnd]);
    }

    #[test]
    fn a_claim_in_use_is_found_only_out_of_season_and_for_a_week() {
        let mut store = store();
        connect(&mut store, 1, "claim~press-9", NOW - 7 * DAY + 20);
        found(&store, &[]);
        let over = Thresholds { claims_expected: false, ..Thresholds::default() };
        found_with(&store, &over, &[Rule::ClaimOutOfSeason]);
        assert!(findings(&store, at(NOW + 20), &over).is_empty());
    }

    #[test]
    fn a_thing_that_connects_again_and_again_is_found() {
        let mut store = store();
        for second in 0..10 {
            connect(&mut store, 2, "press-1", NOW - 50 + second);
        }
        found(&store, &[Rule::Flapping]);
    }

    #[test]
    fn what_belongs_to_nobody_is_found_once_everybody_was_asked() {
        let mut store = store();
        list(&mut store, 4, Active, 50 * DAY);
        found(&store, &[]);
        store.joined(at(NOW));
        found(&store, &[Rule::Orphan]);
    }

    #[test]
    fn a_certificate_that_was_never_seen_is_found_after_a_day_of_watching() {
        let mut store = store();
        list(&mut store, 5, Active, 80 * DAY);
        store.attachments(id(5), &[press()]);
        store.ages.listened_since = Some(at(NOW - DAY + 1));
        store.listening(at(NOW));
        found(&store, &[]);
        store.ages.listened_since = Some(at(NOW - DAY));
        found(&store, &[Rule::NeverSeen]);
        // Who was there to hear for less than a day does not know, however long ago that was.
        store.ages.listened_until = Some(at(NOW - 1));
        found(&store, &[]);
    }

    #[test]
    fn age_and_end_are_found_of_the_certificate_in_use() {
        let mut store = store();
        let ten_days = Thresholds { aged_after: Duration::from_secs(10 * DAY), ..Thresholds::default() };
        found_with(&store, &ten_days, &[Rule::Aged]);
        store.described(id(2), &Described { not_after: at(NOW + 30 * DAY) });
        found(&store, &[Rule::Expiring]);
    }

    #[test]
    fn every_rule_is_read_by_its_name() {
        for rule in Rule::ALL {
            assert_eq!(rule.as_str().parse(), Ok(rule));
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.as_str());
        }
        assert!("x".parse::<Rule>().unwrap_err().contains("never-seen"));
    }
}
