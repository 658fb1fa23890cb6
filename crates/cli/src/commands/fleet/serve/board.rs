//! The fleet as the dashboard of `serve` sees it: the inventory for what there is, the controller's events for what
//! happens, the account for what only a page about one device needs.
//!
//! It observes the controller in the inventory's place and passes everything on to it: a page that is told of a change
//! must find it there.

mod campaigns;
mod closer;
mod doors;
mod found;
mod hindrances;
mod journals;
mod notes;
mod office;
mod opening;
mod panics;
mod policies;
mod read;
mod reading;
mod removal;
mod sparing;
mod stock;
mod sums;
mod table;
mod turns;
mod verdict;
mod whereabouts;
mod words;
mod works;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetkey_aws::Aws;
use fleetkey_dashboard::fleet::{Connection, HookTest, Site};
use fleetkey_dashboard::hub::Hub;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::campaign;
use fleetkey_operator::controller::{Event, Metrics, Observer, Reception, Record, Report};
use fleetkey_operator::inventory::{Thresholds, Watch};
use tokio_util::sync::CancellationToken;

pub(super) use campaigns::Among;
pub(super) use hindrances::{Hindrances, Noted};
pub(super) use office::{Kept, Office, is_denied};
pub(super) use opening::Arranged;
pub(super) use panics::{Alarm, StoppedClaims, StoppedPolicy};
pub(super) use read::connection;
pub(super) use reading::Reading;
pub(super) use turns::Turns;
pub(super) use verdict::{Decided, Verdict};

use campaigns::Standing;
use closer::Closer;
use doors::Doors;
use journals::Journals;
use notes::Notes;
use policies::Policies;
use sparing::Sparing;
use sums::Sums;
use table::{Found, Presence};
use whereabouts::{Place, Whereabouts};

use super::super::due::Rhythm;
use super::super::selection::Candidate;
use crate::works::Works;

/// What the pages of `serve` are about.
pub(super) struct Board {
    watch: Watch,
    hub: Arc<Hub>,
    site: Site,
    /// How old a certificate may become.
    /// What the devices are set to.
    rhythm: Rhythm,
    notes: Mutex<Notes>,
    sums: Sparing<Sums>,
    found: Sparing<Arc<Found>>,
    presence: Sparing<Arc<Presence>>,
    candidates: Sparing<Arc<Vec<Candidate>>>,
    closer: Closer,
    whereabouts: Whereabouts,
    standing: Standing,
    journals: Arc<Journals>,
    doors: Doors,
    policies: Arc<Policies>,
    works: Arc<Works>,
    tested: Mutex<Option<HookTest>>,
    office: Office,
    hindrances: Arc<Hindrances>,
    /// There once the controller runs.
    reception: Mutex<Option<Reception>>,
    closed: CancellationToken,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("site", &self.site).finish_non_exhaustive()
    }
}

