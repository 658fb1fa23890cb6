//! The read model and the orders that the pages ask for.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetkey_dashboard::fleet::{
    Answer, Campaign, CampaignDraft, Certificate, Connection, Counted, Device, DevicePage, DeviceQuery,
    DeviceRow, Direction, Done, FindingPage, FindingQuery, Fleet, Forecast, Holder, HookTest, Incident,
    InventoryPage, InventoryQuery, JournalPage, Known, Order, Outlook, Overview, Plan, Policy, PolicyVersion,
    Provisioning, Question, Refused, Rotation, Site, Tone, Verdict, WayBack, Work,
};
use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::DeviceCommand;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::campaign::Held;
use fleetkey_operator::inventory::{self, Store, Thing};

use super::super::super::now;
use super::Board;
use super::closer::{Look, Seen};
use super::sums::{Sums, short};
use crate::works::devices;

/// Certificates on a device's page.
const CERTIFICATES: usize = 20;

impl Fleet for Board {
    fn site(&self) -> Site {
        self.site.clone()
    }

    fn overview(&self) -> Overview {
        let mut sums = self.totals();
        {
            let notes = self.settled(None);
            sums.figures.rotating = u64::try_from(notes.rotating().len()).ok();
            sums.figures.rotated = Some(notes.rotated());
        }
        let (connected, observed) = self.presence().counts();
        sums.figures.connected = Some(connected);
        sums.figures.observed = Some(observed).filter(|observed| Some(*observed) != sums.figures.devices);
        let starting = self.watch.look(|store, crawl| {
            let progress = crawl.progress(store);
            let listed = store.ages().things.is_some();
            (!listed).then(|| {
                format!(
                    "The account is being listed: {} certificates and {} things so far.",
                    progress.certificates, progress.things
                )
            })
        });
        Overview {
            starting,
            figures: sums.figures,
            ages: sums.ages,
            ages_caption: format!("due at {}", short(self.rhythm.age())),
            ages_unknown: sums.ages_unknown,
            expiries: sums.ends,
            expiries_unknown: sums.ends_unknown,
        }
    }

    fn devices(&self, query: &DeviceQuery) -> DevicePage {
        self.table(query)
    }

    fn device(&self, thing: &ThingName) -> Option<Device> {
        let (rotation, timeline, rotating) = {
            let notes = self.settled(Some(thing));
            (notes.rotation(thing), notes.timeline(thing), notes.rotating().contains(thing))
        };
        let (row, ids, frozen, found) = self.watch.look(|store, _| {
            let known = store.thing(thing)?;
            let found = inventory::findings_of(store, thing, now(), &self.thresholds());
            let row = self.row(store, thing, known, rotating);
            Some((row, newest_first(store, known), known.frozen.clone(), found))
        })?;
        let shown = ids.iter().take(CERTIFICATES).filter_map(|id| self.certificate(thing, *id));
        let certificates: Vec<_> = shown.collect();
        Some(Device {
            row,
            blocked: frozen.map(|why| format!("frozen: {why}")),
            alarms: found.into_iter().map(|found| found.saw).collect(),
            more_certificates: ids.len().saturating_sub(certificates.len()),
            certificates,
            rotation,
            timeline,
            obeys: true,
        })
    }

    fn outlook(&self, thing: &ThingName) -> Outlook {
        self.foreseen(thing)
    }

    fn rotations(&self, limit: usize) -> Vec<Rotation> {
        self.settled(None).rotations(limit)
    }

    fn findings(&self, query: &FindingQuery) -> FindingPage {
        self.found(query)
    }

    fn incidents(&self, limit: usize) -> Vec<Incident> {
        self.notes().news(limit)
    }

    fn policies(&self) -> Known<Vec<Policy>> {
        self.own_policies()
    }

    fn policy_versions(&self, name: &str) -> Known<Vec<PolicyVersion>> {
        self.versions_of(name)
    }

    fn decide(&self, question: &Question) -> Result<Option<Verdict>, Refused> {
        self.judged(question)
    }

    fn inventory(&self, query: &InventoryQuery) -> Option<InventoryPage> {
        Some(self.stock(query))
    }

    fn journal(&self, before: Option<u64>, limit: usize) -> Option<JournalPage> {
        Some(self.journals.page(before, limit))
    }

    fn provisioning(&self) -> Known<Provisioning> {
        self.doors()
    }

