//! Topic rules at work: every message that the broker takes in goes past the rules, whoever sent it.
//!
//! What rules republish is routed before the publisher is told that its message was taken, and goes past the
//! rules itself, [`MAX_HOPS`] times at most: AWS lets a rule that triggers itself run for ever. Functions are
//! invoked beside the publisher. Not here: what a rule makes of a message ([`crate::rules`]).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use fleetkey_mqtt::{Properties, Publish};
use tokio::sync::Semaphore;

use super::message::Message;
use super::{Broker, read, write};
use crate::events::session_identifier;
use crate::rules::{self, ErrorAction, Failure, Failures, Outcome, Publication, RuleSet, Sender};
use crate::seams::{FunctionInvoker, Roles, RuleCall};

/// How often a message may be republished by rules, one after the other.
const MAX_HOPS: u8 = 8;
/// How many messages may come of one.
const MAX_CASCADE: usize = 1000;
/// Messages with functions under way; the excess fails.
const MAX_INVOCATIONS: usize = 256;
/// Who assumes the roles of rules.
const SERVICE: &str = "iot.amazonaws.com";

/// What the broker needs for rules.
pub(super) struct Engine {
    pub(super) functions: Arc<dyn FunctionInvoker>,
    pub(super) roles: Arc<dyn Roles>,
    invocations: Arc<Semaphore>,
    current: std::sync::RwLock<Current>,
}

/// The rules as of a registry epoch.
#[derive(Default)]
struct Current {
    epoch: Option<u64>,
    revision: u64,
    rules: Arc<RuleSet>,
}

impl Engine {
    pub(super) fn new(functions: Arc<dyn FunctionInvoker>, roles: Arc<dyn Roles>) -> Self {
        let invocations = Arc::new(Semaphore::new(MAX_INVOCATIONS));
        Self { functions, roles, invocations, current: Default::default() }
    }
}

impl Broker {
    /// Whether AWS IoT may assume a role.
    pub(crate) fn may_assume(&self, role_arn: &str) -> bool {
        self.engine.roles.role_can_be_assumed_by(role_arn, SERVICE)
    }

    /// The rules in force: a rule is, once the call that made it was answered.
    pub(super) fn rules(&self) -> Arc<RuleSet> {
        let store = &self.authority.store;
        let epoch = Some(store.epoch());
        let current = read(&self.engine.current);
        if current.epoch == epoch {
            return current.rules.clone();
        }
        drop(current);
        let mut current = write(&self.engine.current);
        let registry = store.read();
        if current.epoch.is_none() || current.revision != registry.rules_revision() {
            current.revision = registry.rules_revision();
            current.rules = Arc::new(RuleSet::of(&registry));
        }
        current.epoch = epoch;
        current.rules.clone()
    }

    /// Takes in a message: retains it, routes it, lets the rules have it. Returns the batch of the sessions file
    /// that must be durable before the publisher is told, if there is one.
    pub(super) fn deliver(&self, message: Message, sender: Sender<'_>) -> Option<u64> {
        let outcomes = self.outcomes(&message, sender);
        let retained = message.retain.then(|| self.retain(&message)).flatten();
        let routed = self.route(message);
        retained.max(routed).max(self.perform(outcomes, 0))
    }

    /// Takes in a message for one rule alone (Basic Ingest); `topic` is what the rule takes for its topic.
    pub(super) fn ingest(
        &self,
        rule: &str,
        topic: &str,
        publish: &Publish,
        sender: Sender<'_>,
    ) -> Option<u64> {
        let trace = session_identifier();
        let message = self.event(topic, &publish.payload, &publish.properties, sender, &trace);
        let outcome = self.rules().run_one(rule, &message);
        self.perform(outcome.into_iter().collect(), 0)
    }

    fn outcomes(&self, message: &Message, sender: Sender<'_>) -> Vec<Outcome> {
        let rules = self.rules();
        if rules.ignores(&message.topic) {
            return Vec::new();
        }
        let trace = session_identifier();
        rules.run(&self.event(&message.topic, &message.payload, &message.properties, sender, &trace))
    }

