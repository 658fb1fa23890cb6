//! The rules in force, found by the topic of a message.

use std::collections::HashMap;
use std::sync::Arc;

use fleetkey_model::name::RuleName;
use fleetkey_model::topic::Matching;

use super::outcome::Outcome;
use super::rule::Rule;
use super::sql::Message;
use crate::broker::Trie;
use crate::registry::Registry;

/// Every enabled rule.
#[derive(Debug)]
pub(crate) struct RuleSet {
    by_topic: Trie<RuleName, Arc<Rule>>,
    by_name: HashMap<RuleName, Arc<Rule>>,
}

impl Default for RuleSet {
    fn default() -> Self {
        Self { by_topic: Trie::new(Matching::Aws), by_name: HashMap::new() }
    }
}

impl RuleSet {
    /// The enabled rules of a registry. One that does not compile any more is passed over and logged.
    pub(crate) fn of(registry: &Registry) -> Self {
        let mut set = Self::default();
        for record in registry.rules().filter(|record| !record.payload.rule_disabled) {
            match Rule::compile(&record.name, &record.payload) {
                Ok(rule) => set.add(rule),
                Err(error) => tracing::error!(rule = %record.name, %error, "topic rule passed over"),
            }
        }
        set
    }

    fn add(&mut self, rule: Rule) {
        let rule = Arc::new(rule);
        if let Some(filter) = &rule.statement.from {
            self.by_topic.insert(filter.as_str(), rule.name.clone(), rule.clone());
        }
        self.by_name.insert(rule.name.clone(), rule);
    }

    /// Whether no rule asks for messages on `topic`.
    pub(crate) fn ignores(&self, topic: &str) -> bool {
        self.by_name.is_empty() || self.matching(topic).is_empty()
    }

    /// What the rules for its topic make of a message.
    pub(crate) fn run(&self, message: &Message<'_>) -> Vec<Outcome> {
        self.matching(message.topic).iter().filter_map(|rule| Outcome::of(rule, message)).collect()
    }

    /// What one rule makes of a message that Basic Ingest brings it, whatever its topic filter.
    pub(crate) fn run_one(&self, name: &str, message: &Message<'_>) -> Option<Outcome> {
        Outcome::of(self.by_name.get(name)?, message)
    }

    /// Whether a rule says who sent a message on `topic`, in the built-in attestation's place.
    pub(crate) fn attests(&self, topic: &str) -> bool {
        self.matching(topic).iter().any(|rule| rule.attests())
    }

    fn matching(&self, topic: &str) -> Vec<Arc<Rule>> {
        let mut found = Vec::new();
        self.by_topic.for_each(topic, |_, rule| found.push(rule.clone()));
        found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        found
    }
}
