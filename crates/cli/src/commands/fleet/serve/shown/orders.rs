//! Orders of the API, carried out by the functions that carry out those of the dashboard, in the name of the token.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetkey_api::backend::{CampaignStep, Draft, Order, Trouble};
use fleetkey_api::backend::{Fate as Wanted, Verdict as Decision};
use fleetkey_api::token::Holder;
use fleetkey_dashboard::fleet::{
    CampaignDraft, CampaignMode, CampaignOrder, Fate, Forecast, Omission, Pace, Refused,
};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{SerialNumber, ThingName};
use fleetkey_operator::campaign::Ceiling;
use fleetkey_operator::recovery::{MOST_SERIALS, WindowError, Windows};
use serde_json::{Value, json};

use super::super::super::panic;
use super::super::board::{Alarm, Among, Arranged, Decided, Verdict};
use super::Shown;

impl Shown {
    /// Carries out what the holder of a token has ordered.
    pub(super) async fn carry_out(&self, holder: &Holder, order: Order) -> Result<Value, Trouble> {
        let holder = format!("{} ({})", holder.name, holder.role.as_str());
        let by = format!("{holder} of the API");
        match order {
            Order::Release { thing, why } => self.release(thing, format!("{holder} says: {why}")).await,
            Order::Rotate { thing, why } => self.rotate(thing, &why, &by).await,
            Order::Certificate { certificate, fate, why } => {
                self.decide(certificate, fated(fate), (&by, why)).await
            }
            Order::Recovered { thing, certificate, verdict, why } => {
                self.recovered(thing, (certificate, verdict), (&by, why)).await
            }
            Order::Open { serials, span, why } => self.open((serials, span), (&by, why)).await,
            Order::Close { window, why } => self.close(window, (&by, why)).await,
            Order::Stop { leaked, why, dry_run } => self.stop(leaked, Alarm { by: &by, why, dry_run }).await,
            Order::Restore { why } => self.restore(Alarm { by: &by, why, dry_run: false }).await,
            Order::Start(draft) => self.start(&draft, &by).await,
            Order::Campaign { name, step, why } => self.step(name, step, (&by, why)).await,
        }
    }

    async fn release(&self, thing: ThingName, said: String) -> Result<Value, Trouble> {
        if !self.watch.look(|store, _| store.thing(&thing).is_some_and(|row| row.frozen.is_some())) {
            return Err(Trouble::Bad(format!("{thing} is not frozen")));
        }
        let released = self.reception.release_because(thing.clone(), said).await;
        released.map_err(Trouble::Unavailable)?;
        Ok(json!({ "thing": thing, "released": true }))
    }

    async fn rotate(&self, thing: ThingName, why: &str, by: &str) -> Result<Value, Trouble> {
        if self.watch.look(|store, _| store.thing(&thing).is_none()) {
            return Err(Trouble::Missing(format!("no thing {thing} is known")));
        }
        let told = self.board.rotate(vec![thing.clone()], format!("{why}, says {by}"), by).await;
        told.map_err(unavailable)?;
        Ok(json!({ "thing": thing, "told": true }))
    }

    /// Of a certificate that is so already, its connections are ended once more.
    async fn decide(
        &self,
        id: CertificateId,
        fate: Fate,
        (by, why): (&str, String),
    ) -> Result<Value, Trouble> {
        let found = self.watch.look(|store, _| {
            let row = store.certificate(&id)?;
            Some((row.thing.clone(), row.status, store.own().get(&id).cloned()))
        });
        let (thing, status, own) =
            found.ok_or_else(|| Trouble::Missing(format!("no certificate {id} is known")))?;
        if let Some(role) = own {
            let words = format!(
                "it is the operator's own, {role}: `fleetkey setup` and `fleetkey rotate-claim` see to it"
            );
            return Err(Trouble::Conflict(words));
        }
        let status =
            status.ok_or_else(|| Trouble::Unavailable("the account has not told of it yet".into()))?;
        if status != fate.status() && !fate.fits(status) {
            return Err(Trouble::Conflict(format!("it is {status}")));
        }
        let done = self.board.seal_fate(thing.clone(), (id, fate), (by, why)).await.map_err(unavailable)?;
        Ok(json!({ "certificate": id, "thing": thing, "status": fate.status(), "done": done.words }))
    }

    async fn recovered(
        &self,
        thing: ThingName,
        (certificate, verdict): (CertificateId, Decision),
        (by, why): (&str, String),
    ) -> Result<Value, Trouble> {
        if self.watch.look(|store, _| store.thing(&thing).is_none()) {
            return Err(Trouble::Missing(format!("no thing {thing} is known")));
        }
        let verdict = match verdict {
            Decision::Approve => Verdict::Approve,
            Decision::Reject => Verdict::Reject,
        };
        let decided = self.board.decide_recovery(thing.clone(), (verdict, certificate), (by, why)).await;
        match decided.map_err(unavailable)? {
            Decided::Nothing => Err(Trouble::Conflict(format!("nothing of {thing} waits for a decision"))),
            Decided::Another(id) => Err(Trouble::Conflict(format!(
                "what waits of {thing} is {id}: somebody has recovered as this thing since; nothing was decided"
            ))),
            Decided::Done { revoked } => {
                Ok(json!({ "thing": thing, "certificate": certificate, "revoked": revoked }))
            }
        }
    }

