//! Two texts line by line: what is new, what is gone. Signs and words say it; colour only repeats them.

use maud::{Markup, html};

use super::words::counted;

/// The most lines of either side that are compared; AWS's policies have 2048 characters.
const LINES: usize = 2000;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Same,
    New,
    Gone,
}

/// The difference, drawn.
pub(super) fn diff(old: &str, new: &str) -> Markup {
    let (old, new) = (lines(old), lines(new));
    let all = compare(&old, &new);
    let count = |wanted| all.iter().filter(|(fate, _)| *fate == wanted).count();
    let (added, gone) = (count(Fate::New), count(Fate::Gone));
    html! {
        p { (counted(added, "line")) " new, " (counted(gone, "line")) " gone." }
        pre class="diff" tabindex="0" aria-label="Difference" {
            @for (fate, line) in &all {
                @match fate {
                    Fate::Same => { "  " (line) "\n" }
                    Fate::New => { ins { "+ " (line) } "\n" }
                    Fate::Gone => { del { "− " (line) } "\n" }
                }
            }
        }
    }
}

/// A JSON text with its members in one order and one a line, so that only what differs differs; any other as it is.
fn lines(text: &str) -> Vec<String> {
    one_a_line(text).as_deref().unwrap_or(text).lines().take(LINES).map(str::to_owned).collect()
}

/// A JSON text with its members in one order and one a line; `None` for any other.
pub(super) fn one_a_line(text: &str) -> Option<String> {
    let value = serde_json::from_str::<serde_json::Value>(text).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

/// By the longest common subsequence; what is gone comes before what is new.
fn compare<'a>(old: &'a [String], new: &'a [String]) -> Vec<(Fate, &'a str)> {
    let common = table(old, new);
    let at = |i: usize, j: usize| common.get(i * (new.len() + 1) + j).copied().unwrap_or(0);
    let (mut i, mut j, mut all) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (None, None) => return all,
            (Some(one), Some(other)) if one == other => {
                all.push((Fate::Same, one.as_str()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(one), other) if other.is_none() || at(i + 1, j) >= at(i, j + 1) => {
                all.push((Fate::Gone, one.as_str()));
                i += 1;
            }
            (_, Some(other)) => {
                all.push((Fate::New, other.as_str()));
                j += 1;
            }
            (Some(_), None) => return all,
        }
    }
}

/// At `i * (new + 1) + j`: how many lines the rests from `i` and `j` have in common.
fn table(old: &[String], new: &[String]) -> Vec<u32> {
    let width = new.len() + 1;
    let mut common = vec![0u32; (old.len() + 1) * width];
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            let read = |index: usize| common.get(index).copied().unwrap_or(0);
            let value = if one == other {
                read((i + 1) * width + j + 1) + 1
            } else {
                read((i + 1) * width + j).max(read(i * width + j + 1))
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = value;
            }
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(old: &str, new: &str) -> String {
        let (old, new) = (lines(old), lines(new));
        let sign = |(fate, line): &(Fate, &str)| match fate {
            Fate::Same => format!(" {line}"),
            Fate::New => format!("+{line}"),
            Fate::Gone => format!("-{line}"),
        };
        compare(&old, &new).iter().map(sign).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn only_what_differs_differs() {
        assert_eq!(signs("a\nb\nc", "a\nx\nc\nd"), " a|-b|+x| c|+d");
        assert_eq!(signs("", "a"), "+a");
        assert_eq!(signs("a\nb", ""), "-a|-b");
        assert_eq!(signs("same", "same"), " same");
    }

    #[test]
    fn the_order_of_members_and_their_spacing_are_no_difference() {
        let (one, other) = (r#"{"a":1,"b":[1, 2]}"#, "{ \"b\": [1,2],\n\"a\": 1 }");
        assert!(!signs(one, other).contains(['+', '-']));
        assert!(signs(one, r#"{"a":2,"b":[1,2]}"#).contains("-  \"a\": 1"));
    }
}
