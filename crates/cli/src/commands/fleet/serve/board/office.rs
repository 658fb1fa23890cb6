//! What an operator has done to the account from a page: by the very functions of the commands, each time with an
//! account and a journal of its own, so that no call of the controller's is mixed up with it.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_aws::{Aws, Options};
use fleetkey_dashboard::fleet::{Done, Fate, Refused};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_operator::inventory::Ledgered;
use fleetkey_operator::plan::{
    CloudNames, Ended, Ending, Operator, Outcome, Patience, PlanError, Silent, Tools,
};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::super::super::keys::AgentKeys;
use super::super::super::now;
use super::super::super::settings::Settings;
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
    /// One at a time: the directory is one operator's.
    pub(in super::super) turn: Arc<Mutex<()>>,
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
            Ok(Some(outcome)) => outcome.map_err(|error| Refused(format!("{error:#}"))),
            _ => {
                Err(Refused("the controller was stopped; look at the journal for how far it came".to_owned()))
            }
        }
    }

    /// Takes the fleet directory, as the commands do.
    ///
    /// # Errors
    /// When a command is at work there, or the account does not answer.
    pub(super) async fn operator<'a>(
        &self,
        aws: &'a Aws,
        force: bool,
    ) -> Result<Operator<'a, Aws>, PlanError> {
        let tools = Tools {
            cloud: aws,
            keys: &AgentKeys,
            clock: &now,
            progress: &Silent,
            making: Patience::ASKING,
            deleting: Patience::ASKING,
        };
        let fleet = CloudNames::new(&self.settings.name_prefix, "").fleet;
        Operator::open(tools, &self.directory, &fleet, force).await
    }

    async fn end(self, id: CertificateId, ending: Ending) -> anyhow::Result<Ended> {
        let aws = Aws::new(&self.options).await;
        Ok(self.operator(&aws, false).await?.revoke(&id, &ending).await?)
    }
}

impl Board {
    /// Decides of a certificate of this thing.
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
        self.seal_fate(Some(thing), (id, fate), (by, why)).await
    }

    /// Changes a certificate's status, and ends the connections that are open with it.
    pub(in super::super) async fn seal_fate(
        &self,
        thing: Option<ThingName>,
        (id, fate): (CertificateId, Fate),
        (by, why): (&str, String),
    ) -> Result<Done, Refused> {
        let ending = Ending {
            status: fate.status(),
            why: format!("{why}, says {by}"),
            cut: fate != Fate::Reactivate,
            patience: CUT_WITHIN,
        };
        let ended = self.office.work(&self.closed, move |office| office.end(id, ending)).await.map_err(
            |refused| {
                Refused(format!("{refused}. `fleetkey revoke --print-iam` prints what it needs of IAM."))
            },
        )?;
        let words = words(&ended, fate, by);
        self.watch.clone().with(|store, _| store.changed(now(), id, Some(fate.status())));
        self.closer.forget(&id);
        if let Some(thing) = &thing {
            self.notes().decided(thing, now(), words.clone());
        }
        self.hub.tell("certificate", thing);
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
