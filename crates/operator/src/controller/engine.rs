//! Carries the ledger's actions out, one after the other: journal, account, and what is to be published.
//!
//! What is heard is judged and made durable before anything else; what is due in the account comes one step at a time between
//! that ([`Engine::step`]), so that a long list of it, or an account that refuses, makes nobody deaf.
//!
//! Not here: the broker ([`super::Controller`]). One call at a time is on purpose: an account takes ten a second.
//! Every change of the account is entered into the engine's chain, where it was given one, before its first call and
//! after its last; what cannot be entered is not done. Whoever else wants to know is an [`Observer`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::{ControllerAnswer, DeviceCommand, WayBack};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::FleetTopic;
use serde_json::{Value, json};
use tracing::{error, info, warn};

use super::action::{Action, Change, Event, Report};
use super::diary::Diary;
use super::inbox;
use super::journal::{Journal, JournalError};
use super::ledger::Ledger;
use super::observer::Observer;
use super::presence::Role;
use super::record::Record;
use crate::chain::Chain;
use crate::control_plane::{ApiError, CertificateSummary, ControlPlane, Done};
use crate::files::FileError;

/// The wall clock, given.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How long a call may take before it counts as unanswered.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Something to publish at QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Where.
    pub topic: FleetTopic,
    /// What, JSON.
    pub payload: Bytes,
}

/// Ledger, journal and account.
pub struct Engine<C> {
    ledger: Ledger,
    journal: Journal,
    control: Arc<C>,
    clock: Clock,
    diary: Diary,
    observers: Vec<Arc<dyn Observer>>,
}

impl<C: ControlPlane> Engine<C> {
    /// An engine over a ledger that was made of the journal's records.
    pub fn new(mut ledger: Ledger, journal: Journal, control: Arc<C>, clock: Clock) -> Self {
        if journal.has_gap() {
            warn!(
                "the last controller ended while its disk refused: what it heard then is forgotten, so soaks begin anew"
            );
            ledger.handle(clock(), Event::EvidenceLost);
        }
        Self { ledger, journal, control, clock, diary: Diary::default(), observers: Vec::new() }
    }

    /// The same, with a journal of its changes, made in the name of `who`.
    #[must_use]
    pub fn with_chain(self, chain: Chain, who: impl Into<String>) -> Self {
        Self { diary: Diary::new(chain, who.into()), ..self }
    }

    /// The same, and `observer` is told of everything.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// What is known, for status pages.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes in a message of the broker's, as [`Self::handle`].
    pub async fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<Publication> {
        match inbox::read(topic, payload) {
            Ok(Some(event)) => self.handle(event).await,
            Ok(None) => Vec::new(),
            Err(reason) => {
                warn!(topic, %reason, "a message was not understood");
                Vec::new()
            }
        }
    }

    /// Takes in an event: its thing's certificates are looked at if need be, what is concluded is durable and told. What is to
    /// be changed in the account then is due, see [`Self::step`].
    pub async fn handle(&mut self, event: Event) -> Vec<Publication> {
        let thing = concerned(&event);
        self.take(event);
        let mut published = Vec::new();
        if let Some(thing) = thing {
            while let Some(action) = self.ledger.poll_of((self.clock)(), &thing) {
                published.extend(self.act(action).await);
            }
        }
        published
    }

    /// Releases a frozen thing in the name of whoever says `why`, once that is on record.
    ///
    /// # Errors
    /// When it cannot be entered into the chain; nothing is released then.
    pub async fn release(&mut self, thing: ThingName, why: &str) -> Result<Vec<Publication>, FileError> {
        let forgotten = self.ledger.record(&thing).map(forgotten);
        self.diary.release((self.clock)(), &thing, why, forgotten).await?;
        Ok(self.handle(Event::Release(thing)).await)
    }

    /// A command for a device in the name of whoever says `why`, once that is on record.
    ///
    /// # Errors
    /// When it cannot be entered into the chain; nothing is to be published then.
    pub async fn command(
        &self,
        thing: ThingName,
        command: &DeviceCommand,
        why: &str,
    ) -> Result<Vec<Publication>, FileError> {
        self.diary.command((self.clock)(), &thing, command, why).await?;
        let payload = serde_json::to_vec(command).unwrap_or_default();
        Ok(vec![Publication { topic: FleetTopic::Commands(thing), payload: payload.into() }])
    }

