//! Why a text is no policy, and where in it.

use alloc::string::String;
use core::fmt;

use crate::document::MAX_CHARACTERS;
use crate::pattern::PatternError;

/// Where in the document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The statement, counted from 0; `None` for the document itself.
    pub statement: Option<usize>,
    /// The field, for example `Condition.StringLike.iot:ClientId`; empty for the statement or document as a whole.
    pub field: String,
}

/// A text that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// What, and what is allowed there.
    pub problem: Problem,
}

/// What is wrong in a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Over the limit of CreatePolicy.
    #[error(
        "{0} characters without white space, at most {MAX_CHARACTERS} are allowed; share statements or shorten names"
    )]
    TooLong(usize),
    /// No JSON, or a key given twice.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// A field that must be there is not.
    #[error("missing")]
    Missing,
    /// A list or object without elements.
    #[error("empty")]
    Empty,
    /// Another kind of JSON value than the field takes.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A field that an AWS IoT policy does not have.
    #[error("unknown field; AWS IoT policies have {0}")]
    UnknownField(&'static str),
    /// `Principal` or `NotPrincipal`.
    #[error("not allowed in an AWS IoT policy: the principal is whatever the policy is attached to")]
    Principal,
    /// A field and its opposite.
    #[error("stands beside {0}; a statement has one of the two")]
    Both(&'static str),
    /// Neither 2012-10-17 nor 2008-10-17.
    #[error("{0:?} is no policy version; write 2012-10-17")]
    Version(String),
    /// Neither Allow nor Deny.
    #[error("{0:?} is neither Allow nor Deny")]
    Effect(String),
    /// No `SERVICE:ACTION`.
    #[error("{0:?} is no action; write it as iot:Publish, iot:* or *")]
    Action(String),
    /// An operator that IAM does not have.
    #[error("{0:?} is no condition operator")]
    UnknownOperator(String),
    /// An operator that IAM has and this evaluator has not.
    #[error("the condition operator {0:?} is not supported: no key of an AWS IoT policy holds such a value")]
    UnsupportedOperator(String),
    /// A condition value that is neither true nor false.
    #[error("{0:?} is neither true nor false")]
    Bool(String),
    /// A condition value that is neither an IP address nor a CIDR block.
    #[error("{0:?} is neither an IP address nor a CIDR block such as 192.0.2.0/24")]
    Network(String),
    /// A condition value that is no ARN.
    #[error("{0:?} is no ARN: it needs six parts separated by colons")]
    Arn(String),
    /// A malformed variable.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl Problem {
    pub(crate) fn at(self, place: &Place) -> ParseError {
        ParseError { place: place.clone(), problem: self }
    }
}

impl Place {
    /// The same place, one field further in.
    pub(crate) fn field(&self, name: &str) -> Self {
        let mut field = self.field.clone();
        if !field.is_empty() {
            field.push('.');
        }
        field.push_str(name);
        Self { statement: self.statement, field }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.statement {
            Some(index) => write!(f, "statement {index}")?,
            None => f.write_str("policy")?,
        }
        match self.field.as_str() {
            "" => Ok(()),
            field => write!(f, ", {field}"),
        }
    }
}
