//! Every Rust file opens with `//!`: what it is, and what it deliberately is not.
//!
//! Does not judge the sentence; a reviewer does.

use crate::repo::Repo;
use crate::violation::Violation;

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    repo.rust_files()
        .filter(|file| !opens_with_a_sentence(&file.text))
        .map(|file| Violation::new(&*file.path, 1, "open the file with `//!`: what it is and what it is not"))
        .collect()
}

fn opens_with_a_sentence(text: &str) -> bool {
    let first = text.lines().next().and_then(|line| line.strip_prefix("//!"));
    first.is_some_and(|sentence| !sentence.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_module_comment_is_reported() {
        let repo = Repo::of(&[
            ("a.rs", "//! A thing.\n"),
            ("b.rs", "use x;\n//! Too late.\n"),
            ("c.rs", "//!\n"),
            ("d.rs", ""),
            ("readme.md", "no rust"),
        ]);
        let paths: Vec<_> = check(&repo).into_iter().map(|violation| violation.path).collect();
        assert_eq!(paths, ["b.rs", "c.rs", "d.rs"]);
    }
}
