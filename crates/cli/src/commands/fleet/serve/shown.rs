//! The controller as it is shown over HTTP.

mod answers;
mod calls;
mod orders;
mod panics;
mod things;

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
use fleetkey_operator::inventory::{Thresholds, Watch, render, render_soonest};
use serde_json::Value;

use super::super::due::Rhythm;
use super::super::now;
use super::board::Board;
use crate::tokens;

/// How long the controller may take to add its records up: it may be in the middle of a call to the account.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running controller, its account, and its fleet directory.
pub(super) struct Shown {
    pub(super) reception: Reception,
    pub(super) metrics: Arc<Metrics>,
    pub(super) watch: Watch,
    /// The accounts whose calls are counted.
    pub(super) accounts: [Arc<Aws>; 2],
    pub(super) feed: Arc<Feed>,
    /// What orders are carried out with: the same as the dashboard's.
    pub(super) board: Arc<Board>,
    /// The operator's directory.
    pub(super) directory: PathBuf,
    /// How many certificates have a series of their own.
    pub(super) soonest: usize,
    /// What the devices are set to.
    pub(super) rhythm: Rhythm,
}

impl Shown {
    /// From when on something is a finding.
    fn thresholds(&self) -> Thresholds {
        self.rhythm.thresholds()
    }
}

impl Backend for Shown {
    fn now(&self) -> Timestamp {
        now()
    }

    fn unready(&self) -> Option<String> {
        self.board.hindrances().unready().map(str::to_owned)
    }

    fn ready(&self) -> String {
        let Connections { hearing, wanted } = self.reception.connections();
        format!("ready: {hearing} of {wanted} connections hear the broker")
    }

    async fn metrics(&self) -> String {
        let totals = tokio::time::timeout(PATIENCE, self.reception.totals()).await.ok().flatten();
        let mut page = self.metrics.render(totals.as_ref(), self.reception.connections());
        let (watch, now, thresholds) = (self.watch.clone(), now(), self.thresholds());
        // Off the runtime's threads: a large fleet takes a moment.
        let survey = tokio::task::spawn_blocking(move || watch.survey(now, &thresholds)).await;
        if let Ok(survey) = survey {
            page.push_str(&render(&survey, now));
        }
        page.push_str(&render_soonest(&self.watch.soonest(self.soonest)));
        calls::render(&mut page, &self.accounts);
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
                answers::certificates(&self.watch, selection, &self.thresholds(), &self.rhythm)
            }
            Question::Certificate(id) => answers::certificate(&self.watch, id, &self.rhythm),
            Question::Things(selection) => {
                let watch = self.watch.clone();
                // Off the runtime's threads: where few fit it looks at all of them.
                let found = tokio::task::spawn_blocking(move || things::page(&watch, selection)).await;
                found.map_err(|error| Trouble::Unavailable(error.to_string()))?
            }
            Question::Thing(thing) => answers::thing(&self.watch, &thing, &self.thresholds(), &self.rhythm),
            Question::History(thing) => {
                answers::history(self.watch.clone(), self.directory.clone(), thing).await
            }
            Question::Findings(rule) => {
                answers::findings_of(&self.watch, rule.as_deref(), &self.thresholds())
            }
            Question::Journal { of, after, limit } => {
                answers::journal(self.directory.clone(), of, (after, limit)).await
            }
            Question::Recovery => answers::recovery(&self.watch, &self.directory),
            Question::Panic => panics::standing(&self.directory),
            Question::Campaigns => Ok(answers::campaigns(&self.board.all_campaigns())),
            Question::Campaign(name) => match self.board.one_campaign(&name) {
                Some(campaign) => Ok(answers::campaign(&campaign)),
                None => Err(orders::no_campaign(&name)),
            },
        }
    }

    async fn order(&self, holder: &Holder, order: Order) -> Result<Value, Trouble> {
        self.carry_out(holder, order).await
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}
