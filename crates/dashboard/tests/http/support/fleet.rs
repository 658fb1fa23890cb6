//! A fleet that is made up: as many devices as wanted, and texts as a stranger would choose them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleetkey_dashboard::fleet::{
    Act, Action, Answer, Bar, Campaign, CampaignCounts, CampaignDraft, CampaignMode, Certificate, Claim,
    Connection, Counted, Decided, Device, DevicePage, DeviceQuery, DeviceRow, Direction, Done, Figures,
    Filter, Finding, FindingPage, FindingQuery, Fleet, Forecast, Holder, HookTest, Incident, InventoryPage,
    InventoryQuery, InventoryRow, JournalEntry, JournalPage, Known, Omission, Order, Outcome, Outlook,
    Overview, Pace, Phase, Plan, PlanStep, Policy, PolicyVersion, Probe, Provisioning, Question, Recovery,
    Refused, Rotation, Severity, Site, Spread, Statement, Taken, Template, Tone, Verdict, WayBack, Work,
    WorkEnd,
};
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use tokio::sync::{Semaphore, watch};

use super::certificate;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

pub(crate) struct Sample {
    things: Vec<ThingName>,
    /// A certificate a thing, by its id.
    stock: Vec<(CertificateId, ThingName)>,
    /// Stands wherever a stranger's words may stand.
    words: String,
    /// What the certificates say of themselves, where it is not to be words: the former one, that in use.
    pub(crate) texts: Option<[String; 2]>,
    pub(crate) orders: Mutex<Vec<(Order, String)>>,
    /// Which plans somebody wanted to see anew.
    pub(crate) anew: Mutex<Vec<Direction>>,
    /// Another than was planned stands in the middle.
    pub(crate) moved: AtomicBool,
    plans: Mutex<BTreeMap<(Act, bool), Arc<Plan>>>,
    /// Orders wait here before they are carried out; open unless a test has taken its only place.
    pub(crate) gate: Semaphore,
    /// How many orders have come so far.
    pub(crate) begun: watch::Sender<usize>,
}

impl Sample {
    pub(crate) fn small() -> Self {
        Self::of(3, "all is well")
    }

    /// As many devices as wanted, with names as long as a device's may be, and of everything as much as pages can show.
    pub(crate) fn full(devices: usize) -> Self {
        let words = "a sentence of the length that most of what is told of a device and its state has here";
        Self::named(devices, &"-of-a-plant".repeat(10), words)
    }

    pub(crate) fn of(devices: usize, words: &str) -> Self {
        Self::named(devices, "", words)
    }

    fn named(devices: usize, last: &str, words: &str) -> Self {
        let name = |number| ThingName::new(format!("pump-{number:06}{last}")).unwrap();
        let things: Vec<ThingName> = (1..=devices).map(name).collect();
        let certificate =
            |thing: &ThingName| (CertificateId::of_der(thing.as_str().as_bytes()), thing.clone());
        let mut stock: Vec<_> = things.iter().map(certificate).collect();
        stock.sort();
        Self {
            things,
            stock,
            words: words.to_owned(),
            texts: None,
            orders: Mutex::default(),
            anew: Mutex::default(),
            moved: AtomicBool::default(),
            plans: Mutex::default(),
            gate: Semaphore::new(1),
            begun: watch::Sender::new(0),
        }
    }

    pub(crate) fn thing(&self, index: usize) -> &ThingName {
        &self.things[index]
    }

    /// The name of its policy, as it stands in a path.
    pub(crate) fn policy(&self) -> String {
        self.words.bytes().map(|byte| format!("%{byte:02x}")).collect()
    }

    pub(crate) fn ordered(&self) -> Vec<(Order, String)> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn row(&self, thing: &ThingName) -> DeviceRow {
        DeviceRow {
            thing: thing.clone(),
            connection: Connection::Up,
            state: self.words.clone(),
            tone: Tone::Busy,
            certificate: Some(CertificateId::of_der(b"new")),
            age: Some(Duration::from_secs(3600)),
            due: Some(NOW + Duration::from_secs(7200)),
        }
    }

