//! Set-up and clean-up of the trial's account: as plans, and carried out when a page orders it.
//!
//! A clean-up is the end of a trial: its devices come to rest first and are stopped, so that nobody loses a message by it.

use std::path::Path;
use std::sync::PoisonError;

use fleetkey_dashboard::fleet::{Act, Direction, Done, Plan, PlanStep, Refused};
use fleetkey_iotcore::account::{Account, AccountError};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_operator::plan::{Event, Progress};
use fleetkey_operator::recovery::WindowError;
use fleetkey_operator::setup::{Outcome, Settings, Step, foresee, setup};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::journal::Change;
use super::{Board, SetUp};
use crate::fleet_file::{FILE as FLEET_FILE, FleetFile, KeyPair};
use crate::windows;

const CHANGED: &str =
    "the account has changed since the plan was made, so nothing was done; look at the plan again";
const ENDED: &str = "the trial has come to its end";
/// The directories of the operator's own certificates.
const ROLES: [&str; 3] = ["claim", "observer", "controller"];

/// What was ordered, by whom and why.
#[derive(Debug)]
pub(super) struct Ordered {
    by: String,
    why: String,
}

impl Board {
    /// What would be done.
    pub(super) fn planned(&self, direction: Direction) -> Plan {
        let Some(set_up) = self.set_up.get() else {
            return Plan::default();
        };
        let foreseen = self
            .wanted(set_up)
            .map_err(|error| error.to_string())
            .and_then(|wanted| foresee(&set_up.control, &wanted).map_err(|error| error.to_string()));
        let steps = match foreseen {
            Ok(steps) => steps,
            Err(error) => return Plan { note: error, ..Plan::default() },
        };
        match direction {
            Direction::SetUp => Plan {
                steps: steps.iter().map(made).collect(),
                command: "fleetkey setup --plan".to_owned(),
                note: "In an account of AWS the command plans the same.".to_owned(),
            },
            Direction::CleanUp => self.removal(&steps),
        }
    }

    fn removal(&self, steps: &[Step]) -> Plan {
        let registry = self.account.store().read();
        let delete = |what: String, words: String| PlanStep { act: Act::Delete, what, words };
        let with = || "with its certificates".to_owned();
        let things = registry.things().map(|thing| delete(format!("thing {}", thing.name), with()));
        let mut doomed: Vec<PlanStep> = things.collect();
        let there = steps.iter().rev().filter(|step| step.outcome != Outcome::Created);
        doomed.extend(there.map(|step| delete(step.resource.clone(), String::new())));
        Plan {
            steps: doomed,
            command: "fleetkey cleanup --plan".to_owned(),
            note: "This ends the trial: its devices come to rest and are stopped first. In an account of AWS the command plans \
                   the same."
                .to_owned(),
        }
    }

    /// Begins to carry a plan out, on a task of its own: whoever ordered it may leave. A clean-up waits for the end of the trial,
    /// if that has not come.
    pub(super) fn build(
        &self,
        direction: Direction,
        seen: &Plan,
        (by, why): (&str, String),
    ) -> Result<Done, Refused> {
        if self.planned(direction).steps != seen.steps {
            return Err(Refused(CHANGED.to_owned()));
        }
        let board = self.me.upgrade().ok_or_else(|| Refused(ENDED.to_owned()))?;
        if self.tasks.is_closed() {
            return Err(Refused(ENDED.to_owned()));
        }
        self.works.begin(direction, by)?;
        let ordered = Ordered { by: by.to_owned(), why };
        match direction {
            Direction::SetUp => {
                self.tasks.spawn(async move {
                    let outcome = board.set_up_again(&ordered).await;
                    board.works.end(outcome);
                });
            }
            Direction::CleanUp if self.parting.is_cancelled() => {
                self.tasks.spawn(async move { board.clean_up_for(&ordered).await });
            }
            Direction::CleanUp => {
                self.works.tell(Event::Start { action: "stop", what: "the devices, when they are at rest" });
                *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = Some(ordered);
                self.parting.cancel();
            }
        }
        Ok(Done { words: format!("the {} has begun", direction.word()) })
    }

