//! Numbers, spans and moments in words.

use std::fmt::{self, Write};
use std::time::Duration;

use fleetkey_model::time::Timestamp;
use maud::{Markup, html};

/// A span in one or two units: `850 ms`, `12 s`, `3 min 20 s`, `5 h`, `40 d`.
pub(super) fn span(span: Duration) -> String {
    let (secs, millis) = (span.as_secs(), span.as_millis());
    match secs {
        0 => format!("{millis} ms"),
        1..60 => format!("{secs} s"),
        60..3600 => two(secs, 60, "min", 1, "s"),
        3600..86_400 => two(secs, 3600, "h", 60, "min"),
        _ => two(secs, 86_400, "d", 3600, "h"),
    }
}

/// How long ago, or how soon, with the moment itself for who wants it exactly.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let words = if at <= now {
        format!("{} ago", span(now.since(at)))
    } else {
        format!("in {}", span(at.since(now)))
    };
    html! { time datetime=(at) title=(at) { (words) } }
}

/// A moment as a date.
pub(super) fn date(at: Timestamp) -> Markup {
    let text = at.to_string();
    html! { time datetime=(text) title=(text) { (text.get(..10).unwrap_or(&text)) } }
}

/// A moment as the time of day, UTC.
pub(super) fn clock(at: Timestamp) -> Markup {
    let text = at.to_string();
    html! { time datetime=(text) title=(text) { (text.get(11..23).unwrap_or(&text)) } }
}

/// A number in groups of three; a dash for one that nobody knows.
pub(super) fn number(value: Option<u64>) -> String {
    let Some(value) = value else {
        return "–".to_owned();
    };
    let digits = value.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// The most characters of a stranger's text that are shown where it stands among others, and where it stands alone.
pub(super) const BRIEF: usize = 120;
pub(super) const WHOLE: usize = 1000;

/// What a stranger has written, with nothing hidden: what is not seen, or turns the direction of writing, is told by its number
/// (Unicode Technical Report 36, 2.5 and 3.2). What is longer than `most` characters is cut, and said to be.
pub(super) fn foreign(text: &str, most: usize) -> String {
    let mut told: String = text.chars().take(most).map(Seen).map(|seen| seen.to_string()).collect();
    let rest = text.chars().count().saturating_sub(most);
    if rest > 0 {
        told.push_str(&format!(" … and {} more", counted(rest, "character")));
    }
    told
}

/// A character as it can be seen.
struct Seen(char);

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            hidden if is_hidden(hidden) => write!(f, "[U+{:04X}]", u32::from(hidden)),
            seen => f.write_char(seen),
        }
    }
}

/// Controls, and what Unicode calls format characters: joiners, marks of direction, tags.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `1 device`, `2 devices`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", number(u64::try_from(count).ok()))
}

fn two(secs: u64, large: u64, large_name: &str, small: u64, small_name: &str) -> String {
    let (whole, rest) = (secs / large, secs % large / small);
    // From ten on the smaller unit says nothing any more.
    if whole >= 10 || rest == 0 {
        format!("{whole} {large_name}")
    } else {
        format!("{whole} {large_name} {rest} {small_name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_units_that_matter() {
        for (secs, words) in
            [(12, "12 s"), (200, "3 min 20 s"), (660, "11 min"), (7200, "2 h"), (90_000, "1 d 1 h")]
        {
            assert_eq!(span(Duration::from_secs(secs)), words);
        }
        assert_eq!(span(Duration::from_millis(850)), "850 ms");
    }

    #[test]
    fn the_past_is_ago_and_the_future_is_in() {
        let now = Timestamp::from_secs(1000);
        assert!(moment(Timestamp::from_secs(990), now).into_string().contains("10 s ago"));
        assert!(moment(Timestamp::from_secs(1300), now).into_string().contains("in 5 min"));
    }

    #[test]
    fn numbers_are_grouped_and_the_unknown_is_a_dash() {
        assert_eq!(number(Some(1_234_567)), "1\u{202f}234\u{202f}567");
        assert_eq!((number(Some(12)), number(None)), ("12".to_owned(), "–".to_owned()));
        assert_eq!(counted(1, "device"), "1 device");
    }
}