    /// The same for a device's way back.
    ///
    /// # Errors
    /// Likewise.
    pub async fn send_back(
        &self,
        thing: ThingName,
        way_back: &WayBack,
        why: &str,
    ) -> Result<Vec<Publication>, FileError> {
        self.diary.way_back((self.clock)(), &thing, way_back, why).await?;
        let payload = serde_json::to_vec(way_back).unwrap_or_default();
        Ok(vec![Publication { topic: FleetTopic::Commands(thing), payload: payload.into() }])
    }

    /// Holds the retirement of a thing's certificates in the name of whoever says `why`, once that is on record; what
    /// is known of the thing then, and what is to be published.
    ///
    /// # Errors
    /// In words, when it cannot be entered into the chain, or does not reach the disk yet: it is held meanwhile, but a
    /// crash would forget it.
    pub async fn hold(
        &mut self,
        thing: ThingName,
        why: &str,
    ) -> (Vec<Publication>, Result<Option<Record>, String>) {
        let entered = self.diary.said((self.clock)(), "hold", format!("thing {thing}"), why).await;
        if let Err(error) = entered {
            return (Vec::new(), Err(error.to_string()));
        }
        let publications = self.handle(Event::Hold(thing.clone())).await;
        let held = match self.ledger.is_durable(&thing) {
            true => Ok(self.ledger.record(&thing).cloned()),
            false => Err("the ledger cannot be written".to_owned()),
        };
        (publications, held)
    }

    /// Puts on record that somebody has ordered `action` of something that is no thing, and why.
    ///
    /// # Errors
    /// When it cannot be entered into the chain; it is not to be carried out then.
    pub async fn enter(&self, action: &'static str, what: String, why: &str) -> Result<(), FileError> {
        self.diary.said((self.clock)(), action, what, why).await
    }

    /// Takes one step that is due: one call of the account, one record, one word; what is to be published for it. `None` when
    /// nothing is due.
    pub async fn step(&mut self) -> Option<Option<Publication>> {
        let action = self.ledger.poll((self.clock)())?;
        Some(self.act(action).await)
    }

    async fn act(&mut self, action: Action) -> Option<Publication> {
        let outcome = match action {
            Action::Answer { thing, answer } => return publication(thing, &answer),
            Action::Report(report) => {
                tell(&report);
                let now = (self.clock)();
                self.observers.iter().for_each(|observer| observer.told(now, &report));
                return None;
            }
            Action::Persist(record) => {
                let thing = record.thing.clone();
                let written = self.journal.persist(*record).await;
                return self.persisted(thing, written).await;
            }
            Action::Forget(thing) => {
                let removed = self.journal.forget(&thing).await;
                return self.persisted(thing, removed).await;
            }
            Action::List(thing) => {
                let answer = self.list(&thing).await;
                Event::Listed { thing, answer }
            }
            Action::Ask(thing) => {
                let client = ClientId::live(&thing);
                let answer = timed(self.control.connection(&client)).await;
                Event::Asked { thing, answer }
            }
            Action::Change { thing, certificate, change } => {
                let answer = self.journaled(&thing, &certificate, change).await;
                Event::Changed { thing, certificate, change, answer }
            }
        };
        self.take(outcome);
        None
    }

    /// While something that was heard is not on the disk, that is marked there: whoever goes on after this process must know.
    async fn persisted(
        &mut self,
        thing: ThingName,
        outcome: Result<(), JournalError>,
    ) -> Option<Publication> {
        let event = match outcome {
            Ok(()) => Event::Persisted(thing),
            Err(reason) => {
                error!(%thing, %reason, "the ledger cannot be written; nothing is retired until it can");
                self.journal.mark(true).await;
                Event::StorageFailed(thing)
            }
        };
        self.take(event);
        if self.journal.has_gap() && self.ledger.is_whole() {
            self.journal.mark(false).await;
        }
        None
    }

    /// The certificates of a thing, and after them whether one came of a recovery: of whatever is on the list that is
    /// known. That somebody has decided on one is on record before anything is forgotten for it.
    async fn list(&mut self, thing: &ThingName) -> Result<Vec<CertificateSummary>, ApiError> {
        let certificates = timed(self.control.thing_certificates(thing)).await?;
        let certificate = timed(self.control.recovered(thing)).await?;
        if certificate.is_none()
            && let Some(record) = self.ledger.record(thing).filter(|record| record.is_quarantined())
        {
            let ended = self.diary.quarantine_over((self.clock)(), thing, forgotten(record)).await;
            ended
                .map_err(|error| ApiError::Unavailable(format!("the journal cannot be written: {error}")))?;
        }
        self.take(Event::Recovered { thing: thing.clone(), certificate });
        Ok(certificates)
    }

