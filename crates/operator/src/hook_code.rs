//! The pre-provisioning hook as Lambda runs it: the Python of `deploy/lambda`, with what it decides by beside it.
//!
//! The list of serials and the recovery windows travel in the archive and not in the environment, which holds 4 KB.

use serde_json::{Value, json};

use crate::archive::zip;
use crate::cloud::Archive;
use crate::documents::Names;
use crate::recovery::Window;

/// The newest runtime of Lambda that the code is tested with.
pub const RUNTIME: &str = "python3.13";
/// Module and function.
pub const HANDLER: &str = "fleetkey_hook.handler";
/// Seconds: AWS IoT waits no longer (Developer Guide, pre-provisioning-hook).
pub const TIMEOUT: i32 = 5;

const SOURCE: &str = include_str!("../../../deploy/lambda/fleetkey_hook.py");

/// The archive for a fleet that lets these serials in: claims go by the list, rotation by the thing itself, recovery by
/// the windows, each to its end.
pub fn archive(names: &Names, serials: &[String], windows: &[Window]) -> Archive {
    let configuration = configuration(names, serials, windows).to_string();
    Archive::new(zip(&[
        ("fleetkey_hook.py", SOURCE.as_bytes()),
        ("fleetkey_hook.json", configuration.as_bytes()),
    ]))
}

/// What it decides by.
pub(crate) fn configuration(names: &Names, serials: &[String], windows: &[Window]) -> Value {
    let rules = [
        (&names.claim_template, "serials"),
        (&names.rotation_template, "own_thing"),
        (&names.recovery_template, "window"),
    ];
    let templates: serde_json::Map<_, _> =
        rules.iter().map(|(name, rule)| (name.to_string(), json!(rule))).collect();
    let window = |window: &Window| json!({ "serials": window.serials, "until": window.until.as_secs() });
    let windows: Vec<_> = windows.iter().map(window).collect();
    json!({ "templates": templates, "serials": serials, "windows": windows })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Python's own tests, so that they run with all the others.
    #[test]
    fn the_code_decides_as_its_own_tests_say() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/lambda");
        let run = std::process::Command::new("python3")
            .args(["-B", "-m", "unittest", "discover", directory])
            .output()
            .expect("python3 is needed for this test");
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success() && !told.contains("Ran 0 tests"), "{told}");
    }

    #[test]
    fn another_list_is_another_archive_and_the_same_list_the_same() {
        let names = Names::new("").unwrap();
        let of = |serials: &[&str]| {
            archive(&names, &serials.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), &[])
        };
        assert_eq!(of(&["*"]), of(&["*"]));
        assert_ne!(of(&["*"]).digest(), of(&["PM500-*"]).digest());
    }
}