    fn plan(&self, direction: Direction) -> Known<Arc<Plan>> {
        self.planned(direction)
    }

    fn keeps_plans(&self) -> bool {
        true
    }

    fn plan_anew(&self, direction: Direction) {
        self.plan_anew(direction);
    }

    fn builds(&self) -> Option<String> {
        Some(self.office.fleet())
    }

    fn work(&self) -> Option<Work> {
        self.works.last()
    }

    fn tests_hook(&self) -> bool {
        true
    }

    fn hook_test(&self) -> Option<HookTest> {
        self.tested()
    }

    fn campaigns(&self) -> Option<Vec<Campaign>> {
        Some(self.all_campaigns())
    }

    fn rules(&self) -> Vec<String> {
        // Asked for by the page with the form: whoever sends it off finds them counted.
        self.count_candidates();
        inventory::Rule::ALL.map(|rule| rule.as_str().to_owned()).into()
    }

    fn foresee<'a>(&'a self, draft: &'a CampaignDraft) -> Counted<'a, Forecast> {
        Box::pin(async move { self.forecast(draft, &self.among(draft).await?) })
    }

    fn way_back<'a>(&'a self, name: &'a str) -> Counted<'a, WayBack> {
        Box::pin(self.counted_back(name))
    }

    fn decides(&self) -> bool {
        true
    }

    fn perform<'a>(&'a self, order: Order, by: &'a str) -> Answer<'a> {
        let by = format!("{by} of the dashboard");
        Box::pin(async move {
            match order {
                Order::Rotate(things) => self.rotate(things, by.clone(), &by).await,
                Order::Certificate { thing, certificate, fate, why } => {
                    self.decide_fate(thing, (certificate, fate), (&by, why)).await
                }
                Order::Campaign(order) => self.order_campaign(order, &by).await,
                Order::Build { direction, plan, why } => self.build(direction, plan, (&by, &why)),
                Order::TestHook => self.test_hook().await,
            }
        })
    }
}

impl Board {
    /// What all rows come to.
    pub(super) fn totals(&self) -> Sums {
        let (watch, age) = (self.watch.clone(), self.rhythm.age());
        self.sums.look(&self.hub, move || Sums::of(&watch, now(), age))
    }

    /// Tells devices to rotate, on the order of `by`; `said` is for the journal.
    pub(in super::super) async fn rotate(
        &self,
        things: Vec<ThingName>,
        said: String,
        by: &str,
    ) -> Result<Done, Refused> {
        let reception =
            self.reception().ok_or_else(|| Refused("the controller is not ready yet".to_owned()))?;
        if !reception.hears() {
            return Err(Refused(
                "the controller is not connected to the broker; try again once it is".to_owned(),
            ));
        }
        let unknown = |thing: &&ThingName| self.watch.look(|store, _| store.thing(thing).is_none());
        if let Some(thing) = things.iter().find(unknown) {
            return Err(Refused(format!("no thing {thing} is known: nothing was sent")));
        }
        for (told, thing) in things.iter().enumerate() {
            let command = DeviceCommand::Rotate { id: String::new() };
            let sent = reception.command(thing.clone(), command, said.clone()).await;
            let _on_its_way = sent.map_err(|error| match told {
                0 => Refused(error),
                told => Refused(format!("{told} of {} devices were told, and then: {error}", things.len())),
            })?;
            self.ordered(thing, by);
        }
        let words = format!(
            "{} told to rotate; one that is away is told when it comes back, if its session is kept.",
            devices(things.len())
        );
        Ok(Done { words })
    }

    /// Without a certificate that may connect, nothing reaches a device.
    fn foreseen(&self, thing: &ThingName) -> Outlook {
        let rotating = self.settled(Some(thing)).is_rotating(thing);
        self.watch.look(|store, _| {
            let Some(known) = store.thing(thing) else { return Outlook::Unknown };
            match connection(store, thing, known) {
                _ if known.frozen.is_some() => Outlook::Frozen,
                _ if rotating => Outlook::UnderWay,
                _ if !may_connect(store, thing, known) => Outlook::Unreachable,
                Connection::Down => Outlook::Away,
                _ => Outlook::Rotates,
            }
        })
    }