impl Board {
    /// Over an inventory, with the retirements that the ledger knows of.
    pub(super) fn new<'a>(
        watch: Watch,
        (aws, office): (Arc<Aws>, Office),
        site: Site,
        rhythm: Rhythm,
        records: impl Iterator<Item = &'a Record>,
    ) -> Self {
        let (hub, closed) = (Arc::new(Hub::new()), CancellationToken::new());
        Self {
            closer: Closer::new(aws.clone(), watch.clone(), hub.clone(), closed.clone()),
            whereabouts: Whereabouts::new(aws, closed.clone()),
            notes: Mutex::new(Notes::of(records)),
            sums: Sparing::default(),
            found: Sparing::default(),
            presence: Sparing::default(),
            candidates: Sparing::default(),
            standing: Standing::default(),
            doors: Doors::default(),
            policies: Arc::default(),
            works: Arc::new(Works::new(hub.clone())),
            tested: Mutex::default(),
            journals: Arc::new(Journals::of(&office.directory)),
            office,
            hindrances: Arc::new(Hindrances::new(hub.clone())),
            reception: Mutex::default(),
            watch,
            hub,
            site,
            rhythm,
            closed,
        }
    }

    /// The controller takes orders from now on.
    pub(super) fn opened(&self, reception: Reception, metrics: Arc<Metrics>) {
        let (journals, hub, closed) = (self.journals.clone(), self.hub.clone(), self.closed.clone());
        let tending = journals::tend(journals, move || hub.tell("journal", None));
        tokio::spawn(async move { closed.run_until_cancelled(tending).await });
        tokio::spawn(self.hindrances.clone().opened(reception.clone(), metrics));
        *self.reception.lock().unwrap_or_else(PoisonError::into_inner) = Some(reception);
    }

    /// Works out what takes a look at all rows, so that whoever looks first need not wait for it. Blocking.
    pub(super) fn prepare(&self) {
        self.totals();
        self.all_found();
        self.presence();
        self.count_candidates();
    }

    /// What a campaign has to know of a device. Of one of which no event has told it `asks` the account whether it is connected.
    pub(super) fn standing(&self, thing: &ThingName, asks: bool) -> campaign::Device {
        let known = self.watch.look(|store, _| {
            let row = store.thing(thing)?;
            let attested = read::attested(store, row);
            let using = read::using(store, thing);
            let device = campaign::Device { attested, using, ..campaign::Device::default() };
            Some((device, connection(store, thing, row), read::heard(store, row)))
        });
        let Some((device, connection, heard)) = known else { return campaign::Device::default() };
        let place = match connection {
            Connection::Unknown if asks => self.whereabouts.of(thing, heard),
            Connection::Unknown => Place::There,
            Connection::Up | Connection::Down => {
                self.whereabouts.forget(thing);
                if connection == Connection::Down { Place::Away } else { Place::There }
            }
        };
        campaign::Device { is_away: place == Place::Away, is_asked: place == Place::Asked, ..device }
    }

    /// A device was told to rotate.
    pub(super) fn ordered(&self, thing: &ThingName, by: &str) {
        self.notes().ordered(thing, super::super::now(), by);
        self.hub.tell("rotation", Some(thing.clone()));
    }

    /// Whether set-up or clean-up is at work on the account.
    pub(super) fn is_worked_on(&self) -> bool {
        self.works.is_under_way()
    }

    /// What keeps it from its work.
    pub(super) const fn hindrances(&self) -> &Arc<Hindrances> {
        &self.hindrances
    }

    /// Asks the account for nothing any more.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Who works on the account for the pages.
    pub(super) const fn office(&self) -> &Office {
        &self.office
    }

    /// Every call that pages have made of the account, once.
    pub(super) fn calls(&self) -> BTreeSet<String> {
        self.office.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where changes are told.
    pub(super) const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn thresholds(&self) -> Thresholds {
        self.rhythm.thresholds()
    }

    fn reception(&self) -> Option<Reception> {
        self.reception.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The notes, after what the inventory knows of the rotations under way, or of that of one thing: when somebody other than
    /// the controller ends the old certificate, the controller finds nothing left to do, and tells nothing.
    fn settled(&self, only: Option<&ThingName>) -> MutexGuard<'_, Notes> {
        // Never both locks at once.
        let under_way = self.notes().old(only);
        let ended: Vec<_> = self.watch.look(|store, _| {
            let ended = |(thing, old): (ThingName, CertificateId)| {
                let at = read::ended(store, &thing, &old, super::super::now())?;
                Some((thing, old, at))
            };
            under_way.into_iter().filter_map(ended).collect()
        });
        let mut notes = self.notes();
        ended.iter().for_each(|(thing, old, at)| notes.retired(thing, old, *at));
        notes
    }

    /// The certificate that a thing used before `new`, and when `new` was registered.
    fn before(&self, thing: &ThingName, new: &CertificateId) -> (Option<CertificateId>, Option<Timestamp>) {
        self.watch.look(|store, _| {
            let registered = store.certificate(new).and_then(|row| row.created_at);
            let row = store.thing(thing);
            let attested = row.and_then(|row| row.attested).map(|(id, _)| id).filter(|id| id != new);
            let others = row.into_iter().flat_map(|row| &row.certificates).filter(|id| *id != new);
            let active = others.filter_map(|id| {
                let row = store.certificate(id)?;
                (row.status == Some(CertificateStatus::Active)).then_some((row.created_at, *id))
            });
            (attested.or_else(|| active.max().map(|(_, id)| id)), registered)
        })
    }
}

impl Observer for Board {
    fn heard(&self, now: Timestamp, event: &Event) {
        let waited =
            |thing| self.watch.look(|store, _| store.thing(thing).is_some_and(|row| row.recovered.is_some()));
        let decided = matches!(event, Event::Recovered { thing, certificate: None } if waited(thing));
        self.watch.heard(now, event);
        let (kind, thing) = match event {
            Event::Presence { client, event, kind } => {
                let thing = client.thing();
                if let Some(thing) = &thing {
                    self.notes().presence(*kind, thing, event.timestamp);
                }
                ("link", thing)
            }
            Event::Attested { topic, attested } => {
                self.notes().asked(topic, &attested.request.id);
                ("rotation", Some(topic.clone()))
            }
            Event::Recovered { thing, .. } if decided => {
                self.notes().released(thing, now);
                ("rotation", Some(thing.clone()))
            }
            Event::Release(thing) => {
                self.notes().released(thing, now);
                ("rotation", Some(thing.clone()))
            }
            Event::Listed { thing, .. } => ("certificate", Some(thing.clone())),
            Event::PresenceMissed => ("fleet", None),
            _ => return,
        };
        self.hub.tell(kind, thing);
    }

    fn told(&self, now: Timestamp, report: &Report) {
        let before = match report {
            Report::Witnessed { thing, certificate } => self.before(thing, certificate),
            _ => (None, None),
        };
        self.watch.told(now, report);
        if let Report::Changed { certificate, .. } | Report::LeftoverChanged { certificate, .. } = report {
            self.closer.forget(certificate);
        }
        self.notes().told(now, report, before);
        self.hub.tell("rotation", Some(words::thing(report).clone()));
    }
}
