//! The device commands against a running `fleetkey local --setup`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::process::{Process, local, run};

struct Shell<'a> {
    data: &'a str,
}

impl Shell<'_> {
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut all = vec!["device"];
        all.extend(arguments);
        all.extend(["--data-dir", self.data]);
        run(&all)
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let (code, out, errors) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}\n{out}\n{errors}");
        out
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (code, out, errors) = self.run(arguments);
        assert_eq!(code, 1, "{arguments:?}\n{out}\n{errors}");
        errors
    }

    fn status(&self, serial: &str) -> Value {
        serde_json::from_str(&self.ok(&["status", "--json", "--serial", serial])).unwrap()
    }
}

#[test]
fn a_device_is_provisioned_speaks_and_rotates() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = local(dir.path());
    let shell = Shell { data: dir.path().to_str().unwrap() };
    shell.ok(&["provision", "--serial", "one"]);
    shell.ok(&["provision", "--serial", "two", "--service-key"]);
    let first = shell.status("one")["certificate"]["id"].clone();
    assert!(first.is_string());

    let mut listener = Process::start(&[
        "device",
        "subscribe",
        "device/one/#",
        "--count",
        "1",
        "--serial",
        "one",
        "--data-dir",
        shell.data,
    ]);
    listener.error_line("subscribed");
    shell.ok(&["publish", "device/two/telemetry", "theirs", "--serial", "two"]);
    let refusal = shell.refused(&["publish", "device/one/telemetry", "forged", "--serial", "two"]);
    assert!(refusal.contains("not published"), "{refusal}");
    let refusal = shell.refused(&["subscribe", "device/one/#", "--serial", "two"]);
    assert!(refusal.contains("does not allow"), "{refusal}");
    // The listener's `one~agent` is in use; the device's own agent publishes.
    rotate_through_the_agent(&shell);
    assert_ne!(shell.status("one")["certificate"]["id"], first);
    drop(listener);
    the_files_tell_what_happened(&shell);

    shell.ok(&["rotate", "--serial", "two"]);
    assert_eq!(shell.status("two")["record"]["current"], 2);
    server.signal("TERM");
    assert!(server.end().0.success());
}

/// `device connect` in the foreground, a rotation ordered over its status socket.
fn rotate_through_the_agent(shell: &Shell<'_>) {
    let mut agent = Process::start(&["device", "connect", "--serial", "one", "--data-dir", shell.data]);
    agent.event("link_up");
    let status = shell.status("one");
    assert_eq!((&status["agent"], &status["status"]["ballast"]), (&"running".into(), &true.into()));
    let follow = ["device", "events", "--follow", "--serial", "one", "--data-dir", shell.data];
    let mut follower = Process::start(&follow);
    follower.event("following");
    shell.ok(&["rotate", "--serial", "one"]);
    let started = follower.event("rotation_started");
    assert_eq!(follower.event("committed")["id"], started["id"]);
    agent.event("committed");
    agent.event("retired");
    agent.signal("INT");
    assert!(agent.end().0.success());
    assert!(follower.end().0.success(), "it ends with the agent");
}

