//! Strings and lists of a template that may contain functions: `Ref`, `Fn::Join`, `Fn::Select`, `Fn::Split`,
//! `Fn::Sub`, `Fn::FindInMap`.
//!
//! Source: Developer Guide, provision-template, intrinsic functions.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;

use super::error::{Problem, ResolveError, TemplateError};

/// `Mappings`: map, first key, second key, value.
pub(super) type Mappings = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

/// How deeply functions may nest: enough for any template of 10 KB that a person wrote.
const MAX_NESTING: usize = 32;

/// A string, once its parameters are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Literal(String),
    Ref(String),
    Join(Box<Self>, List),
    Select(Box<Self>, List),
    Sub(Vec<Piece>),
    FindInMap(Box<[Self; 3]>),
}

/// A list of strings, once its parameters are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum List {
    Items(Vec<Expression>),
    Split(Box<Expression>, Box<Expression>),
}

/// A piece of the text of `Fn::Sub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Variable(Expression),
}

/// What parsing needs to know of its surroundings.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// Whether a parameter is declared.
    declared: &'a dyn Fn(&str) -> bool,
    join_allowed: bool,
    depth: usize,
}

impl<'a> Scope<'a> {
    pub(super) fn new(declared: &'a dyn Fn(&str) -> bool) -> Self {
        Self { declared, join_allowed: true, depth: 0 }
    }

    /// `Fn::Join` is "not supported for Policy resources".
    pub(super) fn without_join(self) -> Self {
        Self { join_allowed: false, ..self }
    }

    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

pub(super) fn at(path: &str, problem: Problem) -> TemplateError {
    TemplateError::At { path: path.to_string(), problem }
}

/// The function that `value` calls, and its arguments: an object of one key that is `Ref` or begins with `Fn::`.
pub(super) fn call(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object()?;
    let (name, arguments) = object.iter().next()?;
    let is_call = object.len() == 1 && (name == "Ref" || name.starts_with("Fn::"));
    is_call.then_some((name.as_str(), arguments))
}

impl Expression {
    /// Reads a string or a function that yields one.
    pub(super) fn parse(value: &Value, path: &str, scope: Scope<'_>) -> Result<Self, TemplateError> {
        if let Some(text) = value.as_str() {
            return Ok(Self::Literal(text.to_string()));
        }
        let Some((function, arguments)) = call(value) else {
            return Err(at(path, Problem::Expected("a string or a function")));
        };
        if scope.depth >= MAX_NESTING {
            return Err(at(path, Problem::Expected("functions nested less deeply")));
        }
        let path = format!("{path}.{function}");
        Self::parse_call(function, arguments, &path, scope.deeper())
    }

    fn parse_call(
        function: &str,
        arguments: &Value,
        path: &str,
        scope: Scope<'_>,
    ) -> Result<Self, TemplateError> {
        match function {
            "Ref" => {
                let name = arguments
                    .as_str()
                    .ok_or_else(|| at(path, Problem::Expected("the name of a parameter")))?;
                reference(name, path, scope)
            }
            "Fn::Join" if scope.join_allowed => {
                let [delimiter, list] = exactly(arguments, path, "[delimiter, list]")?;
                let delimiter = Self::parse(delimiter, path, scope)?;
                Ok(Self::Join(delimiter.into(), List::parse(list, path, scope)?))
            }
            "Fn::Select" => {
                let [index, list] = exactly(arguments, path, "[index, list]")?;
                let index = match index {
                    Value::Number(number) => Self::Literal(number.to_string()),
                    other => Self::parse(other, path, scope)?,
                };
                Ok(Self::Select(index.into(), List::parse(list, path, scope)?))
            }
            "Fn::Sub" => Ok(Self::Sub(parse_sub(arguments, path, scope)?)),
            "Fn::FindInMap" => {
                let [map, first, second] = exactly(arguments, path, "[map, key, key]")?;
                let parse = |value| Self::parse(value, path, scope);
                Ok(Self::FindInMap(Box::new([parse(map)?, parse(first)?, parse(second)?])))
            }
            other => Err(at(path, Problem::Function(other.to_string()))),
        }
    }

    /// The string that this stands for.
    pub(super) fn resolve(&self, values: &Values<'_>) -> Result<String, ResolveError> {
        match self {
            Self::Literal(text) => Ok(text.clone()),
            Self::Ref(name) => values.parameter(name),
            Self::Join(delimiter, list) => {
                let delimiter = delimiter.resolve(values)?;
                Ok(list.resolve(values)?.join(&delimiter))
            }
            Self::Select(index, list) => {
                let index = index.resolve(values)?;
                let items = list.resolve(values)?;
                let chosen = index.parse::<usize>().ok().and_then(|index| items.get(index));
                chosen.cloned().ok_or_else(|| ResolveError::Select { index: index.clone(), len: items.len() })
            }
            Self::Sub(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => Ok(text.clone()),
                    Piece::Variable(variable) => variable.resolve(values),
                })
                .collect(),
            Self::FindInMap(keys) => {
                let [map, first, second] = keys.as_ref();
                values.mapping(&map.resolve(values)?, &first.resolve(values)?, &second.resolve(values)?)
            }
        }
    }
}

