//! No file names a path of somebody's machine: what is written here must be true everywhere.
//!
//! Catches the absolute homes and work folders that slip in with pasted output, not every absolute path.

use crate::repo::Repo;
use crate::violation::Violation;

/// Beginnings of such paths, written in two parts so that this file does not report itself.
const FORBIDDEN: &[&str] = &[concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/tmp/", "brief")];

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in &repo.files {
        for (index, line) in file.text.lines().enumerate() {
            for path in FORBIDDEN.iter().filter(|path| names(line, path)) {
                let message =
                    format!("names {path}…, a path of one machine: write a relative or generic one");
                violations.push(Violation::new(&*file.path, index + 1, message));
            }
        }
    }
    violations
}

/// Whether `line` has `path` where an absolute path may begin: `ca/root/x` is no such place.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|c| !(c.is_alphanumeric() || "_-.)}$*~".contains(c)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_machine_is_reported_with_its_line() {
        let text = format!("fine\nsee {}x\n", FORBIDDEN[0]);
        let violations = check(&Repo::of(&[("notes.md", &text)]));
        assert_eq!(violations.iter().map(|v| v.line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_folder_inside_a_relative_path_is_not_reported() {
        let text = format!("ca{}cert.pem and $D{}x", FORBIDDEN[0], FORBIDDEN[1]);
        assert!(check(&Repo::of(&[("a.md", &text)])).is_empty());
    }
}