/// After a rotation, with no agent running.
fn the_files_tell_what_happened(shell: &Shell<'_>) {
    let checked = shell.ok(&["verify", "--json", "--serial", "one"]);
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!((&checked["sound"], &checked["findings"]), (&true.into(), &Value::Array(vec![])));
    assert_eq!(checked["audit"], shell.status("one")["audit"]);
    let log = shell.ok(&["events", "--serial", "one"]);
    assert_eq!(log.lines().count() as u64, checked["entries"].as_u64().unwrap());
    assert!(log.contains(r#""event":"committed""#) && log.contains(r#""event":"retired""#), "{log}");
    let state = Path::new(shell.data).join("devices/one/state.json");
    std::fs::set_permissions(&state, Permissions::from_mode(0o644)).unwrap();
    let (code, found, _) = shell.run(&["verify", "--serial", "one"]);
    assert_eq!(code, 1);
    assert!(found.contains("chmod 600"), "{found}");
    std::fs::set_permissions(&state, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_serial_that_is_taken_is_refused_and_its_device_is_not_harmed() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = local(dir.path());
    let shell = Shell { data: dir.path().to_str().unwrap() };
    shell.ok(&["provision", "--serial", "one"]);
    let kept = dir.path().join("kept");
    let home = dir.path().join("devices/one");
    std::fs::rename(&home, &kept).unwrap();
    let refusal = shell.refused(&["provision", "--serial", "one"]);
    assert!(refusal.contains("409"), "{refusal}");
    std::fs::remove_dir_all(&home).unwrap();
    std::fs::rename(&kept, &home).unwrap();
    shell.ok(&["publish", "device/one/telemetry", "still me", "--serial", "one"]);
    drop(server);
}

/// Its device knows nothing of fleetkey: a certificate, a key, and the names that the demo gives them.
fn taken_to_the_demos_layout(home: &Path, serial: &str) -> std::path::PathBuf {
    let certs = home.join("certs");
    let (to, from) = (certs.join(format!("device_{serial}")), home.join("devices").join(serial));
    std::fs::create_dir_all(&to).unwrap();
    for name in ["device.cert.pem", "device.key.pem"] {
        std::fs::copy(from.join("export").join(name), to.join(name)).unwrap();
    }
    std::fs::remove_dir_all(from).unwrap();
    certs
}

#[test]
fn a_device_of_another_program_is_taken_over_and_rotates() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = local(dir.path());
    let shell = Shell { data: dir.path().to_str().unwrap() };
    for (serial, how) in [("one", None), ("two", Some("--service-key"))] {
        let provision = ["provision", "--serial", serial].into_iter().chain(how).collect::<Vec<_>>();
        shell.ok(&provision);
        let first = shell.status(serial)["certificate"]["id"].clone();
        let certs = taken_to_the_demos_layout(dir.path(), serial);
        let import = ["import", "--from", certs.to_str().unwrap(), "--serial", serial];
        let (code, out, warned) = shell.run(&import);
        assert!(code == 0 && out.contains(first.as_str().unwrap()), "{out}{warned}");
        assert_eq!(warned.contains("does not name its device"), how.is_some(), "{warned}");
        assert!(shell.ok(&import).contains("has had"), "the same again is fine");
        shell.ok(&["verify", "--serial", serial]);

        let mut agent = Process::start(&["device", "connect", "--serial", serial, "--data-dir", shell.data]);
        agent.event("link_up");
        shell.ok(&["rotate", "--serial", serial]);
        agent.event("committed");
        assert_eq!(agent.event("retired")["certificates"], serde_json::json!([first]));
        agent.signal("INT");
        assert!(agent.end().0.success());
        assert_ne!(shell.status(serial)["certificate"]["id"], first);
        let refusal = shell.refused(&import);
        assert!(refusal.contains("has an identity already"), "{refusal}");
    }
    drop(server);
}

#[test]
fn keys_are_readable_by_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = local(dir.path());
    let shell = Shell { data: dir.path().to_str().unwrap() };
    shell.ok(&["provision", "--serial", "one"]);
    let mut keys = Vec::new();
    find_keys(dir.path(), &mut keys);
    assert!(keys.len() >= 7, "two CAs, three operators' identities, slot, export: {keys:?}");
    for key in keys {
        let mode = std::fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", key.display());
    }
    drop(server);
}

fn find_keys(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_keys(&path, found);
        } else if path.is_file()
            && std::fs::read(&path).unwrap().windows(11).any(|text| text == b"PRIVATE KEY")
        {
            found.push(path);
        }
    }
}

#[test]
fn a_device_without_an_identity_is_told_how_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = local(dir.path());
    let shell = Shell { data: dir.path().to_str().unwrap() };
    let refusal = shell.refused(&["publish", "device/x/telemetry", "1", "--serial", "x"]);
    assert!(refusal.contains("device provision --serial x"), "{refusal}");
    assert!(shell.ok(&["status", "--serial", "x"]).contains("nothing there"));
    drop(server);
}