    pub(super) fn row(&self, store: &Store, name: &ThingName, thing: &Thing, rotating: bool) -> DeviceRow {
        let current = inventory::current(store, thing);
        let certificate = current.and_then(|id| store.certificate(&id));
        let created = certificate.and_then(|row| row.created_at);
        let end = certificate.and_then(|row| row.not_after);
        let (state, tone) = self.health(store, name, thing, rotating);
        DeviceRow {
            thing: name.clone(),
            connection: connection(store, name, thing),
            state: state.to_owned(),
            tone,
            certificate: current,
            age: created.map(|created| now().since(created)),
            due: created.map(|created| self.rhythm.due(name, created, end)),
        }
    }

    /// In the words of cert-manager.
    fn health(&self, store: &Store, name: &ThingName, thing: &Thing, rotating: bool) -> (&'static str, Tone) {
        let found = inventory::findings_of(store, name, now(), &self.thresholds());
        let worst = found.iter().map(|found| found.severity).min();
        match worst {
            _ if thing.frozen.is_some() => ("frozen", Tone::Bad),
            Some(inventory::Severity::Critical) => ("degraded", Tone::Bad),
            Some(_) => ("degraded", Tone::Warn),
            None if rotating => ("rotating", Tone::Busy),
            None if thing.certificates.is_empty() => ("no certificate", Tone::Quiet),
            None => ("ready", Tone::Good),
        }
    }

    /// While the account is asked for what only a page shows, the rest of it.
    fn certificate(&self, thing: &ThingName, id: CertificateId) -> Option<Certificate> {
        let seen = self.watch.look(|store, _| store.certificate(&id).map(Seen::of))?;
        let Look { closely, told } = self.closer.look(thing, id, &seen);
        self.watch.look(|store, _| {
            let row = store.certificate(&id)?;
            let current = inventory::current(store, store.thing(thing)?);
            let registered = |id: CertificateId| store.certificate(&id).and_then(|row| row.created_at);
            let holder = match current {
                Some(current) if current == id => Holder::InUse,
                Some(current) if row.created_at > registered(current) => Holder::Candidate,
                _ => Holder::Former,
            };
            let created = row.created_at.unwrap_or_default();
            let facts = closely.as_ref().and_then(|known| CertificateFacts::from_pem(&known.pem).ok());
            let end = row.not_after.unwrap_or(Timestamp::AWS_CERTIFICATE_END);
            Some(Certificate {
                id,
                status: row.status?,
                holder,
                created,
                modified: closely.as_ref().map_or(row.status_since, |known| known.modified),
                not_before: closely.as_ref().map_or(created, |known| known.not_before),
                // Until it is known: what AWS gives to all that it issues.
                not_after: closely.as_ref().map_or(end, |known| known.not_after),
                subject: facts.as_ref().map(CertificateFacts::subject).unwrap_or_default(),
                issuer: facts.as_ref().map(CertificateFacts::issuer).unwrap_or_default(),
                policies: closely.as_ref().map(|known| known.policies.clone()).unwrap_or_default(),
                pem: closely.map(|known| known.pem).unwrap_or_default(),
                told: Some(told),
            })
        })
    }
}

/// The certificate that a device is connected with now. One that no list has told of yet, nor of whose it is, is newer than
/// the last list.
pub(super) fn using(store: &Store, name: &ThingName) -> Option<Held> {
    let (certificate, row, since) = store.live(name)?;
    Some(Held { certificate, registered: row.created_at.unwrap_or(since), since })
}

/// The certificate that the broker has attested last.
pub(super) fn attested(store: &Store, thing: &Thing) -> Option<Held> {
    let (certificate, since) = thing.attested?;
    let registered = store.certificate(&certificate).and_then(|row| row.created_at).unwrap_or(since);
    Some(Held { certificate, registered, since })
}

/// When a thing was heard last, by the broker's clock, and since when events are heard, by ours: when either changes, what was
/// known of its connection is not known any more.
pub(super) type Heard = (Option<Timestamp>, Option<Timestamp>);

/// What was heard of a thing.
pub(super) fn heard(store: &Store, thing: &Thing) -> Heard {
    let seen = thing.certificates.iter().filter_map(|id| store.certificate(id)?.seen_at).max();
    (seen, store.ages().watching_since)
}

