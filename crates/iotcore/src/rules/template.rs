//! Substitution templates: `${expression}` in a field of an action.
//!
//! Source: Developer Guide, iot-substitution-templates. An expression that is Undefined makes the action fail
//! (INFERRED: AWS does not say).

use super::sql::{Expr, Scope, SqlError, SqlVersion, expression};

/// A text with expressions in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    /// The expression and its source.
    Expr(Expr, String),
}

impl Template {
    /// Reads a template.
    pub(super) fn parse(text: &str, version: SqlVersion) -> Result<Self, SqlError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let at = text.len() - after.len();
            let length =
                closing(after).ok_or_else(|| SqlError { what: "\"${\" without \"}\"".into(), at })?;
            let (source, after) = after.split_at_checked(length).unwrap_or((after, ""));
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Expr(expression(source, version)?, source.trim().to_owned()));
            rest = after.strip_prefix('}').unwrap_or(after);
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Ok(Self { parts })
    }

    /// The text for one message.
    ///
    /// # Errors
    /// The source of the expression that is Undefined.
    pub(super) fn render(&self, scope: &Scope<'_>) -> Result<String, String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expr(expr, source) => {
                    let text = scope.text(expr).ok_or_else(|| format!("${{{source}}} is undefined"))?;
                    out.push_str(&text);
                }
            }
        }
        Ok(out)
    }

    /// The text, if there is no expression in it.
    pub(super) fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text before the first expression.
    pub(super) fn beginning(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }
}

/// Where the `}` stands that ends an expression: not one of a literal object, nor one in quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut open = 0usize;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(own), other) if own == other => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '{') => open += 1,
            (None, '}') if open == 0 => return Some(at),
            (None, '}') => open -= 1,
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_end_at_their_own_brace() {
        let parse = |text: &str| Template::parse(text, SqlVersion::V2016);
        assert_eq!(parse("a/${topic(2)}/b").unwrap().parts.len(), 3);
        assert_eq!(parse("${get({'a}': 1}, '}')}x").unwrap().parts.len(), 2);
        assert_eq!(parse("plain}").unwrap().constant(), Some("plain}"));
        assert_eq!(parse("a/${b}").unwrap().beginning(), "a/");
        for bad in ["${", "${}", "${a", "${a b}", "x${'}", "${regexp_matches(a, 'b')}"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
