//! ARN patterns of `ArnEquals` and `ArnLike`: each of the six parts is matched for itself, so that a wildcard in one
//! part never reaches into the next (IAM User Guide, condition operators).

use alloc::vec::Vec;

use crate::context::Context;
use crate::pattern::{Pattern, PatternError, Syntax};

const PARTS: usize = 6;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArnPattern {
    parts: Vec<Pattern>,
}

impl ArnPattern {
    /// `Ok(None)` when `text` has fewer than six parts.
    pub(crate) fn parse(text: &str, variables: bool) -> Result<Option<Self>, PatternError> {
        let syntax = Syntax { wildcards: true, variables };
        let parts = split(text, variables).into_iter().map(|part| Pattern::parse(part, syntax));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        Ok((parts.len() == PARTS).then_some(Self { parts }))
    }

    pub(crate) fn matches(&self, arn: &str, context: &Context) -> bool {
        let parts: Vec<&str> = arn.splitn(PARTS, ':').collect();
        let pairs = || self.parts.iter().zip(&parts);
        parts.len() == PARTS && pairs().all(|(pattern, part)| pattern.matches(part, context))
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().flat_map(Pattern::variables)
    }
}

/// Splits at colons into at most six parts; the colons within `${…}` belong to the variable's name.
fn split(text: &str, variables: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while parts.len() + 1 < PARTS {
        let Some(at) = next_colon(rest, variables) else {
            break;
        };
        let (part, after) = rest.split_at(at);
        parts.push(part);
        rest = after.strip_prefix(':').unwrap_or(after);
    }
    parts.push(rest);
    parts
}

fn next_colon(text: &str, variables: bool) -> Option<usize> {
    let mut inside = false;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if variables && previous == '$' => inside = true,
            '}' => inside = false,
            ':' if !inside => return Some(at),
            _ => {}
        }
        previous = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, arn: &str) -> bool {
        let mut context = Context::new();
        context.set("iot:ClientId", "a:b");
        ArnPattern::parse(pattern, true).unwrap().unwrap().matches(arn, &context)
    }

    #[test]
    fn a_wildcard_stays_in_its_part() {
        assert!(matches("arn:aws:iot:*:1:topic/a/*", "arn:aws:iot:eu:1:topic/a/b:c"));
        assert!(!matches("arn:aws:*:1:1:x", "arn:aws:iot:eu:1:1:x"));
        assert!(!matches("arn:aws:iot:*:1:x", "no arn"));
    }

    #[test]
    fn a_variables_name_and_value_may_contain_colons() {
        assert!(matches("arn:aws:iot:eu:1:topic/${iot:ClientId}", "arn:aws:iot:eu:1:topic/a:b"));
    }

    #[test]
    fn fewer_parts_are_no_arn() {
        assert_eq!(ArnPattern::parse("arn:aws:iot:*", true), Ok(None));
    }
}
