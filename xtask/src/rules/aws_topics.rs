//! Topics that AWS reserves are spelled in `crates/model` only; everyone else asks a type for them.
//!
//! Looks at what ships: tests may spell a topic out, because they check the spelling.

use crate::repo::Repo;
use crate::rust_source::RustSource;
use crate::violation::Violation;

/// What a reserved topic begins with, in two parts so that this file does not report itself.
const RESERVED: &str = concat!("$a", "ws/");

/// Files outside `model` that may spell one, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    check_with(repo, EXCEPTIONS)
}

fn check_with(repo: &Repo, exceptions: &[(&str, &str)]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in repo.rust_files().filter(|file| ships(&file.path)) {
        let found = spelled(&file.text);
        let excepted = exceptions.iter().any(|(path, _)| *path == file.path);
        if excepted && found.is_empty() {
            violations.push(Violation::new(&*file.path, 1, "spells no reserved topic: remove its exception"));
        } else if !excepted {
            let message = format!("spells {RESERVED}…: use model's ReservedTopic (or a constant beside it)");
            violations.extend(found.into_iter().map(|line| Violation::new(&*file.path, line, &*message)));
        }
    }
    violations
}

/// Sources of our crates but `model`, without integration tests and benchmarks.
fn ships(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("crates/") else {
        return false;
    };
    let Some((name, inside)) = rest.split_once('/') else {
        return false;
    };
    name != "model"
        && inside.starts_with("src/")
        && !inside.ends_with("/tests.rs")
        && !inside.contains("/tests/")
}

fn spelled(text: &str) -> Vec<usize> {
    let source = RustSource::scan(text);
    source.shipped_literals().filter(|(_, inside)| inside.contains(RESERVED)).map(|(line, _)| *line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(path: &str, line: &str) -> Repo {
        Repo::of(&[(path, &line.replace("TOPIC", &format!("{RESERVED}events")))])
    }

    #[test]
    fn a_reserved_topic_in_shipped_code_is_reported() {
        let violations = check(&repo("crates/iotcore/src/a.rs", "//! x\nconst T: &str = \"TOPIC\";"));
        assert_eq!(violations.iter().map(|v| v.line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn model_comments_and_tests_may_spell_it() {
        for (path, line) in [
            ("crates/model/src/topic.rs", "const T: &str = \"TOPIC\";"),
            ("crates/agent/src/a.rs", "/// Publishes to `TOPIC`."),
            ("crates/agent/src/a.rs", "#[cfg(test)]\nmod tests {\n const T: &str = \"TOPIC\"; }"),
            ("crates/agent/tests/a.rs", "const T: &str = \"TOPIC\";"),
            ("crates/agent/src/a/tests.rs", "const T: &str = \"TOPIC\";"),
        ] {
            assert!(check(&repo(path, line)).is_empty(), "{path}: {line}");
        }
    }

    #[test]
    fn an_exception_holds_only_while_it_is_needed() {
        let path = "crates/iotcore/src/a.rs";
        let exceptions = [(path, "for the test")];
        assert!(check_with(&repo(path, "const T: &str = \"TOPIC\";"), &exceptions).is_empty());
        assert_eq!(check_with(&repo(path, "const T: u8 = 1;"), &exceptions).len(), 1);
    }
}
