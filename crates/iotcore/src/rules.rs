//! Topic rules: what a rule may be, what it selects, and what it then asks for.
//!
//! # Modules
//! - [`sql`]: the language
//! - [`template`]: `${…}` in the fields of actions
//! - [`rule`]: a rule, compiled
//! - [`outcome`]: what rules make of a message
//! - [`set`]: the rules in force, found by topic
//!
//! Pure but for random ids. Not here: the records ([`crate::registry`]), and carrying out what rules ask for
//! (`crate::broker`).

use fleetkey_model::name::RuleName;
use fleetkey_model::topic::TopicFilter;

use crate::registry::{RegistryError, RulePayload, RuleRecord};

pub(crate) use outcome::{ErrorAction, Failure, Failures, Outcome, Publication};
pub(crate) use set::RuleSet;
pub(crate) use sql::{Message, Sender};

mod outcome;
mod rule;
mod set;
mod sql;
mod template;

/// Whether a payload is a rule that can be carried out.
///
/// # Errors
/// [`RegistryError::BadSql`] for the statement and templates, [`RegistryError::BadRule`] for the rest.
pub(crate) fn check(name: &RuleName, payload: &RulePayload) -> Result<(), RegistryError> {
    rule::Rule::compile(name, payload).map(drop)
}

/// The topic filter of a rule's FROM, for lists; `None` when it has none.
pub(crate) fn topic_pattern(record: &RuleRecord) -> Option<TopicFilter> {
    rule::Rule::compile(&record.name, &record.payload).ok()?.statement.from
}
