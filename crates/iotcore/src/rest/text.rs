//! What requests write as text: percent-encoding, forms, and numbers or booleans that travel in a query string.
//!
//! The functions that take a `deserializer` are for `#[serde(deserialize_with = "text::…")]`; they take a member
//! from a JSON body and from a query string alike. Optional members need `#[serde(default)]` too.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use serde::de::{Deserialize, Deserializer, Error, Unexpected};
use serde_json::Value;

/// Decodes `%XX`; `None` if what comes out is no UTF-8, or a `%` has no two digits.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

/// Encodes all but RFC 3986's unreserved characters, as SigV4 does; `keep_slash` leaves `/` alone.
pub(crate) fn percent_encode(text: &str, keep_slash: bool) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let hex = |nibble: u8| HEX.get(usize::from(nibble & 15)).copied().unwrap_or('0');
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || (keep_slash && byte == b'/');
        if plain {
            out.push(char::from(byte));
        } else {
            out.extend(['%', hex(byte >> 4), hex(byte)]);
        }
    }
    out
}

/// The pairs of a query string, decoded, in order. `None` if one cannot be decoded.
pub(crate) fn query_pairs(query: &str) -> Option<Vec<(String, String)>> {
    pairs(query, percent_decode)
}

/// The pairs of a form (`application/x-www-form-urlencoded`), where `+` is a blank.
pub(crate) fn form_pairs(form: &str) -> Option<Vec<(String, String)>> {
    pairs(form, |text| percent_decode(&text.replace('+', " ")))
}

/// A number, written as one or as text.
pub(crate) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    let text = scalar(deserializer)?;
    text.parse().map_err(|error| D::Error::custom(format!("{text:?} is no number here: {error}")))
}

/// A number that may be absent.
pub(crate) fn optional_number<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    match optional_scalar(deserializer)? {
        None => Ok(None),
        Some(text) => {
            let wrong = |error| D::Error::custom(format!("{text:?} is no number here: {error}"));
            text.parse().map(Some).map_err(wrong)
        }
    }
}

/// A boolean, written as one or as text; absent is `false` with `#[serde(default)]`.
pub(crate) fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(optional_boolean(deserializer)?.unwrap_or(false))
}

/// A boolean that may be absent.
pub(crate) fn optional_boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match optional_scalar(deserializer)?.as_deref() {
        None => Ok(None),
        Some("true" | "True" | "TRUE") => Ok(Some(true)),
        Some("false" | "False" | "FALSE") => Ok(Some(false)),
        Some(other) => Err(D::Error::invalid_value(Unexpected::Str(other), &"true or false")),
    }
}

/// A list of text: a query string with one value has it as text, with several as a list.
pub(crate) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Vec::new()),
        Value::String(one) => Ok(vec![one]),
        several => serde_json::from_value(several).map_err(D::Error::custom),
    }
}

/// A blob that may be absent: base64 text in a JSON body.
pub(crate) fn optional_blob<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    Base64::decode_vec(&text).map(Some).map_err(|_| D::Error::custom("the value is no base64"))
}

fn pairs(text: &str, decode: impl Fn(&str) -> Option<String>) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, decode(value)?))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    optional_scalar(deserializer)?.ok_or_else(|| D::Error::custom("Member must not be null"))
}

fn optional_scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(text) => Some(text),
        Value::Array(_) => return Err(D::Error::invalid_type(Unexpected::Seq, &"one value")),
        Value::Object(_) => return Err(D::Error::invalid_type(Unexpected::Map, &"one value")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_and_decoding_are_each_others_inverse() {
        for text in ["", "a b", "ä/ö?=&+%", "\u{0}\u{10ffff}", "-._~"] {
            assert_eq!(percent_decode(&percent_encode(text, false)).as_deref(), Some(text));
        }
        assert_eq!(percent_encode("a/b c~", true), "a/b%20c~");
        assert_eq!(percent_encode("a/b", false), "a%2Fb");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for text in ["%", "%1", "%zz", "%ff", "%é1"] {
            assert_eq!(percent_decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_plus_is_a_blank_in_a_form_only() {
        assert_eq!(
            form_pairs("a=b+c&d"),
            Some(vec![("a".into(), "b c".into()), ("d".into(), String::new())])
        );
        assert_eq!(query_pairs("a=b+c"), Some(vec![("a".into(), "b+c".into())]));
    }
}
