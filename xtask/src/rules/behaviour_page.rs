//! What `docs/local-iot-core.md` says of behaviour is what tests say: each item under "How it behaves" is the doc
//! comment of a test, and each doc comment of those tests is an item.
//!
//! Does not judge whether a test tests what it says; a reviewer does. The table of operations on the same page is held
//! to the program by tests, because only the program knows its routes.

use crate::repo::{File, Repo};
use crate::violation::Violation;

const PAGE: &str = "docs/local-iot-core.md";
/// The section, and where it ends.
const SECTION: &str = "## How it behaves";
const NEXT: &str = "## ";
/// Tests of the REST side; all files of the first folder, and of the second those that are about REST.
const FOLDER: &str = "crates/iotcore/tests/rest/";
const FURTHER: [&str; 3] = [
    "crates/iotcore/tests/broker/data.rs",
    "crates/iotcore/tests/broker/https.rs",
    "crates/iotcore/tests/broker/registry_events.rs",
];

/// A sentence and the line it begins on, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    line: usize,
    text: String,
}

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    let Some(page) = repo.files.iter().find(|file| file.path == PAGE) else { return Vec::new() };
    let told = items(&page.text);
    let tests: Vec<(&File, Said)> = repo
        .rust_files()
        .filter(|file| file.path.starts_with(FOLDER) || FURTHER.contains(&file.path.as_str()))
        .flat_map(|file| comments(&file.text).into_iter().map(move |said| (file, said)))
        .collect();
    let untold = tests.iter().filter(|(_, said)| !told.iter().any(|item| item.text == said.text));
    let untested = told.iter().filter(|item| !tests.iter().any(|(_, said)| item.text == said.text));
    let untold = untold.map(|(file, said)| {
        Violation::new(&*file.path, said.line, format!("add to \"{SECTION}\" of {PAGE}: - {}", said.text))
    });
    let untested = untested
        .map(|item| Violation::new(PAGE, item.line, "no test of the REST side has this as its doc comment"));
    untold.chain(untested).collect()
}

/// The items of the section's lists. Other text of the section is headings and links.
fn items(page: &str) -> Vec<Said> {
    let lines = page.lines().enumerate().skip_while(|(_, line)| *line != SECTION).skip(1);
    let mut items: Vec<Said> = Vec::new();
    for (index, line) in lines.take_while(|(_, line)| !line.starts_with(NEXT)) {
        if let Some(text) = line.strip_prefix("- ") {
            items.push(Said { line: index + 1, text: text.trim().to_owned() });
        } else if let (Some(text), Some(item)) = (line.strip_prefix("  "), items.last_mut()) {
            item.text = format!("{} {}", item.text, text.trim());
        }
    }
    items
}

/// The doc comments of a file's test functions, each as one line.
fn comments(text: &str) -> Vec<Said> {
    let mut found = Vec::new();
    let mut comment: Option<Said> = None;
    let mut test = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(said) = line.strip_prefix("///") {
            let said = said.trim();
            match &mut comment {
                Some(comment) => comment.text = format!("{} {said}", comment.text),
                None => comment = Some(Said { line: index + 1, text: said.to_owned() }),
            }
        } else if line.starts_with("#[") {
            test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else {
            found.extend(comment.take().filter(|_| test));
            test = false;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = "//! Things.\n\n/// A thing is made,\n/// and kept.\n#[tokio::test]\nasync fn a() {}\n\n/// A helper.\nfn b() {}\n";

    fn violations(page: &str) -> Vec<(String, usize)> {
        let repo = Repo::of(&[("crates/iotcore/tests/rest/things.rs", TEST), (PAGE, page)]);
        check(&repo).into_iter().map(|violation| (violation.path, violation.line)).collect()
    }

    #[test]
    fn an_item_that_is_a_tests_comment_is_in_order_however_it_is_wrapped() {
        assert_eq!(
            violations("# P\n\n## How it behaves\n\n- A thing\n  is made, and kept.\n\n## Next\n\n- free\n"),
            []
        );
    }

    #[test]
    fn an_item_without_a_test_and_a_test_without_an_item_are_reported() {
        let found = violations("## How it behaves\n\n- A thing flies.\n");
        assert_eq!(found, [("crates/iotcore/tests/rest/things.rs".to_owned(), 3), (PAGE.to_owned(), 3)]);
    }
}