    fn event<'a>(
        &'a self,
        topic: &'a str,
        payload: &'a [u8],
        properties: &'a Properties,
        sender: Sender<'a>,
        trace: &'a str,
    ) -> rules::Message<'a> {
        let account = &self.authority.scope.account;
        rules::Message::new(topic, payload, properties, sender, account, trace, self.now())
    }

    /// Does what rules ask for, and what other rules make of that.
    fn perform(&self, outcomes: Vec<Outcome>, hops: u8) -> Option<u64> {
        let mut batch = None;
        let mut cascade = 0;
        let mut waiting: VecDeque<(Outcome, u8)> =
            outcomes.into_iter().map(|outcome| (outcome, hops)).collect();
        while let Some((outcome, hops)) = waiting.pop_front() {
            let Outcome { publications, invocations, mut failures } = outcome;
            for publication in publications {
                let made = self.publish_for_rule(publication, hops, &mut batch);
                cascade += 1;
                match made {
                    Ok(more) if cascade < MAX_CASCADE => {
                        waiting.extend(more.into_iter().map(|outcome| (outcome, hops + 1)));
                    }
                    Ok(_) => tracing::warn!("topic rules: too many messages come of one"),
                    Err(failure) => failures.add(failure),
                }
            }
            if invocations.is_empty() {
                batch = batch.max(self.conclude(failures, hops));
            } else {
                self.invoke(invocations, failures, hops);
            }
        }
        batch
    }

    /// Publishes for a rule; returns what rules make of the message.
    fn publish_for_rule(
        &self,
        publication: Publication,
        hops: u8,
        batch: &mut Option<u64>,
    ) -> Result<Vec<Outcome>, Failure> {
        let Publication { role_arn, publish } = publication;
        let topic = publish.topic.to_string();
        let failed = |why| Failure { action: "RepublishAction", resource: topic.clone(), message: why };
        if !self.may_assume(&role_arn) {
            return Err(failed(format!(
                "{SERVICE} is unable to perform: sts:AssumeRole on resource: {role_arn}"
            )));
        }
        if !self.limits.admit_properties(&publish.properties) {
            return Err(failed("Properties larger than the limit".into()));
        }
        if topic.starts_with('$') {
            tracing::debug!(topic, "topic rule: the service behind this topic is not imitated");
            return Ok(Vec::new());
        }
        let expires_at = publish.properties.message_expiry().map(|seconds| self.expiry_from_now(seconds));
        let message = Message::new(publish, expires_at);
        let outcomes = if hops < MAX_HOPS {
            self.outcomes(&message, Sender::Broker)
        } else {
            tracing::warn!(topic, "topic rules: republished too often, rules pass it over");
            Vec::new()
        };
        *batch = (*batch).max(self.route(message));
        Ok(outcomes)
    }

    /// Tells the error action what failed.
    fn conclude(&self, failures: Failures, hops: u8) -> Option<u64> {
        let rule_arn = self.authority.scope.rule(failures.rule());
        match failures.conclude()? {
            ErrorAction::Publish(publication) => {
                let mut batch = None;
                match self.publish_for_rule(publication, hops, &mut batch) {
                    Ok(outcomes) => batch.max(self.perform(outcomes, hops.saturating_add(1))),
                    Err(failure) => {
                        tracing::warn!(
                            topic = failure.resource,
                            why = failure.message,
                            "topic rule: error action failed"
                        );
                        batch
                    }
                }
            }
            ErrorAction::Invoke(function_arn, payload) => {
                let invocation = self.engine.functions.invoke(RuleCall { function_arn, rule_arn, payload });
                self.beside(async move {
                    if let Err(error) = invocation.await {
                        tracing::warn!(%error, "topic rule: error action failed");
                    }
                });
                None
            }
        }
    }

    /// Invokes functions beside the publisher, then tells the error action what failed.
    fn invoke(&self, invocations: Vec<(String, Bytes)>, mut failures: Failures, hops: u8) {
        let broker: Weak<Self> = self.me.clone();
        let functions = self.engine.functions.clone();
        let rule_arn = self.authority.scope.rule(failures.rule());
        let started = self.beside(async move {
            let mut failed = Vec::new();
            for (function_arn, payload) in invocations {
                let call =
                    RuleCall { function_arn: function_arn.clone(), rule_arn: rule_arn.clone(), payload };
                if let Err(error) = functions.invoke(call).await {
                    failed.push(Failure { action: "LambdaAction", resource: function_arn, message: error.0 });
                }
            }
            failed.into_iter().for_each(|failure| failures.add(failure));
            if let Some(broker) = broker.upgrade() {
                // Nobody waits for it to be durable.
                broker.conclude(failures, hops);
            }
        });
        if !started {
            tracing::warn!("topic rules: too many functions under way, one message is not handed over");
        }
    }

    /// Runs a task if there are not too many; says whether.
    fn beside(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let Ok(place) = self.engine.invocations.clone().try_acquire_owned() else { return false };
        tokio::spawn(async move {
            task.await;
            drop(place);
        });
        true
    }
}
