//! The binary as a script sees it: exit codes, one line of JSON, a clear last word, a clean end by a signal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy's own exception covers only #[test] functions"
)]

use std::fs::{DirBuilder, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn agent() -> Command {
    Command::new(env!("CARGO_BIN_EXE_fleetkey-agent"))
}

/// A configuration whose broker is nobody, with a root that parses and a claim that is there.
fn config(dir: &Path, more: &str) -> PathBuf {
    let text = format!(
        "serial = \"dev-1\"\nstate = \"state\"\n\
         [endpoint]\nhost = \"localhost\"\nport = 1\nroots = [\"root.pem\"]\n\
         [templates]\nrotation = \"Rotation\"\nclaim = \"Claim\"\n{more}"
    );
    std::fs::write(dir.join("root.pem"), ROOT).unwrap();
    std::fs::write(dir.join("claim.pem"), ROOT).unwrap();
    std::fs::write(dir.join("claim.key"), "unused: nobody is there to prove it to").unwrap();
    let path = dir.join("agent.toml");
    std::fs::write(&path, text).unwrap();
    path
}

const CLAIM: &str = "[claim]\ncertificate = \"claim.pem\"\nkey = \"claim.key\"\n";

/// A self-signed P-256 certificate; nothing is ever verified with it.
const ROOT: &str = include_str!("root.pem");

fn run(arguments: &[&str], config: &Path) -> Output {
    agent().args(arguments).arg("--config").arg(config).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_configuration_that_does_not_fit_is_exit_code_2_and_names_line_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), "[rotation]\nagee = \"1d\"\n");
    let output = run(&["run"], &path);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(told.contains("agent.toml") && told.contains("line 11") && told.contains("agee"), "{told}");
}

#[test]
fn a_device_without_identity_or_claim_is_exit_code_3() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["run"], &config(dir.path(), ""));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("[claim]"));
}

#[test]
fn without_an_agent_rotate_is_exit_code_4_and_status_still_tells() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), CLAIM);
    assert_eq!(run(&["rotate"], &path).status.code(), Some(4));
    let output = run(&["status"], &path);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["agent"], "stopped");
}

#[test]
fn what_is_wrong_with_a_state_directory_is_told_line_by_line_with_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), CLAIM);
    let state = dir.path().join("state");
    let output = run(&["verify"], &path);
    assert_eq!(output.status.code(), Some(1), "there is no directory");
    DirBuilder::new().mode(0o700).create(&state).unwrap();
    assert_eq!(run(&["verify"], &path).status.code(), Some(0), "there is nothing in it");
    std::fs::write(state.join("state.json"), "{\"v\":99}").unwrap();
    std::fs::set_permissions(state.join("state.json"), Permissions::from_mode(0o640)).unwrap();
    let output = run(&["verify"], &path);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    let faults: Vec<&str> = told.lines().filter(|line| line.starts_with("fault: ")).collect();
    assert_eq!(faults.len(), 2, "{told}");
    assert!(faults[0].contains("chmod 600") && faults[1].contains("version is 99"), "{told}");
    let told: serde_json::Value = serde_json::from_slice(&run(&["verify", "--json"], &path).stdout).unwrap();
    assert_eq!((&told["sound"], &told["findings"][0]["severity"]), (&false.into(), &"fault".into()));
    assert_eq!(run(&["events", "--follow"], &path).status.code(), Some(4), "no agent to follow");
    assert_eq!(run(&["events"], &path).status.code(), Some(0));
}

#[test]
fn the_doctor_names_the_first_tier_that_fails_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), CLAIM);
    let output = run(&["doctor", "--json"], &path);
    assert_eq!(output.status.code(), Some(10), "nothing is exported\n{}", stderr(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["verdict"], &told["tier"]), (&"failed".into(), &"files".into()));
    let tcp = told["checks"].as_array().unwrap().iter().find(|check| check["tier"] == "tcp").unwrap();
    assert_eq!(tcp["verdict"], "failed", "nobody listens, which is told besides");
}

#[test]
fn a_running_agent_can_be_asked_and_ends_cleanly_on_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), CLAIM);
    let mut running = agent()
        .args(["run", "--log-format", "json", "--config"])
        .arg(&path)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(running.stderr.take().unwrap());
    let mut line = String::new();
    // The first provisioning begins though nobody is there: by then the socket listens.
    while !line.contains("rotation_started") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the agent ended");
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
    let told: serde_json::Value = serde_json::from_slice(&run(&["status"], &path).stdout).unwrap();
    assert_eq!(told["agent"], "running");
    assert_eq!(told["status"]["thing"], "dev-1");
    assert_eq!(run(&["run"], &path).status.code(), Some(4), "a second agent is refused");
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_taken_over_exported_or_staged_is_said_with_an_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), "");
    let (certificate, key) = (dir.path().join("root.pem"), dir.path().join("claim.key"));
    let files = ["--certificate", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let import = |more: &[&str]| run(&[&["import"][..], more].concat(), &path);
    assert_eq!(import(&[]).status.code(), Some(2), "no files are named");
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let output = import(&files);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("chmod 600"), "{}", stderr(&output));
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert!(stderr(&import(&files)).contains("no private key that is supported"));
    let output = import(&["--from", dir.path().to_str().unwrap()]);
    assert!(stderr(&output).contains("device_dev-1"), "{}", stderr(&output));
    let to = dir.path().join("out");
    let output = run(&["export", "codesys", "--to", to.to_str().unwrap()], &path);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no identity to export") && !to.exists(), "{}", stderr(&output));
    for step in ["stage", "switch", "retire", "rollback"] {
        assert_eq!(run(&[step], &path).status.code(), Some(3), "{step}: there is no identity and no claim");
    }
}
