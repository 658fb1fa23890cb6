//! Values of the language and their conversions. Undefined is `None`; everything else is JSON.
//!
//! Source: Developer Guide, iot-sql-data-types and iot-sql-operators.

use std::cmp::Ordering;

use serde_json::Value as Json;

/// A number: whole ones are kept exactly up to 38 digits, others with double precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Int.
    Whole(i128),
    /// Decimal.
    Decimal(f64),
}

impl Number {
    /// The number that a JSON value is, or that its text says ("To Decimal").
    pub(super) fn of(value: &Json) -> Option<Self> {
        match value {
            Json::Number(number) => Some(Self::of_json(number)),
            Json::String(text) => Self::parse(text),
            _ => None,
        }
    }

    fn of_json(number: &serde_json::Number) -> Self {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.map_or_else(|| Self::Decimal(number.as_f64().unwrap_or_default()), Self::Whole)
    }

    /// Text that matches `^-?\d+(\.\d+)?((?i)E-?\d+)?$`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (text, None),
        };
        let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (unsigned, None),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let well_formed = digits(whole)
            && fraction.is_none_or(digits)
            && exponent.is_none_or(|exponent| digits(exponent.strip_prefix('-').unwrap_or(exponent)));
        if !well_formed {
            return None;
        }
        if let (None, None, Ok(whole)) = (fraction, exponent, mantissa.parse()) {
            return Some(Self::Whole(whole));
        }
        text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Decimal)
    }

    pub(super) fn as_f64(self) -> f64 {
        match self {
            #[allow(clippy::cast_precision_loss, reason = "a Decimal is what is asked for")]
            Self::Whole(whole) => whole as f64,
            Self::Decimal(decimal) => decimal,
        }
    }

    /// Rounded to the nearest whole number ("To Int").
    pub(super) fn as_whole(self) -> Option<i128> {
        match self {
            Self::Whole(whole) => Some(whole),
            Self::Decimal(decimal) => whole(decimal.round()),
        }
    }

    /// As JSON; nothing that is not finite exists there.
    pub(super) fn json(self) -> Option<Json> {
        let Self::Whole(whole) = self else {
            return serde_json::Number::from_f64(self.as_f64()).map(Json::Number);
        };
        match (i64::try_from(whole), u64::try_from(whole)) {
            (Ok(small), _) => Some(small.into()),
            (_, Ok(large)) => Some(large.into()),
            _ => serde_json::Number::from_f64(self.as_f64()).map(Json::Number),
        }
    }

    /// A Decimal that is whole, as a whole number: what 2016-03-23 makes of `10.0`.
    pub(super) fn normal(self) -> Self {
        match self {
            Self::Decimal(decimal) if decimal.fract() == 0.0 => whole(decimal).map_or(self, Self::Whole),
            other => other,
        }
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => Some(one.cmp(&other)),
            _ => self.as_f64().partial_cmp(&other.as_f64()),
        }
    }
}

/// A float without a fraction as an integer, if it is small enough to be exact.
fn whole(decimal: f64) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "within 2^53 nothing is lost")]
    (decimal.abs() <= EXACT).then_some(decimal as i128)
}

/// The text of a value ("To String").
pub(super) fn text(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The truth of a value ("To Boolean"): a Boolean, or the text of one.
pub(super) fn truth(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(truth) => Some(*truth),
        Json::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Json::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Whether two values are equal; values of different types are not.
pub(super) fn equal(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => {
            Number::of_json(one).compare(Number::of_json(other)) == Some(Ordering::Equal)
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| equal(one, other)))
        }
        (one, other) => one == other,
    }
}

/// Bytes that a value occupies, near enough to bound memory by.
pub(super) fn weight(value: &Json) -> usize {
    const OVERHEAD: usize = 32;
    OVERHEAD
        + match value {
            Json::Null | Json::Bool(_) | Json::Number(_) => 0,
            Json::String(text) => text.len(),
            Json::Array(items) => items.iter().map(weight).sum(),
            Json::Object(members) => members.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        }
}

/// A copy with every whole Decimal as an Int.
pub(super) fn normalised(value: &Json) -> Json {
    match value {
        Json::Number(number) => Number::of_json(number).normal().json().unwrap_or(Json::Null),
        Json::Array(items) => items.iter().map(normalised).collect(),
        Json::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.clone(), normalised(value)));
            Json::Object(members.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_a_number_only_in_the_documented_form() {
        for (text, number) in [
            ("0", Some(Number::Whole(0))),
            ("-1.2", Some(Number::Decimal(-1.2))),
            ("5E-12", Some(Number::Decimal(5e-12))),
            ("1e3", Some(Number::Decimal(1000.0))),
            ("1e400", None),
            ("+1", None),
            (".5", None),
            ("1.", None),
            ("1e", None),
            (" 1", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(Number::parse(text), number, "{text}");
        }
    }

    #[test]
    fn numbers_are_equal_by_value_and_types_never_mix() {
        assert!(equal(&json!({"a": [1, 2.0]}), &json!({"a": [1.0, 2]})));
        assert!(!equal(&json!("1"), &json!(1)));
        assert!(!equal(&json!(null), &json!(false)));
    }
}
