//! Conditions: an operator, a key and values, tested against a context.
//!
//! What an absent key means follows IAM: a negated operator holds, any other does not, `…IfExists` and
//! `ForAllValues:` hold, `ForAnyValue:` does not (IAM User Guide, reference_policies_elements_condition_operators).

use alloc::string::String;
use alloc::vec::Vec;

pub(crate) use arn::ArnPattern;
pub(crate) use network::Network;

use crate::context::Context;
use crate::pattern::Pattern;

mod arn;
mod network;

/// Over which of a key's values the operator must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantifier {
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

/// The operator with the policy's values, of which one must match (or, negated, none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    Text { negated: bool, patterns: Vec<Pattern> },
    TextIgnoreCase { negated: bool, patterns: Vec<Pattern> },
    Arn { negated: bool, patterns: Vec<ArnPattern> },
    Ip { negated: bool, networks: Vec<Network> },
    Bool(Vec<bool>),
    Null(Vec<bool>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) quantifier: Option<Quantifier>,
    pub(crate) if_exists: bool,
    /// Folded; see [`crate::context::fold`].
    pub(crate) key: String,
    pub(crate) test: Test,
}

impl Condition {
    pub(crate) fn holds(&self, context: &Context) -> bool {
        let values = context.folded(&self.key);
        if let Test::Null(wanted) = &self.test {
            return wanted.contains(&values.is_empty());
        }
        if values.is_empty() {
            return self.holds_without_key();
        }
        let accepts = |value: &String| self.test.matches(value, context) != self.test.negated();
        match self.quantifier {
            Some(Quantifier::All) => values.iter().all(accepts),
            Some(Quantifier::Any) => values.iter().any(accepts),
            // A plain operator on a set: a negation is exactly the opposite of its positive form.
            None if self.test.negated() => values.iter().all(accepts),
            None => values.iter().any(accepts),
        }
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let plain = match &self.test {
            Test::Text { patterns, .. } | Test::TextIgnoreCase { patterns, .. } => patterns.as_slice(),
            Test::Arn { .. } | Test::Ip { .. } | Test::Bool(_) | Test::Null(_) => &[],
        };
        let arns = match &self.test {
            Test::Arn { patterns, .. } => patterns.as_slice(),
            _ => &[],
        };
        let in_arns = arns.iter().flat_map(ArnPattern::variables);
        plain.iter().flat_map(Pattern::variables).chain(in_arns)
    }

    fn holds_without_key(&self) -> bool {
        match self.quantifier {
            Some(Quantifier::All) => true,
            Some(Quantifier::Any) => self.if_exists,
            None => self.if_exists || self.test.negated(),
        }
    }
}

impl Test {
    const fn negated(&self) -> bool {
        match self {
            Self::Text { negated, .. }
            | Self::TextIgnoreCase { negated, .. }
            | Self::Arn { negated, .. }
            | Self::Ip { negated, .. } => *negated,
            Self::Bool(_) | Self::Null(_) => false,
        }
    }

    /// Whether `value` equals one of the policy's values, negation aside.
    fn matches(&self, value: &str, context: &Context) -> bool {
        match self {
            Self::Text { patterns, .. } => patterns.iter().any(|pattern| pattern.matches(value, context)),
            Self::TextIgnoreCase { patterns, .. } => {
                let value = value.to_lowercase();
                let mut wanted = patterns.iter().filter_map(|pattern| pattern.expand(context));
                wanted.any(|text| text.to_lowercase() == value)
            }
            Self::Arn { patterns, .. } => patterns.iter().any(|pattern| pattern.matches(value, context)),
            Self::Ip { networks, .. } => match value.parse() {
                Ok(address) => networks.iter().any(|network| network.contains(address)),
                Err(_) => false,
            },
            Self::Bool(wanted) => {
                let holds =
                    |wanted: &bool| value.eq_ignore_ascii_case(if *wanted { "true" } else { "false" });
                wanted.iter().any(holds)
            }
            Self::Null(_) => false,
        }
    }
}
