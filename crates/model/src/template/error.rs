//! What can be wrong with a template: with its body ([`TemplateError`]) or with what fills it ([`ResolveError`]).

use alloc::string::String;
use core::fmt;

use crate::name::NameError;

/// Why a body is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Longer than [`super::MAX_BODY`].
    #[error("the template has {0} characters, at most {max} are allowed", max = super::MAX_BODY)]
    TooLong(usize),
    /// No JSON.
    #[error("the template is not JSON: {0}")]
    Json(String),
    /// JSON, but not what must stand there.
    #[error("{path}: {problem}")]
    At {
        /// Where, for example `Resources.thing.Properties.ThingName`.
        path: String,
        /// What.
        problem: Problem,
    },
}

/// What is wrong at one place of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Something required is absent.
    Missing,
    /// Another JSON type than this is there.
    Expected(&'static str),
    /// The value is none of those allowed.
    NotOneOf(&'static str),
    /// The key means nothing here.
    UnknownKey(&'static str),
    /// A function that is not known, or not allowed here.
    Function(String),
    /// A parameter that is not declared under `Parameters`.
    Undeclared(String),
    /// There must be exactly one resource of this type.
    ExactlyOne(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("required, and missing"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::NotOneOf(allowed) => write!(f, "must be one of {allowed}"),
            Self::UnknownKey(allowed) => write!(f, "unknown or unsupported; allowed here are {allowed}"),
            Self::Function(name) => write!(f, "the function {name} is unknown or not allowed here"),
            Self::Undeclared(name) => write!(f, "the parameter {name} is not declared under Parameters"),
            Self::ExactlyOne(kind) => write!(f, "a template has exactly one {kind}"),
        }
    }
}

/// Why a template cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A declared parameter has no value and no default.
    #[error("the parameter {0} has no value and no default")]
    MissingParameter(String),
    /// `Fn::Select` points outside its list.
    #[error("Fn::Select: {index:?} is no index into a list of {len}")]
    Select {
        /// The index as it was resolved.
        index: String,
        /// How long the list is.
        len: usize,
    },
    /// `Fn::FindInMap` found nothing.
    #[error("Fn::FindInMap: there is no {0}")]
    NoMapping(String),
    /// A name does not keep the rules of its kind.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A certificate can only become ACTIVE or INACTIVE.
    #[error("the certificate status must be ACTIVE or INACTIVE, not {0:?}")]
    Status(String),
}

impl ResolveError {
    /// Whether the parameters are at fault, as opposed to the template.
    pub const fn is_parameter(&self) -> bool {
        matches!(self, Self::MissingParameter(_) | Self::Name(_))
    }
}