    fn rotation(&self, thing: &ThingName) -> Rotation {
        let old = Some(CertificateId::of_der(b"old"));
        let begun = NOW - Duration::from_secs(9);
        let mut rotation = Rotation::begun(thing.clone(), self.words.clone(), self.words.clone(), old, begun);
        rotation.reach(Phase::Issued, NOW - Duration::from_secs(8));
        rotation.new = Some(CertificateId::of_der(b"new"));
        rotation.outcome = Outcome::Waiting(self.words.clone());
        rotation
    }

    fn certificate(&self, der: &[u8], status: CertificateStatus, holder: Holder) -> Certificate {
        certificate::sample(&self.words, self.texts.as_ref(), (der, status, holder))
    }

    /// A set-up that did not come to its end.
    fn ended(&self) -> Work {
        Work {
            direction: Direction::SetUp,
            by: self.words.clone(),
            begun: NOW,
            steps: 21,
            done: 12,
            last: vec![Taken { act: Act::Create, what: self.words.clone() }; self.many(50)],
            at: Some(self.words.clone()),
            end: Some(WorkEnd { at: NOW, outcome: Err(self.words.clone()) }),
        }
    }

    /// In a full fleet as long as a policy's may be (AWS IoT quotas).
    fn document(&self) -> String {
        self.words.repeat(self.many(2048 / self.words.len()))
    }

    /// So many in a full fleet, one in a small one.
    fn many(&self, count: usize) -> usize {
        if self.things.len() > 200 { count } else { 1 }
    }

    fn incident(&self, thing: Option<&ThingName>) -> Incident {
        Incident { at: NOW, thing: thing.cloned(), words: self.words.clone(), tone: Tone::Warn }
    }
}

impl Fleet for Sample {
    fn site(&self) -> Site {
        Site {
            name: self.words.clone(),
            endpoint: self.words.clone(),
            account: "000000000000".into(),
            region: self.words.clone(),
        }
    }

    fn overview(&self) -> Overview {
        let count = u64::try_from(self.things.len()).ok();
        let bar = Bar { label: self.words.clone(), count: count.unwrap_or(0) };
        Overview {
            starting: Some(self.words.clone()),
            figures: Figures { devices: count, connected: count, ..Figures::default() },
            ages: vec![bar.clone()],
            ages_caption: self.words.clone(),
            ages_unknown: 0,
            expiries: vec![bar],
            expiries_unknown: 0,
        }
    }

    fn devices(&self, query: &DeviceQuery) -> DevicePage {
        let wanted = query.text.to_lowercase();
        let found = |thing: &&ThingName| {
            thing.as_str().contains(&wanted)
                && !matches!(query.filter, Filter::Attention | Filter::Disconnected)
        };
        let total = self.things.iter().filter(found).count();
        let start =
            query.after.as_ref().map_or(0, |after| self.things.partition_point(|thing| thing <= after));
        let mut rest = self.things[start..].iter().filter(found);
        let rows: Vec<DeviceRow> = rest.by_ref().take(query.limit).map(|thing| self.row(thing)).collect();
        let more = rest.next().is_some();
        let next = rows.last().filter(|_| more).map(|row| row.thing.clone());
        DevicePage { rows, next, total }
    }

    fn device(&self, thing: &ThingName) -> Option<Device> {
        self.things.binary_search(thing).ok()?;
        let former =
            vec![self.certificate(b"old", CertificateStatus::Inactive, Holder::Former); self.many(19)];
        Some(Device {
            row: self.row(thing),
            blocked: Some(self.words.clone()),
            alarms: vec![self.words.clone()],
            certificates: [vec![self.certificate(b"new", CertificateStatus::Active, Holder::InUse)], former]
                .concat(),
            more_certificates: 0,
            rotation: Some(self.rotation(thing)),
            timeline: vec![self.incident(None); self.many(40)],
            obeys: true,
        })
    }

