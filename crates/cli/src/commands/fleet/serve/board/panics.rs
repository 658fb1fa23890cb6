//! The panic path as the API takes it: what `fleetkey panic` does, and before every order of pages, the API and campaigns.

use anyhow::Result;
use fleetkey_dashboard::fleet::Refused;
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::{ClientId, PolicyName};
use fleetkey_operator::inventory::Watch;
use fleetkey_operator::plan::{Claims, Cut, Denial, Ending, PanicStep, Restored, Seen};

use super::super::super::panic;
use super::Board;
use super::office::{CUT_WITHIN, Manner, Office};
use super::turns::Urgency;

/// Claims that were stopped, or would be.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct StoppedClaims {
    /// What was found.
    pub(in super::super) claims: Claims,
    /// Whose connections are ended.
    pub(in super::super) clients: Vec<ClientId>,
    /// What was done.
    pub(in super::super) steps: Vec<PanicStep>,
    /// What became of connections.
    pub(in super::super) cuts: Vec<Cut>,
}

/// A policy that was stopped, or would be.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct StoppedPolicy {
    /// What was found.
    pub(in super::super) denial: Denial,
    /// What was done.
    pub(in super::super) steps: Vec<PanicStep>,
}

/// In whose name, why, and whether it is only to be told what it would come to.
pub(in super::super) struct Alarm<'a> {
    pub(in super::super) by: &'a str,
    pub(in super::super) why: String,
    pub(in super::super) dry_run: bool,
}

impl Alarm<'_> {
    fn words(&self) -> String {
        format!("{}, says {}", self.why, self.by)
    }
}

impl Office {
    async fn stop_claims(
        self,
        (watch, clients): (Watch, Vec<ClientId>),
        (why, dry_run): (String, bool),
    ) -> Result<StoppedClaims> {
        let aws = self.account().await;
        let mut operator = self.operator(&aws, Manner::brief(false)).await?;
        let wanted = self.settings.wanted(operator.scope())?;
        let claims = operator.claims(&wanted.fleet, &[]).await?;
        let clients = with_open(&watch, &claims, clients);
        if dry_run {
            return Ok(StoppedClaims { claims, clients, steps: Vec::new(), cuts: Vec::new() });
        }
        let ending = Ending {
            status: CertificateStatus::Inactive,
            why,
            cut: true,
            patience: CUT_WITHIN,
            seen: Seen::new(),
        };
        let (steps, cuts) = operator.stop_claims(&claims, &clients, &ending).await?;
        Ok(StoppedClaims { claims, clients, steps, cuts })
    }

    async fn stop_policy(self, policy: PolicyName, (why, dry_run): (String, bool)) -> Result<StoppedPolicy> {
        let aws = self.account().await;
        let mut operator = self.operator(&aws, Manner::brief(false)).await?;
        let denial = operator.denial(&policy).await?;
        let steps = if dry_run { Vec::new() } else { operator.stop_policy(&denial, &why).await? };
        Ok(StoppedPolicy { denial, steps })
    }

    async fn restore(self, why: String) -> Result<Vec<Restored>> {
        let aws = self.account().await;
        let mut operator = self.operator(&aws, Manner::brief(false)).await?;
        let recovery = self.settings.wanted(operator.scope())?.fleet.names.recovery_template;
        Ok(operator.restart(&recovery, &why).await?)
    }
}

impl Board {
    /// Stops the claim: its certificates, the templates that it can use, and its connections.
    ///
    /// # Errors
    /// In words, when the account or the fleet directory is not to be had; what was stopped until then stays so.
    pub(in super::super) async fn stop_claims(
        &self,
        clients: Vec<ClientId>,
        alarm: Alarm<'_>,
    ) -> Result<StoppedClaims, Refused> {
        let (known, how) = ((self.watch.clone(), clients), (alarm.words(), alarm.dry_run));
        let stop = move |office: Office| office.stop_claims(known, how);
        let stopped = self.office.work_as(Urgency::Panic, &self.closed, stop).await;
        self.shaken();
        stopped
    }

    /// Refuses a policy that is none of the fleet's.
    ///
    /// # Errors
    /// In words that name those that are.
    pub(in super::super) fn is_own(&self, policy: &PolicyName) -> Result<(), Refused> {
        let known = self.office.settings.names().and_then(|names| panic::is_of(&names, policy));
        known.map_err(|error| Refused(format!("{error:#}")))
    }

    /// Stops everybody who has this policy.
    ///
    /// # Errors
    /// In words, when the account or the fleet directory is not to be had.
    pub(in super::super) async fn stop_policy(
        &self,
        policy: PolicyName,
        alarm: Alarm<'_>,
    ) -> Result<StoppedPolicy, Refused> {
        let how = (alarm.words(), alarm.dry_run);
        let stop = move |office: Office| office.stop_policy(policy, how);
        let stopped = self.office.work_as(Urgency::Panic, &self.closed, stop).await;
        self.shaken();
        stopped
    }

    /// Restores what was stopped.
    ///
    /// # Errors
    /// In words, likewise; what was restored until then stays so.
    pub(in super::super) async fn restore(&self, alarm: Alarm<'_>) -> Result<Vec<Restored>, Refused> {
        self.works.expect_rest()?;
        let why = alarm.words();
        let restored = self.office.work(&self.closed, move |office| office.restore(why)).await;
        self.shaken();
        restored
    }

    /// What pages know of the account is over.
    fn shaken(&self) {
        self.doors.forget();
        self.policies.forget();
        self.hub.tell("account", None);
    }
}

/// Those that are named, and those that are known to be connected with these claims.
fn with_open(watch: &Watch, claims: &Claims, mut clients: Vec<ClientId>) -> Vec<ClientId> {
    let seen = watch.look(|store, _| store.seen_with(claims.certificates.iter().map(|(id, _)| *id)));
    clients.extend(seen.into_values().flatten());
    clients.sort();
    clients.dedup();
    clients
}
