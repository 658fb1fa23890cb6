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
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::WayBack;
use fleetkey_operator::campaign::{Baseline, Way};
use fleetkey_operator::control_plane::{ApiError, CertificateSummary, ControlPlane};
use fleetkey_operator::controller::{Record, Stage};
use fleetkey_operator::inventory::Ledgered;
use fleetkey_operator::plan::{
    CloudNames, Cut, Ended, Ending, Operator, Patience, PlanError, Progress, Seen, Silent, Tools,
};
use fleetkey_operator::recovery::Windows;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::super::super::keys::AgentKeys;
use super::super::super::settings::Settings;
use super::super::super::setup::Ground;
use super::super::super::{now, with_windows};
use super::Board;
use super::reading::Reading;
use super::turns::{Turns, Urgency};

/// How long a connection may take to end before the page tells that it has not.
pub(super) const CUT_WITHIN: Duration = Duration::from_secs(10);

/// Which account, and which fleet of it.
#[derive(Debug, Clone)]
pub(in super::super) struct Office {
    pub(in super::super) options: Options,
    /// The operator's directory.
    pub(in super::super) directory: PathBuf,
    pub(in super::super) settings: Settings,
    /// What the account does not tell of the fleet.
    pub(in super::super) ground: Ground,
    /// One at a time: the directory is one operator's. What is urgent comes first.
    pub(in super::super) turns: Turns,
    /// Who only reads takes no turn.
    pub(in super::super) reading: Reading,
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

/// What keeping the recovery windows came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Kept {
    /// The account is in line with them; what was changed for that, in words.
    Changed(Vec<String>),
    /// A command has the fleet directory, which is named: nothing was done yet.
    Later(String),
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

impl<'a> Manner<'a> {
    /// What an operator works with who goes to work so.
    pub(super) fn tools(&self, aws: &'a Aws) -> Tools<'a, Aws> {
        let Self { progress, making, deleting, .. } = *self;
        Tools { cloud: aws, keys: &AgentKeys, clock: &now, progress, making, deleting }
    }
}

/// Whether the account has refused for want of a permission.
pub(in super::super) fn is_denied(words: &str) -> bool {
    words.contains("AccessDenied") || words.contains("not authorized")
}

/// A refusal of the account with what to do about it.
pub(super) fn hinted(words: &str) -> String {
    match is_denied(words) {
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
        self.work_as(Urgency::Usual, closed, work).await
    }

    /// The same, before what is less urgent.
    ///
    /// # Errors
    /// Likewise.
    pub(super) async fn work_as<T, F>(
        &self,
        urgency: Urgency,
        closed: &CancellationToken,
        work: impl FnOnce(Self) -> F + Send + 'static,
    ) -> Result<T, Refused>
    where
        T: Send + 'static,
        F: Future<Output = anyhow::Result<T>>,
    {
        let turn = self.turns.take(urgency).await;
        let (office, closed, runtime) = (self.clone(), closed.clone(), Handle::current());
        // On a thread of its own: it waits for the disk at every step. It keeps its turn to its end, whether somebody waits for
        // it here or has gone.
        let working = move || {
            let _turn = turn;
            runtime.block_on(closed.run_until_cancelled(work(office)))
        };
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

    /// Takes the fleet directory, as the commands do. While another piece of our own work has it, or has let go of it for a
    /// moment, that is waited for however long it takes, as its turn would be.
    ///
    /// # Errors
    /// When a command is at work there, or the account does not answer.
    pub(super) async fn operator<'a>(
        &self,
        aws: &'a Aws,
        manner: Manner<'a>,
    ) -> Result<Operator<'a, Aws>, PlanError> {
        loop {
            match Operator::open(manner.tools(aws), &self.directory, &self.fleet(), manner.force).await {
                Err(error) if error.is_taken_by_us() => {}
                opened => return opened,
            }
        }
    }

    /// The fleet's name.
    pub(super) fn fleet(&self) -> String {
        CloudNames::new(&self.settings.name_prefix, "").fleet
    }

    /// Brings the account into line with the recovery windows.
    ///
    /// # Errors
    /// In words.
    pub(in super::super) async fn keep_windows(&self, closed: &CancellationToken) -> Result<Kept, Refused> {
        self.work(closed, Self::kept).await
    }

    async fn kept(self) -> anyhow::Result<Kept> {
        let aws = self.account().await;
        let mut operator = match self.operator(&aws, Manner::brief(false)).await {
            Err(error) if error.is_taken() => return Ok(Kept::Later(error.to_string())),
            operator => operator?,
        };
        let mut windows = Windows::read(&self.directory)?;
        if !windows.is_due(now()) {
            // A command that had the directory first has done it.
            return Ok(Kept::Changed(Vec::new()));
        }
        windows.expire(now());
        windows.write(&self.directory)?;
        let wanted = with_windows(self.settings.wanted(operator.scope())?, &self.directory)?;
        let changed = match operator.keep_windows(&wanted, "the controller keeps the recovery windows").await
        {
            // Without a template, or without its hook once it is shut, nobody recovers.
            Err(PlanError::Missing(_)) if wanted.windows.is_empty() => Vec::new(),
            kept => kept?,
        };
        windows.settled();
        windows.write(&self.directory)?;
        Ok(Kept::Changed(changed))
    }

