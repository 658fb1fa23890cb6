//! What an operator has done to the account from a page: by the very functions of the commands, each time with an
//! account and a journal of its own, so that no call of the controller's is mixed up with it.

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use fleetkey_aws::{Aws, Options};
use fleetkey_dashboard::fleet::{Done, Fate, Refused};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_operator::inventory::Ledgered;
use fleetkey_operator::plan::{
    CloudNames, Ended, Ending, Operator, Outcome, Patience, PlanError, Progress, Silent, Tools,
};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::super::super::keys::AgentKeys;
use super::super::super::now;
use super::super::super::settings::Settings;
use super::super::super::setup::Ground;
use super::Board;

/// How long a connection may take to end before the page tells that it has not.
const CUT_WITHIN: Duration = Duration::from_secs(10);

/// Which account, and which fleet of it.
#[derive(Debug, Clone)]
pub(in super::super) struct Office {
    pub(in super::super) options: Options,
    /// The operator's directory.
    pub(in super::super) directory: PathBuf,
    pub(in super::super) settings: Settings,
    /// What the account does not tell of the fleet.
    pub(in super::super) ground: Ground,
    /// One at a time: the directory is one operator's.
    pub(in super::super) turn: Arc<Mutex<()>>,
    /// Every call that was made of the account, once.
    pub(in super::super) calls: Calls,
}

type Calls = Arc<std::sync::Mutex<BTreeSet<String>>>;

/// An account that is asked for one piece of work; its calls are added up at the end.
pub(super) struct Visit {
    aws: Aws,
    calls: Calls,
}

impl Deref for Visit {
    type Target = Aws;

    fn deref(&self) -> &Aws {
        &self.aws
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).extend(self.aws.calls());
    }
}

/// How an operator goes to work.
pub(super) struct Manner<'a> {
    /// Whether what somebody else has made is taken for ours.
    pub(super) force: bool,
    pub(super) progress: &'a dyn Progress,
    pub(super) making: Patience,
    pub(super) deleting: Patience,
}

impl Manner<'_> {
    /// Somebody waits for the page.
    pub(super) const fn brief(force: bool) -> Self {
        Self { force, progress: &Silent, making: Patience::ASKING, deleting: Patience::ASKING }
    }
}

/// A refusal of the account with what to do about it.
pub(super) fn hinted(words: &str) -> String {
    match words.contains("AccessDenied") || words.contains("not authorized") {
        true => format!("{words}. `fleetkey serve --print-iam --pages` prints what all pages need of IAM."),
        false => words.to_owned(),
    }
}

impl Office {
    /// Does something with an operator of its own, unless the controller is stopped meanwhile: then the next run goes on.
    ///
    /// # Errors
    /// In words for whoever ordered it.
    pub(super) async fn work<T, F>(
        &self,
        closed: &CancellationToken,
        work: impl FnOnce(Self) -> F + Send + 'static,
    ) -> Result<T, Refused>
    where
        T: Send + 'static,
        F: Future<Output = anyhow::Result<T>>,
    {
        let _turn = self.turn.lock().await;
        let (office, closed, runtime) = (self.clone(), closed.clone(), Handle::current());
        // On a thread of its own: it waits for the disk at every step.
        let working = move || runtime.block_on(closed.run_until_cancelled(work(office)));
        match tokio::task::spawn_blocking(working).await {
            Ok(Some(outcome)) => outcome.map_err(|error| Refused(hinted(&format!("{error:#}")))),
            _ => {
                Err(Refused("the controller was stopped; look at the journal for how far it came".to_owned()))
            }
        }
    }

    /// The account, for one piece of work.
    pub(super) async fn account(&self) -> Visit {
        Visit { aws: Aws::new(&self.options).await, calls: self.calls.clone() }
    }

    /// Takes the fleet directory, as the commands do.
    ///
    /// # Errors
    /// When a command is at work there, or the account does not answer.
    pub(super) async fn operator<'a>(
        &self,
        aws: &'a Aws,
        manner: Manner<'a>,
    ) -> Result<Operator<'a, Aws>, PlanError> {
        let Manner { force, progress, making, deleting } = manner;
        let tools = Tools { cloud: aws, keys: &AgentKeys, clock: &now, progress, making, deleting };
        Operator::open(tools, &self.directory, &self.fleet(), force).await
    }

    /// The fleet's name.
    pub(super) fn fleet(&self) -> String {
        CloudNames::new(&self.settings.name_prefix, "").fleet
    }

    async fn end(self, id: CertificateId, ending: Ending) -> anyhow::Result<Ended> {
        let aws = self.account().await;
        Ok(self.operator(&aws, Manner::brief(false)).await?.revoke(&id, &ending).await?)
    }
}

impl Board {
    /// Changes a certificate's status, and ends the connections that are open with it.
    pub(super) async fn decide_fate(
        &self,
        thing: ThingName,
        (id, fate): (CertificateId, Fate),
        (by, why): (&str, String),
    ) -> Result<Done, Refused> {
        let known = self
            .watch
            .look(|store, _| store.thing(&thing).is_some_and(|thing| thing.certificates.contains(&id)));
        if !known {
            return Err(Refused(format!("{} is no certificate of {thing}", id.short())));
        }
        let ending = Ending {
            status: fate.status(),
            why: format!("{why}, says {by} of the dashboard"),
            cut: fate != Fate::Reactivate,
            patience: CUT_WITHIN,
        };
        self.works.expect_rest()?;
        let ended = self.office.work(&self.closed, move |office| office.end(id, ending)).await?;
        let words = words(&ended, fate, by);
        self.watch.clone().with(|store, _| store.changed(now(), id, Some(fate.status())));
        self.closer.forget(&id);
        self.notes().decided(&thing, now(), words.clone());
        self.hub.tell("certificate", Some(thing));
        Ok(Done { words })
    }
}

fn words(ended: &Ended, fate: Fate, by: &str) -> String {
    let open = ended.connections.iter().filter(|cut| cut.outcome == Outcome::Stays).count();
    let still = match open {
        0 => String::new(),
        open => format!("; {open} connections are still open, the account cuts them within minutes"),
    };
    format!("certificate {} was made {} by {by}{still}", ended.certificate.short(), fate.status())
}
