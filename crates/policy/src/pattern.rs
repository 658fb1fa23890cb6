//! Patterns of policy resources and condition values: `*`, `?` and `${variables}`.
//!
//! `*` is any run of characters, `/` included; `?` is exactly one; `+` and `#` mean themselves (Developer Guide,
//! pub-sub-policy). The pattern is read first and variables are filled in after, so that a value is always literal:
//! a `*` in a client id is no wildcard.

use alloc::string::String;
use alloc::vec::Vec;

use crate::context::{Context, fold};

/// What is special in a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Syntax {
    /// `*` and `?`.
    pub(crate) wildcards: bool,
    /// `${…}`; only policies of version 2012-10-17 have variables.
    pub(crate) variables: bool,
}

impl Syntax {
    pub(crate) const WILDCARDS: Self = Self { wildcards: true, variables: false };
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `${` without `}`.
    #[error("\"${{\" is not closed by \"}}\"; a literal $ is written ${{$}}")]
    Unclosed,
    /// `${}`.
    #[error("\"${{}}\" names no variable")]
    Unnamed,
    /// `${name, 'default'}`, which IAM knows and AWS IoT does not document.
    #[error("a variable with a default value is not supported")]
    Default,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(String),
    One,
    Any,
    Variable { written: String, folded: String },
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
}

impl Pattern {
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self, PatternError> {
        let mut pattern = Self { tokens: Vec::new() };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if syntax.variables && rest.starts_with("${") {
                rest = pattern.push_variable(rest)?;
                continue;
            }
            match first {
                '*' if syntax.wildcards => pattern.push_any(),
                '?' if syntax.wildcards => pattern.tokens.push(Token::One),
                literal => pattern.push_literal(literal),
            }
            rest = rest.strip_prefix(first).unwrap_or_default();
        }
        Ok(pattern)
    }

    /// Whether the whole of `text` matches, with variables taken from `context`; an unknown variable matches nothing.
    ///
    /// Only the last `*` is ever reconsidered, so the work is at most the product of the two lengths.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> bool {
        let mut position = 0;
        let mut rest = text;
        let mut retry: Option<(usize, &str)> = None;
        loop {
            let advanced = match self.tokens.get(position) {
                Some(Token::Any) if position + 1 == self.tokens.len() => return true,
                Some(Token::Any) => {
                    retry = Some((position + 1, rest));
                    Some(rest)
                }
                Some(token) => token.strip(rest, context),
                None if rest.is_empty() => return true,
                None => None,
            };
            if let Some(shorter) = advanced {
                rest = shorter;
                position += 1;
                continue;
            }
            let Some((after_star, longer)) = retry.and_then(|(at, from)| Some((at, without_first(from)?)))
            else {
                return false;
            };
            retry = Some((after_star, longer));
            position = after_star;
            rest = longer;
        }
    }

    /// The text that a pattern without wildcards stands for; `None` when a variable is unknown.
    pub(crate) fn expand(&self, context: &Context) -> Option<String> {
        let mut text = String::new();
        for token in &self.tokens {
            text.push_str(match token {
                Token::Literal(literal) => literal,
                Token::One => "?",
                Token::Any => "*",
                Token::Variable { folded, .. } => context.variable(folded)?,
            });
        }
        Some(text)
    }

    /// The variables: as written, and folded for look-up.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Variable { written, folded } => Some((written.as_str(), folded.as_str())),
            Token::Literal(_) | Token::One | Token::Any => None,
        })
    }

    /// Reads the `${…}` that `text` begins with; the rest of the text is returned.
    fn push_variable<'a>(&mut self, text: &'a str) -> Result<&'a str, PatternError> {
        let inside = text.strip_prefix("${").ok_or(PatternError::Unclosed)?;
        let (name, rest) = inside.split_once('}').ok_or(PatternError::Unclosed)?;
        match name {
            "*" | "?" | "$" => name.chars().for_each(|c| self.push_literal(c)),
            "" => return Err(PatternError::Unnamed),
            _ if name.contains(',') => return Err(PatternError::Default),
            _ => self.tokens.push(Token::Variable { written: name.into(), folded: fold(name) }),
        }
        Ok(rest)
    }

    fn push_any(&mut self) {
        if self.tokens.last() != Some(&Token::Any) {
            self.tokens.push(Token::Any);
        }
    }

    fn push_literal(&mut self, c: char) {
        if let Some(Token::Literal(text)) = self.tokens.last_mut() {
            text.push(c);
        } else {
            self.tokens.push(Token::Literal(c.into()));
        }
    }
}

impl Token {
    /// What is left of `text` after this token; `None` when it does not match there.
    fn strip<'a>(&self, text: &'a str, context: &Context) -> Option<&'a str> {
        match self {
            Self::Literal(literal) => text.strip_prefix(literal.as_str()),
            Self::One => without_first(text),
            Self::Any => Some(text),
            Self::Variable { folded, .. } => text.strip_prefix(context.variable(folded)?),
        }
    }
}

fn without_first(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next()?;
    Some(chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Syntax = Syntax { wildcards: true, variables: true };

    fn matches(pattern: &str, text: &str) -> bool {
        let mut context = Context::new();
        context.set("iot:ClientId", "a*b");
        Pattern::parse(pattern, FULL).unwrap().matches(text, &context)
    }

    #[test]
    fn wildcards_cross_slashes_and_mqtt_wildcards_are_literal() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("building/*", "building/#", true),
            ("building/*", "building", false),
            ("a*c", "a/b/c", true),
            ("a?c", "a/c", true),
            ("a?c", "ac", false),
            ("?", "é", true),
            ("+", "a", false),
            ("a/#", "a/b", false),
            ("*a*b", "xaxxab", true),
            ("*ab*", "aab", true),
            ("a*bc", "abcbc", true),
            ("*?", "", false),
            ("?*?", "é", false),
            ("A", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} ~ {text}");
        }
    }

    #[test]
    fn a_variables_value_is_literal() {
        assert!(matches("x/${iot:ClientId}/*", "x/a*b/y"));
        assert!(!matches("x/${iot:ClientId}/*", "x/a-b/y"));
        assert!(!matches("${iot:Unknown}", "") && !matches("*${iot:Unknown}*", "abc"));
    }

    #[test]
    fn escapes_stand_for_the_character() {
        assert!(matches("${*}${?}${$}{", "*?${") && !matches("${*}", "a"));
        assert!(matches("$a$", "$a$"));
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        let error = |text| Pattern::parse(text, FULL).unwrap_err();
        assert_eq!(error("a${b"), PatternError::Unclosed);
        assert_eq!(error("${}"), PatternError::Unnamed);
        assert_eq!(error("${a, 'x'}"), PatternError::Default);
        assert!(Pattern::parse("a${b", Syntax::WILDCARDS).is_ok());
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "*a".repeat(400);
        assert!(!matches(&pattern, &"a".repeat(399)));
        assert!(!matches(&alloc::format!("{pattern}b"), &"a".repeat(4000)));
    }
}