    /// Is cancelled when a clean-up was ordered: then nobody is to use the account any more before [`Self::clean_up`].
    pub(crate) fn parting(&self) -> CancellationToken {
        self.parting.clone()
    }

    async fn set_up_again(&self, Ordered { by, why }: &Ordered) -> Result<String, String> {
        let set_up = self.set_up.get().ok_or("the account is still being set up")?;
        let settings = self.wanted(set_up).map_err(|error| error.to_string())?;
        let (control, runtime) = (set_up.control.clone(), Handle::current());
        // On a thread of its own: it writes files.
        let working = move || runtime.block_on(setup(&control, &settings));
        let report = tokio::task::spawn_blocking(working).await.map_err(|error| error.to_string())?;
        let report = report.map_err(|error| error.to_string())?;
        let pair = |credential: &fleetkey_operator::setup::Credential| KeyPair {
            certificate: credential.certificate.clone(),
            key: credential.key.clone(),
        };
        let file = FleetFile {
            claim: pair(&report.claim),
            observer: pair(&report.observer),
            controller: pair(&report.controller),
            ..set_up.file.clone()
        };
        file.write(&set_up.settings.directory).map_err(|error| format!("{error:#}"))?;
        self.enter_all(by, why, &report.steps);
        self.works.tell(Event::Begin { steps: report.steps.len() });
        for step in &report.steps {
            self.works.tell(Event::Done { action: action(step.outcome), what: &step.resource });
        }
        let changed = report.steps.iter().filter(|step| step.outcome != Outcome::Kept).count();
        let again = "; start `fleetkey up` again for its devices and its controller";
        Ok(format!("{changed} made or changed{}", if self.parting.is_cancelled() { again } else { "" }))
    }

    /// Enters in the journal what a set-up has made and changed.
    pub(super) fn enter_all(&self, who: &str, why: &str, steps: &[Step]) {
        for step in steps.iter().filter(|step| step.outcome != Outcome::Kept) {
            let (action, what) = (action(step.outcome), step.resource.clone());
            self.enter(Change { who, action, what, why, thing: None, failed: false });
        }
    }

    /// With what the account is to be set up now: who may recover by an open window still may afterwards.
    fn wanted(&self, set_up: &SetUp) -> Result<Settings, WindowError> {
        let recovery_hook = windows::decides(&set_up.settings.directory, SystemClock.now())?;
        Ok(Settings { recovery_hook, ..set_up.settings.clone() })
    }

