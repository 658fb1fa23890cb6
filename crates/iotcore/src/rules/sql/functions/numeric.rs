//! Functions on numbers.

use super::Function;
use crate::rules::sql::eval::Value;
use crate::rules::sql::value::Number;

pub(super) fn of_one(function: Function, number: Number) -> Value {
    let decimal = number.as_f64();
    let result = match (function, number) {
        (Function::Abs, Number::Whole(whole)) => Number::Whole(whole.checked_abs()?),
        (Function::Abs, Number::Decimal(decimal)) => Number::Decimal(decimal.abs()),
        (Function::Sqrt, _) => Number::Decimal(decimal.sqrt()),
        (Function::Sign, Number::Whole(whole)) => Number::Whole(whole.signum()),
        (Function::Sign, Number::Decimal(0.0)) => Number::Whole(0),
        (Function::Sign, Number::Decimal(decimal)) => Number::Decimal(decimal.signum()).normal(),
        (Function::Ceil | Function::Floor | Function::Round, Number::Whole(_)) => number,
        (Function::Ceil, _) => Number::Decimal(decimal.ceil()).normal(),
        (Function::Floor, _) => Number::Decimal(decimal.floor()).normal(),
        (Function::Round, _) => Number::Decimal(decimal.round()).normal(),
        _ => return None,
    };
    result.json()
}

pub(super) fn of_two(function: Function, one: Number, other: Number) -> Value {
    let result = match function {
        Function::Power => one.as_f64().powf(other.as_f64()),
        Function::Trunc => return trunc(one, other),
        Function::Mod | Function::Remainder => match (one, other) {
            (Number::Whole(one), Number::Whole(other)) => {
                return Number::Whole(one.checked_rem(other)?).json();
            }
            _ => one.as_f64() % other.as_f64(),
        },
        _ => return None,
    };
    Number::Decimal(result).normal().json()
}

/// Cuts a number to so many places after the point.
fn trunc(number: Number, places: Number) -> Value {
    let places = i32::try_from(places.as_whole()?).ok().filter(|places| (0..=34).contains(places))?;
    let scale = 10f64.powi(places);
    match number {
        Number::Whole(_) => number.json(),
        Number::Decimal(decimal) => Number::Decimal((decimal * scale).trunc() / scale).normal().json(),
    }
}
