//! The `Condition` block: `{ OPERATOR: { KEY: VALUES } }`.

use alloc::string::String;
use alloc::vec::Vec;

use super::fields::{Fields, values};
use crate::condition::{ArnPattern, Condition, Network, Quantifier, Test};
use crate::context::fold;
use crate::error::{ParseError, Place, Problem};
use crate::json::Node;
use crate::pattern::{Pattern, Syntax};

/// Reads the whole block; its conditions must all hold.
pub(super) fn block(node: Node, place: &Place, variables: bool) -> Result<Vec<Condition>, ParseError> {
    let mut conditions = Vec::new();
    for (written, keys) in Fields::of(node, place.clone())?.into_entries() {
        let place = place.field(&written);
        let operator = Operator::parse(&written).map_err(|problem| problem.at(&place))?;
        for (key, node) in Fields::of(keys, place.clone())?.into_entries() {
            let place = place.field(&key);
            let texts = values(node, &place)?;
            let test = operator.test(&texts, variables).map_err(|problem| problem.at(&place))?;
            conditions.push(Condition {
                quantifier: operator.quantifier,
                if_exists: operator.if_exists,
                key: fold(&key),
                test,
            });
        }
    }
    Ok(conditions)
}

/// An operator taken apart: `ForAllValues:StringNotLikeIfExists`.
struct Operator {
    quantifier: Option<Quantifier>,
    if_exists: bool,
    base: Base,
}

#[derive(Clone, Copy, PartialEq)]
enum Base {
    String { negated: bool, like: bool },
    StringIgnoreCase { negated: bool },
    Arn { negated: bool },
    Ip { negated: bool },
    Bool,
    Null,
}

impl Operator {
    fn parse(written: &str) -> Result<Self, Problem> {
        let (quantifier, rest) = match written.split_once(':') {
            None => (None, written),
            Some(("ForAllValues", rest)) => (Some(Quantifier::All), rest),
            Some(("ForAnyValue", rest)) => (Some(Quantifier::Any), rest),
            Some(_) => return Err(Problem::UnknownOperator(written.into())),
        };
        let (name, if_exists) = match rest.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let base = base(name).ok_or_else(|| unknown(written, name))?;
        if base == Base::Null && (if_exists || quantifier.is_some()) {
            return Err(Problem::UnknownOperator(written.into()));
        }
        Ok(Self { quantifier, if_exists, base })
    }

    fn test(&self, texts: &[String], variables: bool) -> Result<Test, Problem> {
        match self.base {
            Base::String { negated, like } => {
                Ok(Test::Text { negated, patterns: patterns(texts, Syntax { wildcards: like, variables })? })
            }
            Base::StringIgnoreCase { negated } => {
                let syntax = Syntax { wildcards: false, variables };
                Ok(Test::TextIgnoreCase { negated, patterns: patterns(texts, syntax)? })
            }
            Base::Arn { negated } => {
                Ok(Test::Arn { negated, patterns: each(texts, |text| arn(text, variables))? })
            }
            Base::Ip { negated } => Ok(Test::Ip { negated, networks: each(texts, network)? }),
            Base::Bool => Ok(Test::Bool(each(texts, boolean)?)),
            Base::Null => Ok(Test::Null(each(texts, boolean)?)),
        }
    }
}

fn base(name: &str) -> Option<Base> {
    Some(match name {
        "StringEquals" => Base::String { negated: false, like: false },
        "StringNotEquals" => Base::String { negated: true, like: false },
        "StringLike" => Base::String { negated: false, like: true },
        "StringNotLike" => Base::String { negated: true, like: true },
        "StringEqualsIgnoreCase" => Base::StringIgnoreCase { negated: false },
        "StringNotEqualsIgnoreCase" => Base::StringIgnoreCase { negated: true },
        // IAM: ArnEquals and ArnLike behave identically.
        "ArnEquals" | "ArnLike" => Base::Arn { negated: false },
        "ArnNotEquals" | "ArnNotLike" => Base::Arn { negated: true },
        "IpAddress" => Base::Ip { negated: false },
        "NotIpAddress" => Base::Ip { negated: true },
        "Bool" => Base::Bool,
        "Null" => Base::Null,
        _ => return None,
    })
}

/// The error for an operator that [`base`] does not know: real but unsupported, or no operator at all.
fn unknown(written: &str, name: &str) -> Problem {
    let compared = ["Numeric", "Date"].iter().find_map(|family| name.strip_prefix(family));
    let real = matches!(
        compared,
        Some("Equals" | "NotEquals" | "LessThan" | "LessThanEquals" | "GreaterThan" | "GreaterThanEquals")
    );
    if real || name == "BinaryEquals" {
        Problem::UnsupportedOperator(written.into())
    } else {
        Problem::UnknownOperator(written.into())
    }
}

fn each<T>(texts: &[String], parse: impl Fn(&str) -> Result<T, Problem>) -> Result<Vec<T>, Problem> {
    texts.iter().map(|text| parse(text)).collect()
}

fn patterns(texts: &[String], syntax: Syntax) -> Result<Vec<Pattern>, Problem> {
    each(texts, |text| Ok(Pattern::parse(text, syntax)?))
}

fn arn(text: &str, variables: bool) -> Result<ArnPattern, Problem> {
    ArnPattern::parse(text, variables)?.ok_or_else(|| Problem::Arn(text.into()))
}

fn network(text: &str) -> Result<Network, Problem> {
    Network::parse(text).ok_or_else(|| Problem::Network(text.into()))
}

fn boolean(text: &str) -> Result<bool, Problem> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Ok(true),
        _ if text.eq_ignore_ascii_case("false") => Ok(false),
        other => Err(Problem::Bool(other.into())),
    }
}
