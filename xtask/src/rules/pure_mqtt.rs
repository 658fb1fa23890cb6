//! `mqtt` without its `io` feature does no I/O and reads no clock: outside `link` it names none of the
//! standard library's ways to the world, and nothing of tokio.
//!
//! The codec and the session use std's collections, so `no_std` cannot hold them; this rule does.

use crate::repo::{File, Repo};
use crate::rust_source::RustSource;
use crate::violation::Violation;

/// Modules of std through which a crate reaches the world or the clock.
const FORBIDDEN_MODULES: &[&str] = &["env", "fs", "io", "net", "process", "thread", "time"];

/// Names that are as bad wherever they were imported from.
const FORBIDDEN_NAMES: &[&str] = &["Instant", "SystemTime", "tokio"];

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    repo.rust_files().filter(|file| is_pure(&file.path)).flat_map(check_file).collect()
}

/// The crate's sources but the async link, which is the `io` feature.
fn is_pure(path: &str) -> bool {
    let Some(inside) = path.strip_prefix("crates/mqtt/src/") else {
        return false;
    };
    inside != "link.rs" && !inside.starts_with("link/")
}

fn check_file(file: &File) -> Vec<Violation> {
    let source = RustSource::scan(&file.text);
    let mut violations = Vec::new();
    let mut code = String::new();
    for (number, line) in source.code_lines() {
        for name in FORBIDDEN_NAMES.iter().filter(|name| identifiers(line).any(|found| found == **name)) {
            violations.push(violation(file, number, name));
        }
        code.push_str(line);
        code.push('\n');
    }
    for (at, module) in std_modules(&code) {
        let number = code.get(..at).unwrap_or_default().matches('\n').count() + 1;
        violations.push(violation(file, number, &format!("std::{module}")));
    }
    violations
}

fn violation(file: &File, line: usize, name: &str) -> Violation {
    let message =
        format!("names {name} outside `link`: the codec and the session do no I/O and read no clock");
    Violation::new(&*file.path, line, message)
}

fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Forbidden modules of std that `code` names, alone or in a braced import, with the offset of `std::`.
fn std_modules(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, root) in code.match_indices("std::") {
        let before = code.get(..at).and_then(|before| before.chars().next_back());
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = code.get(at + root.len()..).unwrap_or_default();
        let named = if rest.starts_with('{') { braced(rest) } else { identifiers(rest).take(1).collect() };
        found
            .extend(named.into_iter().filter(|name| FORBIDDEN_MODULES.contains(name)).map(|name| (at, name)));
    }
    found
}

/// First segments of the items of a braced import: `fmt` and `io` of `{fmt, io::{self, Read}}`.
fn braced(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let mut start = None;
    let mut items = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '{' | ',' | '}' => {
                items.extend(start.take().and_then(|start| text.get(start..at)));
                depth = match c {
                    '{' => depth + 1,
                    '}' => depth.saturating_sub(1),
                    _ => depth,
                };
                if depth == 0 {
                    break;
                }
                start = (depth == 1 && c != '}').then_some(at + 1);
            }
            _ => {}
        }
    }
    items.into_iter().filter_map(|item| identifiers(item).next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Repo::of(&[(path, text)])).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn io_and_clocks_in_the_codec_are_reported() {
        let text = "//! std::fs in prose\nuse std::io::Read;\nfn f() { std::thread::yield_now() }\n\
                    use core::time::Duration;\nuse bar::Instant;\nuse mystd::io;\n";
        assert_eq!(lines("crates/mqtt/src/packet.rs", text), [5, 2, 3]);
    }

    #[test]
    fn braced_imports_are_read_item_by_item() {
        assert_eq!(
            braced("{fmt, io::{self, Read}, collections::{net}, time};"),
            ["fmt", "io", "collections", "time"]
        );
        assert_eq!(lines("crates/mqtt/src/a.rs", "use std::{\n    fmt,\n    io,\n};"), [1]);
        assert!(lines("crates/mqtt/src/a.rs", "use std::{fmt, collections::{BTreeMap, env}};").is_empty());
    }

    #[test]
    fn the_link_and_tests_may_do_io() {
        assert!(lines("crates/mqtt/src/link.rs", "use std::io;").is_empty());
        assert!(lines("crates/mqtt/src/link/client.rs", "use tokio::net;").is_empty());
        assert!(
            lines("crates/mqtt/src/a.rs", "#[cfg(test)]\nmod tests {\n use std::time::Instant; }").is_empty()
        );
        assert!(lines("crates/agent/src/a.rs", "use std::io;").is_empty());
    }
}
