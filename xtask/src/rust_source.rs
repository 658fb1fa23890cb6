//! A Rust source split into what is code, what is a string and what is a comment, line by line.
//!
//! A scanner, not a parser: it knows comments, string and character literals, and where the tests at the end
//! of a file begin. That is enough to ask "does this *code* name `std::fs`?" without being fooled by prose.

/// What a rule may look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RustSource {
    /// The text with comments and the insides of literals blanked; as many lines as the file.
    pub(crate) code: String,
    /// Every string literal: the line it starts on, counted from 1, and its inside as written.
    pub(crate) literals: Vec<(usize, String)>,
    /// The line of the first `#[cfg(test)]` before a `mod`; tests stand last.
    tests_from: Option<usize>,
}

impl RustSource {
    /// Splits `text`.
    pub(crate) fn scan(text: &str) -> Self {
        let mut scanner = Scanner { rest: text, line: 1, source: Self::default() };
        while scanner.step() {}
        let mut source = scanner.source;
        source.tests_from = tests_from(&source.code);
        source
    }

    /// The lines of code before the tests, numbered from 1.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.tests_from.unwrap_or(usize::MAX);
        self.code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .take_while(move |(n, _)| *n < end)
    }

    /// The string literals before the tests.
    pub(crate) fn shipped_literals(&self) -> impl Iterator<Item = &(usize, String)> {
        let end = self.tests_from.unwrap_or(usize::MAX);
        self.literals.iter().filter(move |(line, _)| *line < end)
    }
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    source: RustSource,
}

impl Scanner<'_> {
    /// Takes one comment, literal or character; `false` at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else {
            return false;
        };
        if self.rest.starts_with("//") {
            self.blank(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.blank(block_comment(self.rest));
        } else if let Some((open, close)) = string_literal(self.rest) {
            self.literal(open, close);
        } else if first == '\'' {
            self.blank(character_literal(self.rest).unwrap_or(1));
        } else {
            self.keep(word(self.rest).unwrap_or_else(|| first.len_utf8()));
        }
        true
    }

    /// The literal whose inside begins at `open` and ends before `close`; delimiters end where `rest` says.
    fn literal(&mut self, open: usize, close: usize) {
        let inside = self.rest.get(open..close).unwrap_or_default().to_owned();
        self.source.literals.push((self.line, inside));
        // The closing delimiter is a quote and, for a raw string, as many hashes as before the opening one.
        let hashes = self.rest.get(..open).unwrap_or_default().matches('#').count();
        self.blank((close + 1 + hashes).min(self.rest.len()));
    }

    fn blank(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.source.code.extend(taken.chars().map(|c| if c == '\n' { c } else { ' ' }));
        self.line += taken.matches('\n').count();
        self.rest = rest;
    }

    fn keep(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.source.code.push_str(taken);
        self.line += taken.matches('\n').count();
        self.rest = rest;
    }
}

/// Length of the identifier at the start, so that the `r` of `for"` is never read as a raw string's.
fn word(text: &str) -> Option<usize> {
    let length = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (length > 0).then_some(length)
}

/// Length of the comment at the start; comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Where the inside of the string literal at the start begins and ends; `None` when there is none.
fn string_literal(text: &str) -> Option<(usize, usize)> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            let after_hashes = rest.trim_start_matches('#');
            after_hashes.starts_with('"') && (prefix.ends_with('r') || after_hashes.len() == rest.len())
        })
    })?;
    let raw = prefix.ends_with('r');
    let hashes = text.get(prefix.len()..)?.chars().take_while(|c| *c == '#').count();
    let open = prefix.len() + hashes + 1;
    let inside = text.get(open..)?;
    let length = if raw {
        inside.find(&format!("\"{}", "#".repeat(hashes))).unwrap_or(inside.len())
    } else {
        unescaped_quote(inside)
    };
    Some((open, open + length))
}

fn unescaped_quote(inside: &str) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            '"' if !escaped => return at,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    inside.len()
}

/// Length of the character literal at the start; `None` for a lifetime.
fn character_literal(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    match chars.next()?.1 {
        '\\' => {
            let rest = text.get(3..)?;
            Some(3 + rest.find('\'')? + 1)
        }
        _ => chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1),
    }
}

/// The line of the `#[cfg(test)]` that a `mod` follows, other attributes between them allowed.
fn tests_from(code: &str) -> Option<usize> {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    lines.iter().enumerate().find_map(|(index, line)| {
        let after = lines.iter().skip(index + 1).find(|next| !next.is_empty() && !next.starts_with("#["));
        let is_module = after.is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        (line.starts_with("#[cfg(test)]") && is_module).then_some(index + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(text: &str) -> Vec<String> {
        RustSource::scan(text).literals.into_iter().map(|(_, inside)| inside).collect()
    }

    #[test]
    fn comments_are_no_code_and_keep_the_line_count() {
        let source = RustSource::scan("a // std::fs\n/* x /* y */\n \"s\" */ b\n");
        assert!(source.literals.is_empty());
        assert_eq!(source.code.lines().map(str::trim).collect::<Vec<_>>(), ["a", "", "b"]);
    }

    #[test]
    fn every_kind_of_string_is_found_with_its_line() {
        let text = "let a = \"x\\\"y\";\nlet b = r#\"raw \" end\"#;\nlet c = b\"bytes\"; let d = r\"\\\";";
        assert_eq!(literals(text), ["x\\\"y", "raw \" end", "bytes", "\\"]);
        assert_eq!(RustSource::scan(text).literals.last().map(|(line, _)| *line), Some(3));
    }

    #[test]
    fn quotes_as_characters_and_lifetimes_open_no_string() {
        assert_eq!(literals("let q = '\"'; let e = '\\''; fn f<'a>(x: &'a str) { g(\"real\") }"), ["real"]);
        assert_eq!(literals("let r = bar\"\";"), [""]);
    }

    #[test]
    fn an_unfinished_literal_or_comment_ends_with_the_file() {
        assert_eq!(literals("\"open"), ["open"]);
        assert_eq!(RustSource::scan("/* open").code.trim(), "");
    }

    #[test]
    fn tests_at_the_end_are_told_apart() {
        let text = "fn a() {}\n#[cfg(test)]\nimpl A {}\nfn b() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n \"t\" }\n";
        let source = RustSource::scan(text);
        assert_eq!(source.code_lines().count(), 4);
        assert_eq!(source.shipped_literals().count(), 0);
    }
}
