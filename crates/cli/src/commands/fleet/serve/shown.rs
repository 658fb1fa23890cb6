//! The controller as it is shown over HTTP.

mod answers;
mod calls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_api::Backend;
use fleetkey_api::backend::{Order, Question, Trouble};
use fleetkey_api::feed::Feed;
use fleetkey_api::token::Holder;
use fleetkey_aws::Aws;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::controller::{Connections, Metrics, Reception};
use fleetkey_operator::inventory::{Thresholds, Watch, render};
use serde_json::{Value, json};

use super::super::now;
use crate::tokens;

/// How long the controller may take to add its records up: it may be in the middle of a call to the account.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running controller, its account, and its fleet directory.
pub(super) struct Shown {
    pub(super) reception: Reception,
    pub(super) metrics: Arc<Metrics>,
    pub(super) watch: Watch,
    pub(super) aws: Arc<Aws>,
    pub(super) feed: Arc<Feed>,
    /// The operator's directory.
    pub(super) directory: PathBuf,
    /// From when on something is a finding.
    pub(super) thresholds: Thresholds,
}

impl Backend for Shown {
    fn now(&self) -> Timestamp {
        now()
    }

    fn unready(&self) -> Option<String> {
        let words = "not connected to the broker: nothing is heard, and nothing new is retired";
        (!self.reception.hears()).then(|| words.to_owned())
    }

    fn ready(&self) -> String {
        let Connections { hearing, wanted } = self.reception.connections();
        format!("ready: {hearing} of {wanted} connections hear the broker")
    }

    async fn metrics(&self) -> String {
        let totals = tokio::time::timeout(PATIENCE, self.reception.totals()).await.ok().flatten();
        let mut page = self.metrics.render(totals.as_ref(), self.reception.connections());
        let (watch, now, thresholds) = (self.watch.clone(), now(), self.thresholds.clone());
        // Off the runtime's threads: a large fleet takes a moment.
        let survey = tokio::task::spawn_blocking(move || watch.survey(now, &thresholds)).await;
        if let Ok(survey) = survey {
            page.push_str(&render(&survey, now));
        }
        calls::render(&mut page, &self.aws);
        page
    }

    /// Read each time: a token that was revoked is none from then on.
    fn holder(&self, token: &str) -> Option<Holder> {
        match tokens::read(&self.directory) {
            Ok(tokens) => tokens.holder(token, now()),
            Err(error) => {
                tracing::error!(%error, "nobody can be let in");
                None
            }
        }
    }

    async fn ask(&self, question: Question) -> Result<Value, Trouble> {
        match question {
            Question::Status => Ok(answers::status(&self.watch, self.unready().as_deref())),
            Question::Certificates(selection) => {
                answers::certificates(&self.watch, selection, &self.thresholds)
            }
            Question::Certificate(id) => answers::certificate(&self.watch, id),
            Question::Thing(thing) => answers::thing(&self.watch, &thing, &self.thresholds),
            Question::Findings(rule) => answers::findings_of(&self.watch, rule.as_deref(), &self.thresholds),
            Question::Journal { after, limit } => {
                answers::journal(self.directory.clone(), after, limit).await
            }
        }
    }

    async fn order(&self, holder: &Holder, order: Order) -> Result<Value, Trouble> {
        let Order::Release { thing, why } = order;
        if !self.watch.look(|store, _| store.thing(&thing).is_some_and(|row| row.frozen.is_some())) {
            return Err(Trouble::Bad(format!("{thing} is not frozen")));
        }
        let said = format!("{} ({}) says: {why}", holder.name, holder.role.as_str());
        let released = self.reception.release_because(thing.clone(), said).await;
        released.map_err(Trouble::Unavailable)?;
        Ok(json!({ "thing": thing, "released": true }))
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}
