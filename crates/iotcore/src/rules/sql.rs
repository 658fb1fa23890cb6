//! The SQL of topic rules, as much of it as fleets use: parsed once, evaluated for each message.
//!
//! Total on any input: statements are bounded in size and nesting, evaluation in the bytes that it makes.
//! Source: Developer Guide, iot-sql-reference and the pages below it.
//!
//! Not supported, and refused by name when a rule is made: SET, nested object queries, functions that call other
//! services, trigonometry and regular expressions.

use fleetkey_model::topic::TopicFilter;
use serde_json::{Map, Value as Json};

pub(crate) use eval::{Message, Scope, Sender};
pub(crate) use expr::Expr;
pub(crate) use functions::{from_base64, to_base64};

use eval::Value;

mod eval;
mod expr;
mod functions;
mod lexer;
mod parser;
mod value;

/// Bytes of a statement or of an expression in a template. Ours; AWS bounds the whole rule.
const MAX_SQL: usize = 64 * 1024;

/// Which edition of the language a rule is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum SqlVersion {
    /// `2015-10-08`, the one of a rule that names none.
    #[default]
    V2015,
    /// `2016-03-23`: literals, whole numbers are integers.
    V2016,
    /// `beta`, the newest.
    Beta,
}

impl SqlVersion {
    /// Reads `awsIotSqlVersion`; `None` for one that does not exist.
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("2015-10-08") => Some(Self::V2015),
            Some("2016-03-23") => Some(Self::V2016),
            Some("beta") => Some(Self::Beta),
            Some(_) => None,
        }
    }
}

/// Why a statement is refused: what was met and where, in bytes from the start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at position {at}")]
pub(crate) struct SqlError {
    pub(crate) what: String,
    pub(crate) at: usize,
}

impl SqlError {
    fn new(at: usize, what: impl Into<String>) -> Self {
        Self { what: what.into(), at }
    }
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) version: SqlVersion,
    /// `None` for a rule that only Basic Ingest reaches.
    pub(crate) from: Option<TopicFilter>,
    select: Select,
    condition: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
enum Select {
    /// `SELECT *`: the payload as it came, JSON or not.
    Everything,
    /// `SELECT VALUE expr`.
    Value(Expr),
    /// A list of fields, into one object.
    Fields(Vec<Field>),
}

#[derive(Debug, Clone, PartialEq)]
enum Field {
    /// `*` beside others: every member of the payload.
    All,
    /// An expression and the name, of one or more levels, that it gets.
    Named(Vec<String>, Expr),
}

/// What a statement makes of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Selected {
    /// Nothing: the condition is not true.
    Nothing,
    /// The payload itself.
    Payload,
    /// This payload instead.
    Made(Vec<u8>),
    /// More than a message may be.
    TooLarge,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    /// When it breaks the grammar, a bound, or uses what is not supported.
    pub(crate) fn parse(text: &str, version: SqlVersion) -> Result<Self, SqlError> {
        parser::statement(text, version)
    }

    /// Evaluates it. A condition that is Undefined is not true (Developer Guide, iot-sql-where).
    pub(crate) fn select(&self, message: &Message<'_>) -> Selected {
        let scope = Scope::new(message, self.version);
        let selected = match &self.condition {
            Some(condition) if scope.eval(condition) != Some(Json::Bool(true)) => Selected::Nothing,
            _ => self.project(&scope),
        };
        if scope.is_spent() { Selected::TooLarge } else { selected }
    }

    fn project(&self, scope: &Scope<'_>) -> Selected {
        match &self.select {
            Select::Everything => Selected::Payload,
            Select::Value(expr) => Selected::Made(serialise(scope.eval(expr))),
            Select::Fields(fields) => {
                let mut object = Map::new();
                for field in fields {
                    match field {
                        Field::All => object.extend(scope.members()),
                        Field::Named(name, expr) => put(&mut object, name, scope.eval(expr)),
                    }
                }
                Selected::Made(serialise(Some(Json::Object(object))))
            }
        }
    }
}

/// Reads one expression, as templates have them.
///
/// # Errors
/// As [`Statement::parse`].
pub(crate) fn expression(text: &str, version: SqlVersion) -> Result<Expr, SqlError> {
    parser::expression(text, version)
}

/// Puts a value at a name of one or more levels; Undefined leaves nothing (Developer Guide, iot-sql-data-types).
fn put(object: &mut Map<String, Json>, name: &[String], value: Value) {
    let (Some(value), Some((last, levels))) = (value, name.split_last()) else { return };
    let mut object = object;
    for level in levels {
        let inner = object.entry(level).or_insert_with(|| Json::Object(Map::new()));
        if !inner.is_object() {
            *inner = Json::Object(Map::new());
        }
        let Json::Object(inner) = inner else { return };
        object = inner;
    }
    object.insert(last.clone(), value);
}

/// Undefined by itself is the empty text (Developer Guide, iot-sql-data-types).
fn serialise(value: Value) -> Vec<u8> {
    value.map(|value| value.to_string().into_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
