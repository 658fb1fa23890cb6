//! `parse_time`: a moment in milliseconds, written after a pattern of Joda-Time.
//!
//! Only UTC, and the letters that patterns are made of in practice; others make the result Undefined.

use fleetkey_model::time::Timestamp;
use serde_json::Value as Json;

use crate::rules::sql::eval::Value;

/// Writes `millis` after `pattern`.
pub(super) fn parse_time(pattern: &str, millis: i128, zone: Option<&Json>) -> Value {
    let utc = zone.is_none_or(|zone| matches!(zone.as_str(), Some("UTC" | "GMT" | "Z" | "Etc/UTC")));
    let millis = u64::try_from(millis).ok().filter(|_| utc)?;
    // RFC 3339 in UTC: `2026-11-21T08:00:00.000Z`; later years have more digits and are refused.
    let moment = Timestamp::from_millis(millis).to_string();
    if moment.len() != 24 {
        return None;
    }
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        if letter == '\'' {
            rest = literal(rest, &mut out)?;
            continue;
        }
        let count = rest.chars().take_while(|c| *c == letter).count();
        rest = rest.get(count * letter.len_utf8()..)?;
        out.push_str(&field(&moment, letter, count)?);
    }
    Some(out.into())
}

/// What `count` times `letter` stands for.
fn field(moment: &str, letter: char, count: usize) -> Option<String> {
    let part = |from: usize, to: usize| moment.get(from..to)?.parse::<u32>().ok();
    let number = match letter {
        'y' | 'Y' if count == 2 => part(2, 4)?,
        'y' | 'Y' => part(0, 4)?,
        'M' if count <= 2 => part(5, 7)?,
        'd' => part(8, 10)?,
        'H' => part(11, 13)?,
        'h' => (part(11, 13)? + 11) % 12 + 1,
        'm' => part(14, 16)?,
        's' => part(17, 19)?,
        'S' => {
            let digits = moment.get(20..23)?.chars().chain(std::iter::repeat('0'));
            return Some(digits.take(count).collect());
        }
        'a' => return Some(if part(11, 13)? < 12 { "AM" } else { "PM" }.into()),
        'z' => return Some("UTC".into()),
        'Z' => return Some(if count == 1 { "+0000" } else { "+00:00" }.into()),
        letter if letter.is_ascii_alphabetic() => return None,
        other => return Some(std::iter::repeat_n(other, count).collect()),
    };
    let width = count.min(34);
    Some(format!("{number:0width$}"))
}

/// Text between single quotes; two of them are one, within and without.
fn literal<'a>(rest: &'a str, out: &mut String) -> Option<&'a str> {
    let mut rest = rest.get(1..)?;
    if let Some(after) = rest.strip_prefix('\'') {
        out.push('\'');
        return Some(after);
    }
    loop {
        let (text, after) = rest.split_once('\'')?;
        out.push_str(text);
        match after.strip_prefix('\'') {
            Some(more) => rest = more,
            None => return Some(after),
        }
        out.push('\'');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_after_its_pattern() {
        let at = 1_431_532_276_123;
        for (pattern, text) in [
            ("yyyy.MM.dd G", None),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", Some("2015-05-13T15:51:16.123+0000")),
            ("yy/M/d h:mm a 'o''clock' z", Some("15/5/13 3:51 PM o'clock UTC")),
            ("MMM", None),
            ("''yyyy", Some("'2015")),
            ("'open", None),
        ] {
            let written = parse_time(pattern, at, None);
            assert_eq!(written.as_ref().and_then(Json::as_str), text, "{pattern}");
        }
        assert_eq!(parse_time("HH", at, Some(&"Europe/Berlin".into())), None);
        assert_eq!(parse_time("HH", -1, None), None);
    }
}
