//! From text to tokens.

use super::SqlError;
use super::value::Number;

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A keyword, the name of a function, or a member of the payload.
    Word(String),
    /// A number without a sign.
    Number(Number),
    /// Quoted text, single or double.
    Text(String),
    /// An operator or a bracket.
    Symbol(&'static str),
}

/// Longer ones first.
const SYMBOLS: [&str; 23] = [
    "<>", "<=", ">=", "!=", "<", ">", "=", "+", "-", "*", "/", "%", "(", ")", "[", "]", "{", "}", ",", ".",
    ":", "@", "$",
];

/// Splits a whole statement.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SqlError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        let Some(first) = trimmed.chars().next() else { return Ok(tokens) };
        let (kind, length) = token(trimmed, first, at)?;
        tokens.push(Token { kind, start: at, end: at + length });
        at += length;
    }
}

fn token(rest: &str, first: char, at: usize) -> Result<(Kind, usize), SqlError> {
    match first {
        '\'' | '"' => quoted(rest, first, at),
        '0'..='9' => number(rest, at),
        'a'..='z' | 'A'..='Z' | '_' => {
            let length = run(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            let word = rest.get(..length).unwrap_or_default();
            Ok((Kind::Word(word.to_owned()), length))
        }
        _ => {
            let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
            let symbol =
                symbol.ok_or_else(|| SqlError::new(at, format!("Unexpected character {first:?}")))?;
            Ok((Kind::Symbol(symbol), symbol.len()))
        }
    }
}

/// Bytes of the characters in front that are `wanted`.
fn run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

/// A quote is written twice to stand in the text.
fn quoted(rest: &str, quote: char, at: usize) -> Result<(Kind, usize), SqlError> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((index, character)) = characters.next() {
        if character != quote {
            text.push(character);
        } else if characters.peek().is_some_and(|(_, next)| *next == quote) {
            characters.next();
            text.push(quote);
        } else {
            return Ok((Kind::Text(text), index + 1));
        }
    }
    Err(SqlError::new(at, "Text without its closing quote"))
}

fn number(rest: &str, at: usize) -> Result<(Kind, usize), SqlError> {
    let digits = |from: usize| run(rest.get(from..).unwrap_or_default(), |c| c.is_ascii_digit());
    let mut length = digits(0);
    let next = |at: usize| rest.as_bytes().get(at).copied();
    if next(length) == Some(b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if matches!(next(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(next(length + 1), Some(b'-' | b'+')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    let text = rest.get(..length).unwrap_or_default().replace('+', "");
    let number = Number::parse(&text).ok_or_else(|| SqlError::new(at, format!("Bad number {text}")))?;
    Ok((Kind::Number(number), length))
}
