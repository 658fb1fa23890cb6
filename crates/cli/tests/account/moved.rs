//! A fleet directory that was moved after set-up, as the head of the systemd unit has it: its old place is gone.

use std::path::Path;

use tempfile::TempDir;

use crate::core::{Core, a_directory, copy_tree};
use crate::process::Process;
use crate::serve::{HASTE, get};

/// The account, and the fleet directory where it is now.
struct Moved {
    core: Core,
    here: TempDir,
}

impl Moved {
    /// Sets a fleet up with one device, copies its directory, and removes the first one.
    fn after_set_up() -> Self {
        let (core, there, here) = (Core::empty(), a_directory(), a_directory());
        core.set_up(&[], there.path()).good();
        core.provision("press-1", there.path());
        copy_tree(there.path(), here.path());
        there.close().unwrap();
        Self { core, here }
    }

    fn path(&self) -> &Path {
        self.here.path()
    }

    #[track_caller]
    fn run(&self, words: &[&str]) {
        self.core.run(words, self.path()).good();
    }

    /// A command of a device, or of a file: it is told of no account.
    #[track_caller]
    fn local(&self, words: &[&str], flag: &str) {
        let (code, out, errors) =
            crate::process::run(&[words, &[flag, self.path().to_str().unwrap()]].concat());
        assert_eq!(code, 0, "{words:?}: {out}\n{errors}");
    }
}

/// Everything goes on from the new place: the commands, devices old and new, and the controller with its own identity.
#[test]
fn a_directory_that_was_moved_serves_as_before() {
    let fleet = Moved::after_set_up();
    for command in [
        &["status"][..],
        &["inventory"],
        &["recovery", "open", "--serial", "press-1", "--why", "x"],
        &["recovery", "list"],
        &["recovery", "close"],
        &["panic", "claim", "--plan"],
        &["setup", "--plan"],
    ] {
        fleet.run(command);
    }
    fleet.core.provision("press-2", fleet.path());
    fleet.local(&["device", "rotate", "--serial", "press-1"], "--data-dir");
    fleet.local(&["device", "status", "--serial", "press-1"], "--data-dir");
    fleet.local(&["campaign", "list"], "--fleet-dir");
    fleet.local(&["token", "create", "--name", "me", "--role", "auditor"], "--fleet-dir");

    let serve = fleet.core.command(fleet.core.url(), &HASTE, fleet.path()).spawn().unwrap();
    let mut serve = Process::of(serve);
    let url = serve.event("serving")["url"].as_str().unwrap().to_owned();
    serve.event("ready");
    assert!(get(&url, "/readyz").1.contains("4 of 4 connections"));
    serve.signal("TERM");
    let (status, _, errors) = serve.end();
    assert!(status.success(), "{errors}");

    fleet.run(&["rotate-claim"]);
    fleet.core.provision("press-3", fleet.path());
    fleet.local(&["journal", "verify"], "--fleet-dir");
    let again = fleet.core.set_up(&[], fleet.path()).good();
    assert_eq!(again.last()["changed"], 0, "{:#}", again.last());
}
