//! What `docs/local-iot-core.md` says of each operation.

use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/local-iot-core.md");

/// Service (as it signs) and name of an operation.
pub(crate) type Operation = (String, String);

/// The exceptions of each operation, from the tables under "Operations".
pub(crate) fn operations() -> BTreeMap<Operation, BTreeSet<String>> {
    let mut service = String::new();
    let mut found = BTreeMap::new();
    for line in std::fs::read_to_string(PAGE).unwrap().lines() {
        if line.starts_with("## ") {
            service.clear();
        } else if let Some(heading) = line.strip_prefix("### ") {
            service = quoted(heading).into_iter().next().unwrap_or_default();
        } else if let [name, refusals, ..] = cells(line).as_slice()
            && let [name] = quoted(name).as_slice()
            && !service.is_empty()
        {
            let known = found.insert((service.clone(), name.clone()), quoted(refusals).into_iter().collect());
            assert!(known.is_none(), "{name} of {service} is listed twice");
        }
    }
    found
}

/// The cells of a table's row; none for other lines.
fn cells(line: &str) -> Vec<&str> {
    let row = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
    row.map(|row| row.split('|').map(str::trim).collect()).unwrap_or_default()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
