//! The shape of an expression. Nesting is bounded by the parser, so that walking one needs a bounded stack;
//! a run of operators of one precedence is a list, however long.

use serde_json::Value as Json;

use super::functions::{Function, Type};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    /// A literal.
    Literal(Json),
    /// The keyword `undefined`.
    Undefined,
    /// `*` as an argument: the payload as it came.
    Payload,
    /// A member of the payload.
    Path(Vec<Step>),
    /// A member of another value.
    Member(Box<Self>, Vec<Step>),
    /// `NOT x`.
    Not(Box<Self>),
    /// `-x`.
    Negate(Box<Self>),
    /// Operators of one precedence, from left to right.
    Chain(Box<Self>, Vec<(Operator, Self)>),
    /// `CASE v WHEN … THEN … ELSE … END`.
    Case {
        /// What is compared.
        subject: Box<Self>,
        /// With what, and what then.
        arms: Vec<(Self, Self)>,
        /// What otherwise; Undefined if absent.
        otherwise: Option<Box<Self>>,
    },
    /// `[a, b]`.
    Array(Vec<Self>),
    /// `{'a': b}`.
    Object(Vec<(String, Self)>),
    /// `cast(x AS Type)`.
    Cast(Box<Self>, Type),
    /// A function with as many arguments as it takes.
    Call(Function, Vec<Self>),
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// `.name`
    Key(String),
    /// `[n]`
    Index(usize),
}

/// An operator between two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}
