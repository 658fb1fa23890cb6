//! A policy document as it is evaluated.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::action::{Action, ActionPattern};
use crate::condition::Condition;
use crate::context::Context;
use crate::error::ParseError;
use crate::pattern::Pattern;

/// The longest document in characters, white space not counted (AWS IoT Core quotas).
pub const MAX_CHARACTERS: usize = 2048;

/// A parsed AWS IoT policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDocument {
    pub(crate) statements: Vec<Statement>,
}

impl PolicyDocument {
    /// Parses the JSON of a policy. `Statement`, `Action`, `Resource` and condition values may be one or a list.
    /// In a policy of version 2008-10-17 `${` is ordinary text, as in IAM.
    ///
    /// # Errors
    /// When CreatePolicy would refuse the document, or it holds what this evaluator does not know; the error names
    /// the statement and the field.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        crate::parse::document(text)
    }

    /// How many statements the policy has.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Never true: a policy without statements does not parse.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection<P> {
    pub(crate) negated: bool,
    pub(crate) patterns: Vec<P>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    pub(crate) actions: Selection<ActionPattern>,
    pub(crate) resources: Selection<Pattern>,
    pub(crate) conditions: Vec<Condition>,
}

impl<P> Selection<P> {
    fn selects(&self, matches: impl Fn(&P) -> bool) -> bool {
        self.patterns.iter().any(matches) != self.negated
    }
}

impl Statement {
    pub(crate) fn names_action(&self, action: Action) -> bool {
        self.actions.selects(|pattern| pattern.matches(action))
    }

    pub(crate) fn names_resource(&self, resource: &str, context: &Context) -> bool {
        self.resources.selects(|pattern| pattern.matches(resource, context))
    }

    pub(crate) fn conditions_hold(&self, context: &Context) -> bool {
        self.conditions.iter().all(|condition| condition.holds(context))
    }

    /// Whether every variable of the statement has a value.
    pub(crate) fn is_resolved(&self, context: &Context) -> bool {
        self.variables().all(|(_, folded)| context.variable(folded).is_some())
    }

    /// The variables without a value, as written.
    pub(crate) fn unresolved<'a>(&'a self, context: &Context) -> BTreeSet<&'a str> {
        let missing = self.variables().filter(|(_, folded)| context.variable(folded).is_none());
        missing.map(|(written, _)| written).collect()
    }

    fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let resources = self.resources.patterns.iter().flat_map(Pattern::variables);
        resources.chain(self.conditions.iter().flat_map(Condition::variables))
    }
}
