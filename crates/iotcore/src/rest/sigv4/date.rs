//! `20261121T080000Z`: ISO 8601's basic form, the only one that a signature is made over.

use fleetkey_model::time::Timestamp;

/// The moment that the text names; `None` if it is none.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes.get(8) != Some(&b'T') || bytes.get(15) != Some(&b'Z') {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let possible = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    let moment =
        || Timestamp::from_secs(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second);
    // The 31st of April is written differently by whoever writes it back.
    possible.then(moment).filter(|&moment| second == 60 || basic(moment) == text)
}

/// The moment as it is signed.
pub(super) fn basic(moment: Timestamp) -> String {
    let text = moment.to_string();
    let seconds = text.split('.').next().unwrap_or(&text);
    let mut basic: String = seconds.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    basic.push('Z');
    basic
}

/// Days from the epoch to a date of the Gregorian calendar; years are counted from March, so that the leap day is
/// the last of its year.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_the_inverse_of_writing() {
        for secs in [0, 951_782_400, 1_795_000_000, 4_102_444_799] {
            let moment = Timestamp::from_secs(secs);
            assert_eq!(parse(&basic(moment)), Some(moment));
        }
        assert_eq!(basic(Timestamp::from_secs(951_782_400)), "20000229T000000Z");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "20261121",
            "20261121T080000",
            "2026112âT08000Z",
            "20260431T000000Z",
            "20261321T000000Z",
            "2026-11-21T08:0Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