    async fn open(
        &self,
        whom: (BTreeSet<SerialNumber>, Duration),
        (by, why): (&str, String),
    ) -> Result<Value, Trouble> {
        if whom.0.len() > MOST_SERIALS {
            return Err(Trouble::Bad(WindowError::TooMany(whom.0.len()).to_string()));
        }
        panic::none(&self.directory).map_err(|error| Trouble::Conflict(error.to_string()))?;
        let Arranged { what, open, changed } =
            self.board.open_window(whom, (by, why)).await.map_err(unavailable)?;
        Ok(json!({
            "window": what.number, "until": what.until, "devices": what.serials.len(), "open": open,
            "changed": changed,
        }))
    }

    async fn close(&self, window: u32, (by, why): (&str, String)) -> Result<Value, Trouble> {
        let windows =
            Windows::read(&self.directory).map_err(|error| Trouble::Unavailable(error.to_string()))?;
        if windows.get(window).is_none() {
            return Err(Trouble::Missing(format!("there is no recovery window {window}")));
        }
        let Arranged { what, open, changed } =
            self.board.close_window(window, (by, why)).await.map_err(unavailable)?;
        Ok(json!({ "window": window, "closed": what, "open": open, "changed": changed }))
    }

    async fn start(&self, draft: &Draft, by: &str) -> Result<Value, Trouble> {
        if self.board.one_campaign(&draft.name).is_some() {
            return Err(Trouble::Conflict(format!("there is a campaign {} already", draft.name)));
        }
        let wanted = drafted(draft);
        let among = match draft.things.is_empty() {
            true => self.board.among(&wanted).await.map_err(bad)?,
            false => Among::List(draft.things.iter().cloned().collect()),
        };
        let Forecast { devices, waves, left_out, .. } = self.board.forecast(&wanted, &among).map_err(bad)?;
        if !draft.dry_run {
            self.board.start(&wanted, &among, by).await.map_err(bad)?;
        }
        let Ceiling { a_minute, is_told } = self.board.ceiling();
        let told = |omission: &Omission| json!({ "devices": omission.devices, "why": omission.why });
        let left_out: Vec<_> = left_out.iter().map(told).collect();
        Ok(json!({
            "campaign": draft.name, "dry_run": draft.dry_run, "devices": devices, "waves": waves, "left_out": left_out,
            "rate": wanted.pace.rate, "account_rate": a_minute, "account_rate_told": is_told,
        }))
    }

    async fn step(
        &self,
        name: String,
        step: CampaignStep,
        (by, why): (&str, String),
    ) -> Result<Value, Trouble> {
        let mode = self.board.one_campaign(&name).ok_or_else(|| no_campaign(&name))?.mode;
        let fits = match step {
            CampaignStep::Pause => mode == CampaignMode::Running,
            CampaignStep::Resume => matches!(mode, CampaignMode::Paused(_)),
            CampaignStep::Abort => !mode.is_over(),
            CampaignStep::Rollback => !matches!(mode, CampaignMode::RolledBack(_)),
        };
        if !fits {
            return Err(Trouble::Conflict(format!("it is {}", mode.word())));
        }
        let order = match step {
            CampaignStep::Pause => CampaignOrder::Pause { name: name.clone(), why },
            CampaignStep::Resume => CampaignOrder::Resume { name: name.clone(), why },
            CampaignStep::Abort => CampaignOrder::Abort { name: name.clone(), why },
            CampaignStep::Rollback => CampaignOrder::Rollback { name: name.clone(), why },
        };
        let done = self.board.order_campaign(order, by).await.map_err(unavailable)?;
        Ok(json!({ "campaign": name, "done": done.words }))
    }
}

/// There is none of this name.
pub(super) fn no_campaign(name: &str) -> Trouble {
    Trouble::Missing(format!("there is no campaign {name:?}"))
}

const fn fated(fate: Wanted) -> Fate {
    match fate {
        Wanted::Reactivate => Fate::Reactivate,
        Wanted::Deactivate => Fate::Deactivate,
        Wanted::Revoke => Fate::Revoke,
    }
}

/// A draft as the dashboard's form has it.
fn drafted(draft: &Draft) -> CampaignDraft {
    let usual = Pace::default();
    CampaignDraft {
        name: draft.name.clone(),
        why: draft.why.clone(),
        things: draft.thing.clone().unwrap_or_default(),
        older_than: draft.older_than.map(Duration::from_secs),
        rule: draft.rule.clone().unwrap_or_default(),
        group: draft.group.as_ref().map(ToString::to_string).unwrap_or_default(),
        pace: Pace {
            canary: draft.canary.unwrap_or(usual.canary),
            growth: draft.growth.unwrap_or(usual.growth),
            rate: draft.rate.unwrap_or(usual.rate),
            at_once: draft.at_once.unwrap_or(usual.at_once),
            window: draft.window.clone().unwrap_or_default(),
            patience: draft.patience.map_or(usual.patience, Duration::from_secs),
            tries: draft.tries.unwrap_or(usual.tries),
            threshold: draft.threshold.unwrap_or(usual.threshold),
        },
    }
}

fn bad(Refused(why): Refused) -> Trouble {
    Trouble::Bad(why)
}

pub(super) fn unavailable(Refused(why): Refused) -> Trouble {
    Trouble::Unavailable(why)
}