    /// From the fourth on, one of each kind.
    fn outlook(&self, thing: &ThingName) -> Outlook {
        match self.things.binary_search(thing) {
            Err(_) => Outlook::Unknown,
            Ok(3) => Outlook::Away,
            Ok(4) => Outlook::UnderWay,
            Ok(5) => Outlook::Frozen,
            Ok(6) => Outlook::Unreachable,
            Ok(_) => Outlook::Rotates,
        }
    }

    fn rotations(&self, limit: usize) -> Vec<Rotation> {
        self.things.iter().take(limit).map(|thing| self.rotation(thing)).collect()
    }

    /// One of each device.
    fn findings(&self, query: &FindingQuery) -> FindingPage {
        let after = ThingName::new(query.after.as_str()).ok();
        let start = after.map_or(0, |after| self.things.partition_point(|thing| *thing <= after));
        let shown: Vec<&ThingName> = self.things[start..].iter().take(query.limit).collect();
        let more = start + shown.len() < self.things.len();
        let finding = |thing: &&ThingName| Finding {
            severity: Severity::High,
            thing: Some((*thing).clone()),
            seen: self.words.clone(),
            matters: self.words.clone(),
            remedy: self.words.clone(),
            since: Some(NOW),
        };
        FindingPage {
            findings: shown.iter().map(finding).collect(),
            next: shown.last().filter(|_| more).map(ToString::to_string),
            total: self.things.len(),
        }
    }

    fn incidents(&self, limit: usize) -> Vec<Incident> {
        self.things.iter().take(limit).map(|thing| self.incident(Some(thing))).collect()
    }

    fn policies(&self) -> Known<Vec<Policy>> {
        let spread = Some(Spread { versions: 1, targets: Some(2) });
        let (name, text) = (self.words.clone(), self.document());
        Known::Told(vec![Policy { name, text, spread }; self.many(10)])
    }

    fn decide(&self, question: &Question) -> Result<Option<Verdict>, Refused> {
        if self.words == "the account is asked" {
            return Ok(None);
        }
        if !self.things.contains(&question.thing) {
            return Err(Refused(self.words.clone()));
        }
        let decided = match question.action {
            Action::Connect => Decided::Allowed,
            Action::Publish => Decided::ExplicitDeny,
            Action::Subscribe | Action::Receive | Action::RetainPublish => Decided::ImplicitDeny,
        };
        let cited = || Statement {
            policy: self.words.clone(),
            number: 2,
            sid: Some(self.words.clone()),
            text: self.words.clone(),
        };
        let denied = decided == Decided::ImplicitDeny;
        let Known::Told(asked) = self.policies() else { return Ok(None) };
        Ok(Some(Verdict {
            decided,
            certificate: CertificateId::of_der(b"new"),
            resource: question.topic.clone(),
            by: if denied { Vec::new() } else { vec![cited()] },
            near: if denied { vec![cited()] } else { Vec::new() },
            asked,
            missing: vec![self.words.clone()],
        }))
    }

    fn policy_versions(&self, name: &str) -> Known<Vec<PolicyVersion>> {
        let version = |id, text| PolicyVersion { id, text, created: Some(NOW), in_effect: id == 2 };
        if name != self.words {
            return match name {
                "asked for" => Known::Asked,
                "refused" => Known::Refused(self.words.clone()),
                _ => Known::Told(Vec::new()),
            };
        }
        let document = |topic: &str| {
            format!("{{\"Resource\": [\"same\", \"{topic}\"], \"Sid\": {:?}}}", self.document())
        };
        Known::Told(vec![
            version(1, document("before")),
            version(2, document("after")),
            version(3, self.words.clone()),
        ])
    }