    /// Makes a certificate ACTIVE again if that can be done: not one that is REVOKED.
    async fn bring_back(self, id: CertificateId, ending: Ending) -> anyhow::Result<Option<Ended>> {
        let aws = self.account().await;
        match Patience::ASKING.call(|_| {}, || aws.describe_certificate(&id)).await {
            Ok(found) if found.status == CertificateStatus::Revoked => return Ok(None),
            Err(ApiError::NotFound(_)) => return Ok(None),
            found => found?,
        };
        Ok(Some(self.operator(&aws, Manner::brief(false)).await?.revoke(&id, &ending).await?))
    }

    async fn end(self, id: CertificateId, ending: Ending) -> anyhow::Result<Ended> {
        let aws = self.account().await;
        Ok(self.operator(&aws, Manner::brief(false)).await?.revoke(&id, &ending).await?)
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

    /// Tells a device to return from the certificate that it has registered since, by the account's list; whether there is
    /// one.
    pub(in super::super) async fn send_back(
        &self,
        thing: &ThingName,
        before: &Baseline,
        why: &str,
    ) -> Result<bool, Refused> {
        let reception =
            self.reception().ok_or_else(|| Refused("the controller is not ready yet".to_owned()))?;
        self.works.expect_rest()?;
        let aws = self.office.account().await;
        let listed = Patience::ASKING.call(|_| {}, || aws.thing_certificates(thing)).await;
        let listed =
            listed.map_err(|error| Refused(format!("its certificates cannot be listed: {error}")))?;
        let is_new = |found: &CertificateSummary| before.is_new(&found.id, found.created_at);
        let new =
            listed.into_iter().filter(|found| is_new(found) && found.status == CertificateStatus::Active);
        let Some(newest) = new.max_by_key(|found| found.created_at) else {
            return Ok(false);
        };
        let way_back = WayBack::Rollback { from: newest.id };
        let _on_its_way =
            reception.send_back(thing.clone(), way_back, why.to_owned()).await.map_err(Refused)?;
        Ok(true)
    }

    /// Has the certificate that a thing's attested one superseded stay: it is not retired any further until the thing is
    /// released, and is made ACTIVE again if it was INACTIVE. May be repeated.
    pub(in super::super) async fn keep_superseded(
        &self,
        thing: &ThingName,
        why: &str,
    ) -> Result<Way, Refused> {
        let reception =
            self.reception().ok_or_else(|| Refused("the controller is not ready yet".to_owned()))?;
        self.works.expect_rest()?;
        let record = reception.hold(thing.clone(), why.to_owned()).await.map_err(Refused)?;
        let Some((id, stage)) = record.and_then(|record| self.superseded(&record)) else {
            return Ok(Way::Past);
        };
        match stage {
            Stage::Soaking => return Ok(Way::Kept),
            Stage::Revoked => return Ok(Way::Past),
            Stage::Inactive => {}
        }
        let status = CertificateStatus::Active;
        let ending =
            Ending { status, why: why.to_owned(), cut: false, patience: CUT_WITHIN, seen: Seen::new() };
        let back = self.office.work(&self.closed, move |office| office.bring_back(id, ending)).await?;
        if back.is_none() {
            return Ok(Way::Past);
        }
        self.watch.clone().with(|store, _| store.changed(now(), id, Some(status)));
        self.closer.forget(&id);
        let words = format!("certificate {} was made ACTIVE again: {why}", id.short());
        self.notes().decided(thing, now(), words);
        self.hub.tell("certificate", Some(thing.clone()));
        Ok(Way::Reactivated)
    }

    /// The newest of the certificates that are older than the attested one, and how far its retirement was.
    pub(super) fn superseded(&self, record: &Record) -> Option<(CertificateId, Stage)> {
        self.watch.look(|store, _| {
            let created = |id: &CertificateId| store.certificate(id).and_then(|row| row.created_at);
            let newest = record.older.iter().max_by_key(|(id, _)| created(id));
            newest.map(|(id, older)| (*id, older.stage))
        })
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
            seen: Seen::new(),
        };
        self.works.expect_rest()?;
        let urgency = if ending.cut { Urgency::Ending } else { Urgency::Usual };
        let watch = self.watch.clone();
        let end = move |office: Office| {
            // Now, not when the order came: it may have waited.
            let seen = watch.look(|store, _| store.seen_with([id]));
            office.end(id, Ending { seen, ..ending })
        };
        let ended = self.office.work_as(urgency, &self.closed, end).await?;
        let words = words(&ended, by);
        self.watch.clone().with(|store, _| store.changed(now(), id, Some(ended.status)));
        self.closer.forget(&id);
        if let Some(thing) = &thing {
            self.notes().decided(thing, now(), words.clone());
        }
        self.hub.tell("certificate", thing);
        Ok(Done { words })
    }
}

fn words(ended: &Ended, by: &str) -> String {
    let open: Vec<_> = ended.connections.iter().filter(|cut| cut.may_be_open()).collect();
    let still = match open.len() {
        0 => String::new(),
        some => format!(
            "; {some} connections may still be open, the account cuts them within minutes: {}",
            open.into_iter().map(open_words).collect::<Vec<_>>().join("; ")
        ),
    };
    format!("certificate {} was made {} by {by}{still}", ended.certificate.short(), ended.status)
}

fn open_words(cut: &Cut) -> String {
    match &cut.trouble {
        Some(trouble) => format!("client {} cannot be cut ({trouble})", cut.client),
        None => format!("client {} had not ended after {} s", cut.client, cut.after.as_secs()),
    }
}
