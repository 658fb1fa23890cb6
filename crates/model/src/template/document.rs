//! A policy document in a template: a JSON string, or an inline object in which functions may stand.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::error::{ResolveError, TemplateError};
use super::expression::{Expression, Scope, Values, call};

/// A policy document, once its parameters are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DocumentTemplate {
    /// `"{\"Version\": …}"`, or a function that yields it.
    Text(Expression),
    /// `{"Version": …}`
    Inline(Node),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Function(Expression),
    Scalar(Value),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl DocumentTemplate {
    pub(super) fn parse(value: &Value, path: &str, scope: Scope<'_>) -> Result<Self, TemplateError> {
        if value.is_object() && call(value).is_none() {
            return Ok(Self::Inline(Node::parse(value, path, scope)?));
        }
        Ok(Self::Text(Expression::parse(value, path, scope)?))
    }

    /// The document as text.
    pub(super) fn resolve(&self, values: &Values<'_>) -> Result<String, ResolveError> {
        match self {
            Self::Text(text) => text.resolve(values),
            Self::Inline(node) => Ok(node.resolve(values)?.to_string()),
        }
    }
}

impl Node {
    /// Recursion is bounded by serde_json's own limit of 128 levels.
    fn parse(value: &Value, path: &str, scope: Scope<'_>) -> Result<Self, TemplateError> {
        if call(value).is_some() {
            return Ok(Self::Function(Expression::parse(value, path, scope)?));
        }
        match value {
            Value::Array(items) => {
                let nodes = items.iter().map(|item| Self::parse(item, path, scope));
                Ok(Self::Array(nodes.collect::<Result<_, _>>()?))
            }
            Value::Object(members) => {
                let nodes =
                    members.iter().map(|(key, value)| Ok((key.clone(), Self::parse(value, path, scope)?)));
                Ok(Self::Object(nodes.collect::<Result<_, _>>()?))
            }
            scalar => Ok(Self::Scalar(scalar.clone())),
        }
    }

    fn resolve(&self, values: &Values<'_>) -> Result<Value, ResolveError> {
        match self {
            Self::Function(function) => Ok(Value::String(function.resolve(values)?)),
            Self::Scalar(scalar) => Ok(scalar.clone()),
            Self::Array(nodes) => {
                let items = nodes.iter().map(|node| node.resolve(values));
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Self::Object(nodes) => {
                let members: Result<Map<_, _>, ResolveError> =
                    nodes.iter().map(|(key, node)| Ok((key.clone(), node.resolve(values)?))).collect();
                Ok(Value::Object(members?))
            }
        }
    }
}
