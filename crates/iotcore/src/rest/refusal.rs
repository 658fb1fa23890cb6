//! Why an operation, or the way to it, refuses: AWS's exception name, HTTP status and words.
//!
//! How a service writes it is [`super::protocol`]'s.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::account::AccountError;
use crate::registry::RegistryError;

/// What AWS's request validation begins with.
const VALIDATION: &str = "1 validation error detected: ";

/// A refusal, as the services' models have them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The exception's name.
    pub(crate) code: Cow<'static, str>,
    /// For people.
    pub(crate) message: String,
    /// Further members of the exception, for example `resourceArn`.
    pub(crate) fields: Map<String, Value>,
}

impl Refusal {
    /// A refusal with a status, the exception's name and a message.
    pub(crate) fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), fields: Map::new() }
    }

    /// `InvalidRequestException`, 400.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequestException", message)
    }

    /// A member that breaks its constraint, in the words of AWS's request validation; `None` is a member that is
    /// missing.
    pub(crate) fn constraint(value: Option<&str>, member: &str, constraint: &str) -> Self {
        let value = match value {
            // As AWS does, so that a megabyte sent is not a megabyte back.
            Some(text) => format!("'{}'", text.chars().take(256).collect::<String>()),
            None => "null".to_owned(),
        };
        Self::invalid(format!(
            "{VALIDATION}Value {value} at '{member}' failed to satisfy constraint: {constraint}"
        ))
    }

    /// The same of a member whose value may be a secret, and so is not repeated.
    pub(crate) fn secret_constraint(member: &str) -> Self {
        Self::invalid(format!(
            "{VALIDATION}Value at '{member}' failed to satisfy constraint: Member must have the type that the \
             service's model gives it"
        ))
    }

    /// Whether it is one of [`Refusal::constraint`].
    pub(super) fn is_constraint(&self) -> bool {
        self.message.starts_with(VALIDATION)
    }

    /// A failure of ours; the details go to the log only.
    pub(crate) fn internal() -> Self {
        Self::new(500, "InternalFailureException", "An unexpected error has occurred.")
    }

    /// The same with a further member.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// The same under another exception name: services name the same thing differently.
    pub(crate) fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = code.into();
        self
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        if error.status() >= 500 {
            tracing::error!(%error, "an operation failed");
            return Self::internal();
        }
        Self::new(error.status(), error.code(), error.to_string())
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        AccountError::from(error).into()
    }
}
