//! A Rust file has at most 500 lines, tests included: past that it holds two things.

use crate::repo::Repo;
use crate::violation::Violation;

/// Lines of a file, at most.
const LIMIT: usize = 500;

/// Files that may be longer, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    check_with(repo, EXCEPTIONS)
}

fn check_with(repo: &Repo, exceptions: &[(&str, &str)]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in repo.rust_files() {
        let lines = file.text.lines().count();
        let excepted = exceptions.iter().any(|(path, _)| *path == file.path);
        match (lines > LIMIT, excepted) {
            (true, false) => {
                let message = format!("{lines} lines, {LIMIT} at most: split it as `x.rs` + `x/`");
                violations.push(Violation::new(&*file.path, LIMIT + 1, message));
            }
            (false, true) => {
                violations.push(Violation::new(&*file.path, 1, "no longer too long: remove its exception"));
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_reported_unless_it_has_a_reason() {
        let (long, short) = ("x\n".repeat(LIMIT + 1), "x\n".repeat(LIMIT));
        let repo = Repo::of(&[("a.rs", &long), ("b.rs", &short), ("c.rs", &long), ("long.md", &long)]);
        let violations = check_with(&repo, &[("c.rs", "a table")]);
        assert_eq!(violations.iter().map(|v| v.path.as_str()).collect::<Vec<_>>(), ["a.rs"]);
    }

    #[test]
    fn an_exception_that_is_not_needed_is_reported() {
        let violations = check_with(&Repo::of(&[("a.rs", "short\n")]), &[("a.rs", "was long once")]);
        assert_eq!(violations.len(), 1);
    }
}
