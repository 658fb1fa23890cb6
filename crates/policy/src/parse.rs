//! From JSON to a policy document.
//!
//! Strict where an author would be misled: unknown fields, unknown operators and keys given twice are errors.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::action::ActionPattern;
use crate::document::{Effect, MAX_CHARACTERS, PolicyDocument, Selection, Statement};
use crate::error::{ParseError, Place, Problem};
use crate::json::Node;
use crate::pattern::{Pattern, Syntax};
use fields::Fields;

mod condition;
mod fields;

/// Reads a whole policy.
pub(crate) fn document(text: &str) -> Result<PolicyDocument, ParseError> {
    let place = Place::default();
    let characters = text.chars().filter(|c| !c.is_whitespace()).count();
    if characters > MAX_CHARACTERS {
        return Err(Problem::TooLong(characters).at(&place));
    }
    let node: Node =
        serde_json::from_str(text).map_err(|error| Problem::Json(error.to_string()).at(&place))?;
    let mut fields = Fields::of(node, place.clone())?;
    let variables = has_variables(&fields.required_string("Version")?, &place.field("Version"))?;
    let _id = fields.string("Id")?;
    let statements = match fields.required("Statement")? {
        Node::List(list) => list,
        one => alloc::vec![one],
    };
    fields.finish("Version, Id and Statement")?;
    if statements.is_empty() {
        return Err(Problem::Empty.at(&place.field("Statement")));
    }
    let parsed = statements.into_iter().enumerate().map(|(index, node)| statement(node, index, variables));
    Ok(PolicyDocument { statements: parsed.collect::<Result<_, _>>()? })
}

fn has_variables(version: &str, place: &Place) -> Result<bool, ParseError> {
    match version {
        "2012-10-17" => Ok(true),
        "2008-10-17" => Ok(false),
        other => Err(Problem::Version(other.into()).at(place)),
    }
}

fn statement(node: Node, index: usize, variables: bool) -> Result<Statement, ParseError> {
    let place = Place { statement: Some(index), field: String::new() };
    let mut fields = Fields::of(node, place.clone())?;
    for principal in ["Principal", "NotPrincipal"] {
        if fields.take(principal).is_some() {
            return Err(Problem::Principal.at(&place.field(principal)));
        }
    }
    let sid = fields.string("Sid")?;
    let effect = effect(&fields.required_string("Effect")?, &place)?;
    let actions = selection(&mut fields, "Action", "NotAction", |text| {
        ActionPattern::parse(text).ok_or_else(|| Problem::Action(text.into()))
    })?;
    let resources = selection(&mut fields, "Resource", "NotResource", |text| match text {
        "" => Err(Problem::Empty),
        text => Ok(Pattern::parse(text, Syntax { wildcards: true, variables })?),
    })?;
    let conditions = match fields.take("Condition") {
        Some(node) => condition::block(node, &place.field("Condition"), variables)?,
        None => Vec::new(),
    };
    fields.finish("Sid, Effect, Action, NotAction, Resource, NotResource and Condition")?;
    Ok(Statement { sid, effect, actions, resources, conditions })
}

fn effect(text: &str, place: &Place) -> Result<Effect, ParseError> {
    match text {
        "Allow" => Ok(Effect::Allow),
        "Deny" => Ok(Effect::Deny),
        other => Err(Problem::Effect(other.into()).at(&place.field("Effect"))),
    }
}

/// Reads the one of two opposite fields that is there.
fn selection<P>(
    fields: &mut Fields,
    plain: &'static str,
    opposite: &'static str,
    parse: impl Fn(&str) -> Result<P, Problem>,
) -> Result<Selection<P>, ParseError> {
    let (name, negated, node) = match (fields.take(plain), fields.take(opposite)) {
        (Some(_), Some(_)) => return Err(Problem::Both(plain).at(&fields.place(opposite))),
        (Some(node), None) => (plain, false, node),
        (None, Some(node)) => (opposite, true, node),
        (None, None) => return Err(Problem::Missing.at(&fields.place(plain))),
    };
    let place = fields.place(name);
    let texts = fields::strings(node, &place)?;
    let patterns = texts.iter().map(|text| parse(text).map_err(|problem| problem.at(&place)));
    Ok(Selection { negated, patterns: patterns.collect::<Result<_, _>>()? })
}
