//! What must not lie in the state directory of a device at rest: unfinished files, slots and exports of other
//! identities, what was put aside, a token of a certificate that is registered.

use std::path::Path;

use fleetkey_lifecycle::SlotId;

/// The names, below the state directory, of what should not be there.
pub(super) fn leftovers(state_dir: &Path, current: Option<SlotId>) -> Vec<String> {
    let current = current.map(|slot| slot.to_string()).unwrap_or_default();
    let mut found = Vec::new();
    walk(state_dir, "", &current, &mut found);
    found
}

fn walk(dir: &Path, below: &str, current: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{below}{name}");
        if is_foreign(below, &name, current) {
            found.push(path);
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &format!("{path}/"), current, found);
        }
    }
}

fn is_foreign(below: &str, name: &str, current: &str) -> bool {
    let other_export = name.strip_prefix("export.").is_some_and(|slot| slot != current);
    name.starts_with(".tmp-")
        || (below == "slots/" && name != current)
        || (below.is_empty() && other_export)
        || (below.starts_with("slots/") && name == "token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_identity_in_use_needs_may_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        let right = ["state.json", "lock", "slots/3/key.pem", "slots/3/cert.json", "export.3/bundle.pem"];
        right.into_iter().for_each(make);
        assert_eq!(leftovers(dir.path(), Some(SlotId(3))), Vec::<String>::new());
        let wrong = [
            ".tmp-state.json-1",
            "slots/2/key.pem",
            "slots/3/token",
            "export.2/bundle.pem",
            "slots/aside-1-2/x",
        ];
        wrong.into_iter().for_each(make);
        let mut found = leftovers(dir.path(), Some(SlotId(3)));
        found.sort();
        assert_eq!(found, [".tmp-state.json-1", "export.2", "slots/2", "slots/3/token", "slots/aside-1-2"]);
    }
}