    fn take(&mut self, event: Event) {
        let now = (self.clock)();
        self.observers.iter().for_each(|observer| observer.heard(now, &event));
        self.ledger.handle(now, event);
    }

    /// How long until [`Self::step`] has something to do after it had nothing; `None` when only an event can bring it about.
    pub fn idle_for(&self) -> Option<Duration> {
        Some(self.ledger.next_deadline()?.since((self.clock)()))
    }

    /// Makes a change between two entries of the chain.
    async fn journaled(&mut self, thing: &ThingName, certificate: &CertificateId, change: Change) -> Done {
        let at = (self.clock)();
        drop(self.control.take_calls());
        let record = self.ledger.record(thing);
        self.diary.begin(at, record, (thing, certificate, change)).await?;
        let answer = timed(self.change(thing, certificate, change)).await;
        let calls = self.control.take_calls();
        self.diary.end((self.clock)(), (thing, certificate, change), &answer, calls).await;
        answer
    }

    async fn change(&self, thing: &ThingName, certificate: &CertificateId, change: Change) -> Done {
        match change {
            Change::Deactivate => {
                self.control.update_certificate(certificate, CertificateStatus::Inactive).await
            }
            Change::Revoke => self.control.update_certificate(certificate, CertificateStatus::Revoked).await,
            Change::Delete => self.delete(thing, certificate).await,
        }
    }

    /// Everything must be detached first (Developer Guide, deletion rules); each step may be repeated.
    async fn delete(&self, thing: &ThingName, certificate: &CertificateId) -> Done {
        let policies = match self.control.attached_policies(certificate).await {
            Err(ApiError::NotFound(_)) => Vec::new(),
            answer => answer?,
        };
        for policy in policies {
            gone(self.control.detach_policy(&policy, certificate).await)?;
        }
        gone(self.control.detach_thing_principal(thing, certificate).await)?;
        gone(self.control.delete_certificate(certificate).await)
    }
}

/// What a release, or the end of a quarantine, forgets and somebody may want to know later: why the thing was frozen, and the heads of the device's own
/// log.
fn forgotten(record: &Record) -> Value {
    let frozen = record.frozen.map(|freeze| freeze.reason.to_string());
    json!({ "frozen": frozen, "witness": record.witness.certificate, "audit": record.audit })
}

/// The thing that an event is evidence about, or that a person has decided about.
fn concerned(event: &Event) -> Option<ThingName> {
    match event {
        Event::Attested { topic, .. } => Some(topic.clone()),
        Event::Presence { client, .. } => Role::of(client).map(|(thing, _)| thing),
        Event::Release(thing) | Event::Hold(thing) => Some(thing.clone()),
        _ => None,
    }
}

/// What is gone already needs no removing.
fn gone(answer: Done) -> Done {
    match answer {
        Err(ApiError::NotFound(_)) => Ok(()),
        other => other,
    }
}

async fn timed<T>(call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let unanswered = || ApiError::Unavailable(format!("no answer within {} s", CALL_TIMEOUT.as_secs()));
    tokio::time::timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|_| Err(unanswered()))
}

fn publication(thing: ThingName, answer: &ControllerAnswer) -> Option<Publication> {
    let payload = serde_json::to_vec(answer).ok()?;
    Some(Publication { topic: FleetTopic::Answers(thing), payload: payload.into() })
}

fn tell(report: &Report) {
    match report {
        Report::Ignored { thing, client, principal, why } => {
            warn!(%thing, %client, principal = principal.short(), ?why, "a request counts for nothing");
        }
        Report::Witnessed { thing, certificate } => {
            info!(%thing, certificate = certificate.short(), "attested in use");
        }
        Report::Changed { thing, certificate, change } => {
            info!(%thing, certificate = certificate.short(), ?change, "an old certificate was changed");
        }
        Report::Leftover { thing, certificate } => {
            info!(%thing, certificate = certificate.short(), "left over from a rotation that was given up");
        }
        Report::LeftoverChanged { thing, certificate, change } => {
            info!(%thing, certificate = certificate.short(), ?change, "a leftover was changed");
        }
        Report::Unheard { thing, since } => {
            warn!(%thing, %since, "connected without a presence event: nothing is deactivated until it is known who");
        }
        Report::Contested { thing, certificate } => {
            warn!(%thing, certificate = certificate.short(), "was in use and gave way: rolled back, or tried by somebody");
        }
        Report::Frozen { thing, reason } => error!(%thing, %reason, "frozen until an operator decides"),
        Report::Failing { thing, error } => error!(%thing, %error, "the account refuses"),
    }
}