    fn inventory(&self, query: &InventoryQuery) -> Option<InventoryPage> {
        let start = query.after.map_or(0, |after| self.stock.partition_point(|(id, _)| *id <= after));
        let found = |(_, thing): &&(CertificateId, ThingName)| thing.as_str().contains(&query.text);
        let total = if query.count { self.stock.iter().filter(found).count() } else { 0 };
        let mut rest = self.stock[start..].iter().filter(found);
        let row = |(certificate, thing): &(CertificateId, ThingName)| InventoryRow {
            certificate: *certificate,
            thing: Some(thing.clone()),
            status: query.status.or(Some(CertificateStatus::Active)),
            part: Some(self.words.clone()),
            state: query.state.or(Some("Ready")),
            created: Some(NOW - query.older_than.unwrap_or_default()),
            not_after: Some(Timestamp::AWS_CERTIFICATE_END),
            due: None,
            connected: Some(true),
            seen: Some(NOW),
        };
        let rows: Vec<InventoryRow> = rest.by_ref().take(query.limit).map(row).collect();
        let next = rows.last().filter(|_| rest.next().is_some()).map(|row| row.certificate);
        Some(InventoryPage { rows, next, total, told: self.words.clone() })
    }

    fn journal(&self, before: Option<u64>, limit: usize) -> Option<JournalPage> {
        let last = u64::try_from(self.things.len()).unwrap();
        let entry = |number| JournalEntry {
            number,
            at: NOW,
            who: self.words.clone(),
            action: self.words.clone(),
            what: self.words.clone(),
            why: self.words.clone(),
            thing: self.things.first().cloned(),
            outcome: self.words.clone(),
            tone: Tone::Good,
        };
        let from = before.map_or(last, |before| last.min(before.saturating_sub(1)));
        let entries: Vec<JournalEntry> = (1..=from).rev().take(limit).map(entry).collect();
        let next = entries.last().map(|entry| entry.number).filter(|number| *number > 1);
        let chain = Some(Err(self.words.clone()));
        Some(JournalPage { entries, next, kept: self.words.clone(), chain })
    }

    fn provisioning(&self) -> Known<Provisioning> {
        let template = Template {
            name: self.words.clone(),
            purpose: self.words.clone(),
            enabled: true,
            hook: Some(self.words.clone()),
            version: Some(3),
            modified: Some(NOW),
        };
        let claim = Claim {
            certificate: CertificateId::of_der(b"claim"),
            status: CertificateStatus::Active,
            created: NOW,
            not_after: Timestamp::AWS_CERTIFICATE_END,
            may: self.words.clone(),
        };
        let recovery =
            Recovery::Open { whom: self.words.clone(), until: Some(NOW + Duration::from_secs(60)) };
        let (templates, claims) = (vec![template; self.many(20)], vec![claim; self.many(20)]);
        Known::Told(Provisioning { templates, claims, recovery: Some(recovery) })
    }

    fn keeps_plans(&self) -> bool {
        true
    }

    fn plan_anew(&self, direction: Direction) {
        self.anew.lock().unwrap().push(direction);
    }

    fn plan(&self, direction: Direction) -> Known<Arc<Plan>> {
        let act = if direction == Direction::SetUp { Act::Create } else { Act::Delete };
        let step = |what: &str| PlanStep { act, what: what.to_owned(), words: self.words.clone() };
        match self.words.as_str() {
            "the account is asked" => return Known::Asked,
            "the account refuses" => return Known::Refused(self.words.clone()),
            _ => {}
        }
        let moved = self.moved.load(Ordering::SeqCst);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        // Kept, as a controller does: what is measured is the page.
        let plan = plans.entry((act, moved)).or_insert_with(|| {
            let mut steps = vec![step(&self.words); self.many(20)];
            if self.things.len() > 200 {
                steps.splice(..0, self.things.iter().map(|thing| step(thing.as_str())));
            }
            if moved {
                let middle = steps.len() / 2;
                steps[middle].what.push('!');
            }
            Arc::new(Plan { steps, command: self.words.clone(), note: self.words.clone() })
        });
        Known::Told(plan.clone())
    }