impl List {
    /// Reads an array, or `Fn::Split`.
    pub(super) fn parse(value: &Value, path: &str, scope: Scope<'_>) -> Result<Self, TemplateError> {
        if let Some(items) = value.as_array() {
            let items = items.iter().map(|item| Expression::parse(item, path, scope));
            return Ok(Self::Items(items.collect::<Result<_, _>>()?));
        }
        match call(value) {
            Some(("Fn::Split", arguments)) => {
                let path = format!("{path}.Fn::Split");
                let [delimiter, text] = exactly(arguments, &path, "[delimiter, string]")?;
                let delimiter = Expression::parse(delimiter, &path, scope.deeper())?;
                let text = Expression::parse(text, &path, scope.deeper())?;
                Ok(Self::Split(delimiter.into(), text.into()))
            }
            Some((other, _)) => Err(at(path, Problem::Function(other.to_string()))),
            None => Err(at(path, Problem::Expected("a list or Fn::Split"))),
        }
    }

    /// The strings that this stands for.
    pub(super) fn resolve(&self, values: &Values<'_>) -> Result<Vec<String>, ResolveError> {
        match self {
            Self::Items(items) => items.iter().map(|item| item.resolve(values)).collect(),
            Self::Split(delimiter, text) => {
                let (delimiter, text) = (delimiter.resolve(values)?, text.resolve(values)?);
                if delimiter.is_empty() {
                    return Ok(alloc::vec![text]);
                }
                Ok(text.split(delimiter.as_str()).map(ToString::to_string).collect())
            }
        }
    }
}

/// What stands behind parameters and mappings.
pub(super) struct Values<'a> {
    pub(super) parameters: BTreeMap<&'a str, &'a str>,
    pub(super) mappings: &'a Mappings,
}

impl Values<'_> {
    fn parameter(&self, name: &str) -> Result<String, ResolveError> {
        let value = self.parameters.get(name);
        value.map(ToString::to_string).ok_or_else(|| ResolveError::MissingParameter(name.to_string()))
    }

    fn mapping(&self, map: &str, first: &str, second: &str) -> Result<String, ResolveError> {
        let found = self.mappings.get(map).and_then(|map| map.get(first)?.get(second));
        found.cloned().ok_or_else(|| ResolveError::NoMapping(format!("{map}.{first}.{second}")))
    }
}

fn reference(name: &str, path: &str, scope: Scope<'_>) -> Result<Expression, TemplateError> {
    if (scope.declared)(name) {
        return Ok(Expression::Ref(name.to_string()));
    }
    Err(at(path, Problem::Undeclared(name.to_string())))
}

/// The arguments of a function that takes `N`.
fn exactly<'a, const N: usize>(
    arguments: &'a Value,
    path: &str,
    shape: &'static str,
) -> Result<&'a [Value; N], TemplateError> {
    arguments
        .as_array()
        .and_then(|list| list.as_slice().try_into().ok())
        .ok_or_else(|| at(path, Problem::Expected(shape)))
}

/// `"text ${Name}"`, or `["text ${Name}", {"Name": expression}]`; `${!Name}` stands for `${Name}` itself.
fn parse_sub(arguments: &Value, path: &str, scope: Scope<'_>) -> Result<Vec<Piece>, TemplateError> {
    let shape = "a string, or [string, {variables}]";
    let (text, variables) = match arguments {
        Value::String(text) => (text, None),
        list => {
            let [text, variables] = exactly(list, path, shape)?;
            match (text, variables) {
                (Value::String(text), Value::Object(variables)) => (text, Some(variables)),
                _ => return Err(at(path, Problem::Expected(shape))),
            }
        }
    };
    let mut pieces = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) =
            after.split_once('}').ok_or_else(|| at(path, Problem::Expected("'}' after \"${\"")))?;
        pieces.push(Piece::Text(before.to_string()));
        pieces.push(match (name.strip_prefix('!'), variables.and_then(|map| map.get(name))) {
            (Some(literal), _) => Piece::Text(format!("${{{literal}}}")),
            (None, Some(value)) => Piece::Variable(Expression::parse(value, path, scope)?),
            (None, None) => Piece::Variable(reference(name, path, scope)?),
        });
        rest = tail;
    }
    pieces.push(Piece::Text(rest.to_string()));
    Ok(pieces)
}