/// Only who was heard to come can be known to have gone.
pub(in super::super) fn connection(store: &Store, name: &ThingName, thing: &Thing) -> Connection {
    if store.live(name).is_some() {
        return Connection::Up;
    }
    let rows = || thing.certificates.iter().filter_map(|id| store.certificate(id));
    let heard = |since: Timestamp| rows().any(|row| row.connected_at.is_some_and(|at| at >= since));
    match store.ages().watching_since {
        Some(since) if heard(since) => Connection::Down,
        _ => Connection::Unknown,
    }
}

/// Whether a thing has a certificate to connect with, or may have one that is not known yet: whose they are is known once the
/// account was read to its end, or by a connection that is open.
fn may_connect(store: &Store, name: &ThingName, thing: &Thing) -> bool {
    let mut rows = thing.certificates.iter().filter_map(|id| store.certificate(id)).peekable();
    if rows.peek().is_none() {
        return store.ages().attachments.is_none() || store.live(name).is_some();
    }
    rows.any(|row| row.status == Some(CertificateStatus::Active))
}

/// Since when a thing cannot connect with a certificate any more, whoever saw to that. One that is not on any list is gone only
/// once all of them were read.
pub(super) fn ended(
    store: &Store,
    thing: &ThingName,
    id: &CertificateId,
    now: Timestamp,
) -> Option<Timestamp> {
    let row = store.certificate(id);
    let ended = row.filter(|row| row.status.is_some_and(|status| status != CertificateStatus::Active));
    let is_its = row.is_some() && store.thing(thing).is_some_and(|known| known.certificates.contains(id));
    let gone = (!is_its && store.ages().attachments.is_some()).then_some(now);
    ended.map(|row| row.status_since).or(gone)
}

fn newest_first(store: &Store, thing: &Thing) -> Vec<CertificateId> {
    let mut ids: Vec<_> = thing.certificates.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    ids.sort_by_key(|id| std::cmp::Reverse(store.certificate(id).and_then(|row| row.created_at)));
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::name::ClientId;
    use fleetkey_operator::control_plane::CertificateSummary;
    use fleetkey_operator::controller::PresenceEvent;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(second)
    }

    fn press() -> ThingName {
        ThingName::new("press-1").unwrap()
    }

    fn id(name: &str) -> CertificateId {
        CertificateId::of_der(name.as_bytes())
    }

    /// What the account says of the thing's certificates.
    fn listed(store: &mut Store, certificates: &[(&str, CertificateStatus)]) {
        let summary = |(name, status): &(&str, CertificateStatus)| CertificateSummary {
            id: id(name),
            status: *status,
            created_at: at(1),
        };
        let listed: Vec<_> = certificates.iter().map(summary).collect();
        store.listed(at(9), &press(), &listed);
    }

    #[test]
    fn a_thing_without_a_certificate_is_out_of_reach_once_the_account_was_read_to_its_end() {
        let mut store = Store::default();
        store.frozen(&press(), None);
        let reached = |store: &Store| may_connect(store, &press(), store.thing(&press()).unwrap());
        assert!(reached(&store), "whose the certificates are is not known yet");
        store.joined(at(5));
        assert!(!reached(&store));
        let event = PresenceEvent {
            timestamp: at(6),
            principal_identifier: id("new"),
            session_identifier: Some("1".into()),
        };
        store.connected(at(6), &ClientId::live(&press()), &event);
        assert!(reached(&store), "what it is connected with is newer than any list");
        listed(&mut store, &[("new", CertificateStatus::Inactive), ("old", CertificateStatus::Revoked)]);
        assert!(!reached(&store));
        listed(&mut store, &[("new", CertificateStatus::Active)]);
        assert!(reached(&store));
    }

    #[test]
    fn a_certificate_has_ended_when_it_is_not_active_and_when_it_is_gone() {
        let mut store = Store::default();
        let old = |store: &Store| ended(store, &press(), &id("old"), at(20));
        assert_eq!(old(&store), None, "nothing is known yet");
        listed(&mut store, &[("new", CertificateStatus::Active), ("old", CertificateStatus::Active)]);
        store.joined(at(10));
        assert_eq!(old(&store), None);
        store.changed(at(12), id("old"), Some(CertificateStatus::Inactive));
        assert_eq!(old(&store), Some(at(12)), "whoever made it INACTIVE");
        store.changed(at(13), id("old"), Some(CertificateStatus::Active));
        assert_eq!(old(&store), None);
        listed(&mut store, &[("new", CertificateStatus::Active)]);
        assert_eq!(old(&store), Some(at(20)), "it is on the thing no more");
    }
}
