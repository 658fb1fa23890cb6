//! What no page of a dashboard may show: a line of any private key that its program has.

use std::collections::BTreeSet;
use std::path::Path;

/// The lines of base64 in all PEM blocks of this kind in the files beneath a directory, whatever the files are called; of each
/// block the first two, which in a key on P-256 (RFC 5915, 3) hold the secret, where what follows is the public key alone.
fn pem_lines(dir: &Path, kind: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            pem_lines(&entry.path(), kind, found);
        } else if let Ok(bytes) = std::fs::read(entry.path()) {
            let text = String::from_utf8_lossy(&bytes).replace("\\n", "\n");
            for block in text.split("-----BEGIN ").skip(1) {
                let (title, body) = block.split_once("-----").unwrap();
                let lines = body.trim().lines().filter(|_| title.ends_with(kind));
                found.extend(lines.take(2).filter(|line| line.len() == 64).map(str::to_owned));
            }
        }
    }
}

/// Follows each link from page to page, from these on, until there is no other.
pub(crate) fn every_page(from: &[&str], page: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let mut ahead: Vec<String> = from.iter().map(|path| (*path).to_owned()).collect();
    let (mut known, mut pages): (BTreeSet<String>, _) = (ahead.iter().cloned().collect(), Vec::new());
    while let Some(path) = ahead.pop() {
        let page = page(&path);
        for link in page.split("href=\"/").skip(1).filter_map(|rest| rest.split('"').next()) {
            let link = format!("/{}", link.replace("&amp;", "&"));
            if known.insert(link.clone()) {
                ahead.push(link);
            }
        }
        pages.push((path, page));
        assert!(known.len() < 2000, "the pages have no end: {known:?}");
    }
    pages
}

/// Of what lies in this directory certificates are on some of the pages, and of keys not a line is on any.
#[track_caller]
pub(crate) fn no_key_is_shown(directory: &Path, pages: &[(String, String)]) {
    let (mut keys, mut certificates) = (BTreeSet::new(), BTreeSet::new());
    pem_lines(directory, "PRIVATE KEY", &mut keys);
    pem_lines(directory, "CERTIFICATE", &mut certificates);
    let shown = |lines: &BTreeSet<String>| -> Vec<&str> {
        let shows = |page: &str| lines.iter().any(|line| page.contains(line));
        pages.iter().filter(|(_, page)| shows(page)).map(|(path, _)| path.as_str()).collect()
    };
    assert!(keys.len() > 8, "{} lines of keys", keys.len());
    assert!(!shown(&certificates).is_empty(), "what is shown is found");
    assert_eq!(shown(&keys), Vec::<&str>::new(), "a key is shown");
}