    /// Carries out the clean-up that ended the trial, after everybody has let go of the account.
    pub(crate) async fn clean_up(&self) {
        let ordered = self.farewell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ordered) = ordered {
            self.clean_up_for(&ordered).await;
        }
    }

    async fn clean_up_for(&self, ordered: &Ordered) {
        let outcome = match self.set_up.get() {
            Some(set_up) => self.remove(set_up, ordered).await,
            None => Err("the account is still being set up".to_owned()),
        };
        self.works.end(outcome);
    }

    async fn remove(&self, set_up: &SetUp, ordered: &Ordered) -> Result<String, String> {
        let things: Vec<ThingName> =
            self.account.store().read().things().map(|thing| thing.name.clone()).collect();
        let (account, names) = (&self.account, &set_up.names);
        let steps = things.len() + ROLES.len() + 8;
        self.works.tell(Event::Begin { steps });
        for thing in &things {
            let work = remove_thing(account, thing);
            self.step(ordered, &format!("thing {thing}"), Some(thing), work).await?;
        }
        for template in [&names.claim_template, &names.rotation_template, &names.recovery_template] {
            let work = async { gone(account.delete_template(template).await) };
            self.step(ordered, &format!("provisioning template {template}"), None, work).await?;
        }
        for role in ROLES {
            let work = remove_credential(account, &set_up.settings, role);
            self.step(ordered, &format!("{role} certificate"), None, work).await?;
        }
        for policy in
            [&names.device_policy, &names.claim_policy, &names.observer_policy, &names.controller_policy]
        {
            let work = async { gone(account.delete_policy(policy).await) };
            self.step(ordered, &format!("policy {policy}"), None, work).await?;
        }
        let work = async { gone(account.delete_thing_group(&names.group).await) };
        self.step(ordered, &format!("thing group {}", names.group), None, work).await?;
        windows::end(&set_up.settings.directory, SystemClock.now()).map_err(|error| error.to_string())?;
        remove_file(&set_up.settings.directory.join(FLEET_FILE))?;
        let left = self.planned(Direction::CleanUp).changes();
        match left {
            0 => Ok(format!(
                "{steps} removed; looked again: nothing of the fleet is left. Devices' own directories are: remove the data directory to begin anew"
            )),
            left => Err(format!("{left} resources are left although they should be gone")),
        }
    }

    /// One step of a clean-up, with its place in the journal.
    async fn step(
        &self,
        ordered: &Ordered,
        what: &str,
        thing: Option<&ThingName>,
        work: impl Future<Output = Result<(), String>>,
    ) -> Result<(), String> {
        let action = "delete";
        self.works.tell(Event::Start { action, what });
        let outcome = work.await;
        let Ordered { by, why } = ordered;
        let failed = outcome.is_err();
        self.enter(Change { who: by, action, what: what.to_owned(), why, thing, failed });
        outcome.map_err(|error| format!("{what}: {error}"))?;
        self.works.tell(Event::Done { action, what });
        Ok(())
    }
}

async fn remove_thing(account: &Account, thing: &ThingName) -> Result<(), String> {
    for id in account.list_thing_principals(thing).or_else(|error| nothing(&error))? {
        erase(account, &id).await?;
    }
    gone(account.delete_thing(thing).await)
}

/// A certificate of the operator's own, and its key.
async fn remove_credential(account: &Account, settings: &Settings, role: &str) -> Result<(), String> {
    let home = settings.directory.join(role);
    if let Ok(pem) = std::fs::read_to_string(home.join("certificate.pem")) {
        let id = CertificateFacts::from_pem(&pem).map_err(|error| error.to_string())?.id;
        erase(account, &id).await?;
    }
    match std::fs::remove_dir_all(&home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} cannot be removed: {error}", home.display()))
        }
        _ => Ok(()),
    }
}

/// Takes a certificate off its policies and things and deletes it (API Reference, DeleteCertificate).
async fn erase(account: &Account, id: &CertificateId) -> Result<(), String> {
    let Some(record) = account.describe_certificate(id).map(Some).or_else(|error| nothing(&error))? else {
        return Ok(());
    };
    for policy in &record.policies {
        gone(account.detach_policy(policy, id).await)?;
    }
    for thing in record.things.keys() {
        gone(account.detach_thing_principal(thing, id).await)?;
    }
    if record.status == CertificateStatus::Active {
        gone(account.update_certificate(id, CertificateStatus::Inactive).await)?;
    }
    gone(account.delete_certificate(id, false).await)
}

/// What is not there is gone already.
fn gone(answer: Result<(), AccountError>) -> Result<(), String> {
    answer.or_else(|error| nothing(&error))
}

/// In place of what is not there.
fn nothing<T: Default>(error: &AccountError) -> Result<T, String> {
    match error.code() {
        "ResourceNotFoundException" => Ok(T::default()),
        _ => Err(error.to_string()),
    }
}

fn remove_file(path: &Path) -> Result<(), String> {
    fleetkey_operator::files::remove(path).map_err(|error| error.to_string())
}

const fn action(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Created => "create",
        Outcome::Changed => "change",
        Outcome::Kept => "keep",
    }
}

fn made(step: &Step) -> PlanStep {
    let (act, words) = match step.outcome {
        Outcome::Created => (Act::Create, "it is missing"),
        Outcome::Changed => (Act::Change, "it differs"),
        Outcome::Kept => (Act::Keep, ""),
    };
    PlanStep { act, what: step.resource.clone(), words: words.to_owned() }
}
