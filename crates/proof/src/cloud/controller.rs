//! The shipping ledger with a journal that keeps what was made durable, and the account beside it.
//!
//! One step at a time, so that the controller can die, and its disk and account fail, between any two of them.

use std::collections::BTreeMap;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_operator::control_plane::{ApiError, CertificateSummary, Connected};
use fleetkey_operator::controller::{Action, Change, Config, Event, Ledger, Record, Report};

use super::Cloud;

/// What goes wrong in one step of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControllerFault {
    /// It dies before the step and starts again from its journal.
    Dies,
    /// Its disk takes no write, or the account fails.
    Fails,
    /// The account throttles.
    Throttled,
    /// The account does it, and the answer is lost.
    Unheard,
}

/// The controller.
#[derive(Debug)]
pub struct Controller {
    ledger: Ledger,
    config: Config,
    journal: BTreeMap<ThingName, Record>,
    /// What people were told.
    pub reports: Vec<Report>,
    /// What was heard and is not acknowledged: the broker says it again to a controller that died over it.
    unacknowledged: Vec<Event>,
}

impl Clone for Controller {
    /// As a restart: the ledger goes on where its journal left off.
    fn clone(&self) -> Self {
        let ledger = Ledger::new(self.config.clone(), self.journal.values().cloned());
        Self {
            ledger,
            unacknowledged: self.unacknowledged.clone(),
            config: self.config.clone(),
            journal: self.journal.clone(),
            reports: self.reports.clone(),
        }
    }
}

/// What a step was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done(pub String);

impl Controller {
    pub(super) fn new(config: Config) -> Self {
        let ledger = Ledger::new(config.clone(), []);
        Self { ledger, config, journal: BTreeMap::new(), reports: Vec::new(), unacknowledged: Vec::new() }
    }

    /// What is known of a thing.
    pub fn record(&self, thing: &ThingName) -> Option<&Record> {
        self.ledger.record(thing)
    }

    /// Whether somebody must look at the thing before anything more is retired.
    pub fn is_frozen(&self, thing: &ThingName) -> bool {
        self.record(thing).is_some_and(|record| record.frozen.is_some())
    }

    /// Whether people were told that something is wrong with a thing, after so many reports.
    pub fn has_alarmed_since(&self, known: usize) -> bool {
        self.reports
            .iter()
            .skip(known)
            .any(|report| matches!(report, Report::Frozen { .. } | Report::Contested { .. }))
    }

    /// What is durable of it.
    pub(super) fn journal_text(&self) -> String {
        format!("{:?}", self.journal)
    }

    /// When it has something to do by itself.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.ledger.next_deadline()
    }

    /// Dies and starts again.
    pub fn restart(&mut self) {
        self.ledger = Ledger::new(self.config.clone(), self.journal.values().cloned());
    }

    /// An operator has put a frozen thing right.
    pub fn release(&mut self, now: Timestamp, thing: &ThingName) {
        self.ledger.handle(now, Event::Release(thing.clone()));
    }

    /// Takes something in.
    pub fn hear(&mut self, now: Timestamp, event: Event) {
        self.unacknowledged.push(event.clone());
        self.ledger.handle(now, event);
    }
}

impl Cloud {
    /// Whether the controller has a step to take now; it must be taken if this says so.
    pub fn controller_polls(&mut self, now: Timestamp) -> Option<Action> {
        let action = self.controller.ledger.poll(now);
        if action.is_none() {
            // Everything that follows from what was heard is done: as the service acknowledges.
            self.controller.unacknowledged.clear();
        }
        action
    }

