//! Topic rules at work: every message that the broker takes in goes past the rules, whoever sent it.
//!
//! What rules republish is routed before the publisher is told that its message was taken, and goes past the
//! rules itself, [`MAX_HOPS`] times at most: AWS lets a rule that triggers itself run for ever. Functions are
//! invoked beside the publisher. Not here: what a rule makes of a message ([`crate::rules`]).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
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
/// How many messages may come of one, by actions and error actions together.
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

/// What comes of one message.
#[derive(Default)]
struct Cascade {
    /// How many messages so far; functions that run beside the publisher count on.
    made: Arc<AtomicUsize>,
    /// What rules ask for, and how often their message was republished.
    waiting: VecDeque<(Outcome, u8)>,
    /// The batch of the sessions file that must be durable.
    batch: Option<u64>,
}

impl Cascade {
    fn add(&mut self, outcomes: Vec<Outcome>, hops: u8) {
        self.waiting.extend(outcomes.into_iter().map(|outcome| (outcome, hops)));
    }

    /// Whether one more message may come of it; counts it.
    fn admit(&self) -> bool {
        let before = self.made.fetch_add(1, Ordering::Relaxed);
        if before == MAX_CASCADE {
            tracing::warn!("topic rules: too many messages come of one, no more are made");
        }
        before < MAX_CASCADE
    }
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
        retained.max(routed).max(self.perform(outcomes))
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
        self.perform(outcome.into_iter().collect())
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
    fn perform(&self, outcomes: Vec<Outcome>) -> Option<u64> {
        let mut cascade = Cascade::default();
        cascade.add(outcomes, 0);
        self.go_on(cascade)
    }

    /// Does what waits in a cascade, until nothing does.
    fn go_on(&self, mut cascade: Cascade) -> Option<u64> {
        while let Some((outcome, hops)) = cascade.waiting.pop_front() {
            let Outcome { publications, invocations, mut failures } = outcome;
            for publication in publications {
                if let Err(failure) = self.publish_for_rule(publication, hops, &mut cascade) {
                    failures.add(failure);
                }
            }
            if invocations.is_empty() {
                self.conclude(failures, hops, &mut cascade);
            } else {
                self.invoke(invocations, failures, hops, cascade.made.clone());
            }
        }
        cascade.batch
    }

    /// Publishes for a rule; what rules make of the message waits in the cascade.
    fn publish_for_rule(
        &self,
        publication: Publication,
        hops: u8,
        cascade: &mut Cascade,
    ) -> Result<(), Failure> {
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
            return Ok(());
        }
        if !cascade.admit() {
            return Ok(());
        }
        let expires_at = publish.properties.message_expiry().map(|seconds| self.expiry_from_now(seconds));
        let message = Message::new(publish, expires_at);
        if hops < MAX_HOPS {
            cascade.add(self.outcomes(&message, Sender::Broker), hops + 1);
        } else {
            tracing::warn!(topic, "topic rules: republished too often, rules pass it over");
        }
        cascade.batch = cascade.batch.max(self.route(message));
        Ok(())
    }

    /// Tells the error action what failed.
    fn conclude(&self, failures: Failures, hops: u8, cascade: &mut Cascade) {
        let rule_arn = self.authority.scope.rule(failures.rule());
        match failures.conclude() {
            None => {}
            Some(ErrorAction::Publish(publication)) => {
                if let Err(failure) = self.publish_for_rule(publication, hops, cascade) {
                    let (topic, why) = (failure.resource, failure.message);
                    tracing::warn!(topic, why, "topic rule: error action failed");
                }
            }
            Some(ErrorAction::Invoke(function_arn, payload)) => {
                let invocation = self.engine.functions.invoke(RuleCall { function_arn, rule_arn, payload });
                self.beside(async move {
                    if let Err(error) = invocation.await {
                        tracing::warn!(%error, "topic rule: error action failed");
                    }
                });
            }
        }
    }

    /// Invokes functions beside the publisher, then tells the error action what failed. What comes of that counts with
    /// what has come of the message before.
    fn invoke(
        &self,
        invocations: Vec<(String, Bytes)>,
        mut failures: Failures,
        hops: u8,
        made: Arc<AtomicUsize>,
    ) {
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
                let mut cascade = Cascade { made, ..Cascade::default() };
                broker.conclude(failures, hops, &mut cascade);
                // Nobody waits for it to be durable.
                broker.go_on(cascade);
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