    fn builds(&self) -> Option<String> {
        Some("presses".to_owned())
    }

    fn work(&self) -> Option<Work> {
        if self.words == "somebody cleans up" {
            let end = None;
            return Some(Work { direction: Direction::CleanUp, end, ..self.ended() });
        }
        Some(self.ended())
    }

    fn tests_hook(&self) -> bool {
        true
    }

    fn hook_test(&self) -> Option<HookTest> {
        let probe = |expected, answer| Probe {
            template: self.words.clone(),
            asked: self.words.clone(),
            expected,
            answer,
            took: Duration::from_millis(7),
        };
        let refused = Err(self.words.clone());
        let probes = vec![probe(true, Ok(true)), probe(false, Ok(true)), probe(false, refused)];
        Some(HookTest { at: NOW, probes })
    }

    fn campaigns(&self) -> Option<Vec<Campaign>> {
        let counts = |rotated, failed| CampaignCounts {
            waiting: 1,
            told: 2,
            rotated,
            failed,
            ..CampaignCounts::default()
        };
        let to_come = CampaignCounts { waiting: 200, ..CampaignCounts::default() };
        let campaign = |name: &str, mode| Campaign {
            name: name.to_owned(),
            why: self.words.clone(),
            created: NOW - Duration::from_secs(600),
            mode,
            pace: Pace { window: self.words.clone(), ..Pace::default() },
            waves: [vec![counts(3, 0), counts(30, 4)], vec![to_come; self.many(20)]].concat(),
            wave: 2,
            failed: self.things.iter().take(self.many(200).max(3)).cloned().collect(),
        };
        let mut all = vec![
            campaign("autumn", CampaignMode::Running),
            campaign("spring", CampaignMode::Paused(self.words.clone())),
            campaign("winter", CampaignMode::Aborted(self.words.clone())),
        ];
        all.extend((1..self.many(200)).map(|number| campaign(&format!("year-{number}"), CampaignMode::Done)));
        Some(all)
    }

    fn rules(&self) -> Vec<String> {
        vec!["aged".into(), self.words.clone()]
    }

    fn foresee<'a>(&'a self, draft: &'a CampaignDraft) -> Counted<'a, Forecast> {
        Box::pin(async move {
            if draft.things == "nobody" {
                return Err(Refused(self.words.clone()));
            }
            let (devices, slower) = (self.things.len(), (draft.pace.rate > 300).then_some(300));
            let left_out = vec![Omission { devices: 2, why: self.words.clone() }];
            Ok(Forecast { devices, waves: vec![1, devices - 1], slower, left_out })
        })
    }

    /// Of `winter` everything is past.
    fn way_back<'a>(&'a self, name: &'a str) -> Counted<'a, WayBack> {
        let past = WayBack { past: 4, untold: 2, ..WayBack::default() };
        let open = WayBack { sent: 5, kept: 3, reactivated: 1, ..past };
        Box::pin(async move { Ok(if name == "winter" { past } else { open }) })
    }

    fn decides(&self) -> bool {
        true
    }

    fn perform<'a>(&'a self, order: Order, by: &'a str) -> Answer<'a> {
        Box::pin(async move {
            self.begun.send_modify(|count| *count += 1);
            let _through = self.gate.acquire().await;
            let things = match &order {
                Order::Rotate(things) => things.clone(),
                Order::Certificate { thing, .. } => vec![thing.clone()],
                Order::Campaign(_) | Order::Build { .. } | Order::TestHook => Vec::new(),
            };
            if things.iter().any(|thing| !self.things.contains(thing)) {
                return Err(Refused(self.words.clone()));
            }
            self.orders.lock().unwrap_or_else(PoisonError::into_inner).push((order, by.to_owned()));
            Ok(Done { words: format!("{} devices rotate", things.len()) })
        })
    }
}