    /// Takes one step of the controller.
    pub fn controller_step(
        &mut self,
        now: Timestamp,
        action: Action,
        fault: Option<ControllerFault>,
    ) -> Done {
        let shown = show(&action);
        if fault == Some(ControllerFault::Dies) {
            let again = std::mem::take(&mut self.controller.unacknowledged);
            self.controller.restart();
            again.into_iter().for_each(|event| self.tell_later(event));
            return Done(format!("dies before it could {shown}"));
        }
        let outcome = match action {
            Action::Persist(record) => {
                let thing = record.thing.clone();
                match fault {
                    Some(_) => Event::StorageFailed(thing),
                    None => {
                        self.controller.journal.insert(thing.clone(), *record);
                        Event::Persisted(thing)
                    }
                }
            }
            Action::Forget(thing) => {
                self.controller.journal.remove(&thing);
                Event::Persisted(thing)
            }
            Action::List(thing) => {
                let listed = self.list(&thing);
                Event::Listed { answer: failing(fault, Ok(listed)), thing }
            }
            Action::Ask(thing) => {
                let session = self.session(&ClientId::live(&thing));
                let connected = session.map_or(Connected::No, |session| Connected::Since(session.since));
                Event::Asked { answer: failing(fault, Ok(connected)), thing }
            }
            Action::Change { thing, certificate, change } => {
                let fails = matches!(fault, Some(ControllerFault::Fails | ControllerFault::Throttled));
                let answer = if fails { Ok(()) } else { self.change(now, &thing, &certificate, change) };
                Event::Changed { thing, certificate, change, answer: failing(fault, answer) }
            }
            Action::Answer { thing, answer } => {
                self.answers.push_back((thing, answer));
                return Done(shown);
            }
            Action::Report(report) => {
                self.controller.reports.push(report);
                return Done(shown);
            }
        };
        self.controller.ledger.handle(now, outcome);
        Done(fault.map_or_else(|| shown.clone(), |fault| format!("{shown}: {fault:?}")))
    }

    /// As the account lists them: whole seconds.
    fn list(&self, thing: &ThingName) -> Vec<CertificateSummary> {
        let attached = self.registry.principals_of(thing).iter();
        let records = attached.filter_map(|id| self.registry.certificate(id));
        let witness = self.controller.record(thing).filter(|_| self.sees_no_leftovers);
        let newest = witness.map(|record| record.witness.created_at.as_secs());
        records
            .filter(|record| {
                newest.is_none_or(|newest| record.created_at.as_secs() <= newest)
                    || self.lived.contains(&record.id)
            })
            .map(|record| CertificateSummary {
                id: record.id,
                status: record.status,
                created_at: Timestamp::from_secs(record.created_at.as_secs()),
            })
            .collect()
    }

    fn change(
        &mut self,
        now: Timestamp,
        thing: &ThingName,
        id: &CertificateId,
        change: Change,
    ) -> Result<(), ApiError> {
        let other = |code: &'static str| match code {
            "ResourceNotFoundException" => ApiError::NotFound(id.short()),
            _ => ApiError::Conflict(code.to_owned()),
        };
        match change {
            Change::Deactivate => self.set_status(now, id, CertificateStatus::Inactive).map_err(other),
            Change::Revoke => self.set_status(now, id, CertificateStatus::Revoked).map_err(other),
            Change::Delete => self.delete(thing, id).map_err(other),
        }
    }

    fn delete(&mut self, thing: &ThingName, id: &CertificateId) -> Result<(), &'static str> {
        let plan = self.registry.plan_detach_thing_principal(thing, id).map_err(|error| error.code())?;
        self.commit(plan);
        let plan = self.registry.plan_delete_certificate(id, true).map_err(|error| error.code())?;
        self.commit(plan);
        Ok(())
    }
}

fn failing<T>(fault: Option<ControllerFault>, answer: Result<T, ApiError>) -> Result<T, ApiError> {
    match fault {
        None | Some(ControllerFault::Dies) => answer,
        Some(ControllerFault::Throttled) => Err(ApiError::Throttled),
        Some(ControllerFault::Fails | ControllerFault::Unheard) => {
            Err(ApiError::Unavailable("no answer".into()))
        }
    }
}

fn show(action: &Action) -> String {
    match action {
        Action::Persist(record) => format!("persist the record ({:?})", record.status()),
        Action::Forget(_) => "forget the record".into(),
        Action::List(_) => "list the certificates".into(),
        Action::Ask(_) => "ask whether it is connected".into(),
        Action::Change { certificate, change, .. } => format!("{change:?} {}", certificate.short()),
        Action::Answer { answer, .. } => format!("answer {:?}", answer.status),
        Action::Report(report) => match report {
            Report::Frozen { reason, .. } => format!("report: frozen, {reason}"),
            Report::Ignored { why, .. } => format!("report: ignored, {why:?}"),
            Report::Witnessed { certificate, .. } => format!("report: witnessed {}", certificate.short()),
            Report::Changed { certificate, change, .. } => {
                format!("report: {change:?} {}", certificate.short())
            }
            Report::Failing { error, .. } => format!("report: failing, {error}"),
            other => format!("report: {other:?}").chars().take(160).collect(),
        },
    }
}
