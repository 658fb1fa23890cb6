//! Bad input gets a clear error, a proper exit code, and nothing is lost.

use std::net::TcpListener;

use crate::process::{local, run};

fn refusal(arguments: &[&str], says: &[&str]) {
    let (code, out, errors) = run(arguments);
    assert_eq!(code, 1, "{out}\n{errors}");
    for words in says {
        assert!(errors.contains(words), "{words:?} is not in: {errors}");
    }
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn a_port_that_is_taken_is_named_with_the_flag_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    for (flag, other) in [("--mqtt-port", "--alpn-port"), ("--alpn-port", "--mqtt-port")] {
        refusal(&["local", "--json", "--data-dir", data, flag, &port, other, "0"], &[&port, flag]);
    }
    let rest = format!("127.0.0.1:{port}");
    refusal(
        &["local", "--json", "--data-dir", data, "--mqtt-port", "0", "--alpn-port", "0", "--rest", &rest],
        &[&port, "--rest"],
    );
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().join("data");
    refusal(&["up", "--json", "--data-dir", path.to_str().unwrap()], &[path.to_str().unwrap(), "--data-dir"]);
}

#[test]
fn a_newer_data_directory_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("VERSION"), "fleetkey data 99\n").unwrap();
    refusal(
        &["local", "--json", "--data-dir", dir.path().to_str().unwrap()],
        &["layout 99", "newer fleetkey"],
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_second_process_on_one_directory_is_refused_and_the_first_serves_on() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = local(dir.path());
    let data = dir.path().to_str().unwrap();
    refusal(
        &[
            "local",
            "--json",
            "--data-dir",
            data,
            "--mqtt-port",
            "0",
            "--alpn-port",
            "0",
            "--rest",
            "127.0.0.1:0",
        ],
        &["in use", "stop it"],
    );
    let (code, out, errors) = run(&["device", "provision", "--serial", "still-served", "--data-dir", data]);
    assert_eq!(code, 0, "{out}\n{errors}");
    first.signal("INT");
    assert!(first.end().0.success());
}

#[test]
fn an_address_beyond_loopback_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    // 127.0.0.2 is loopback, 192.0.2.1 is nobody's: binding it fails, after the warning.
    let (code, _, errors) = run(&[
        "local",
        "--json",
        "--data-dir",
        dir.path().to_str().unwrap(),
        "--bind",
        "192.0.2.1",
        "--mqtt-port",
        "0",
    ]);
    assert_eq!(code, 1);
    assert!(errors.contains("anyone who can reach"), "{errors}");
}

#[test]
fn a_device_without_a_fleet_is_told_how_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    refusal(&["device", "provision", "--serial", "a", "--data-dir", data], &["fleetkey local --setup"]);
}

#[test]
fn a_mistyped_data_directory_is_named_and_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("fleetkey-dat");
    let path = data.to_str().unwrap();
    let commands: [&[&str]; 6] = [
        &["provision"],
        &["connect"],
        &["publish", "a", "b"],
        &["subscribe", "a"],
        &["rotate"],
        &["status", "--json"],
    ];
    for command in commands {
        let all = [&["device"], command, &["--serial", "a", "--data-dir", path]].concat();
        refusal(&all, &[path, "--data-dir", "fleetkey local --setup"]);
    }
    assert!(!data.exists());
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    for level in ["a=b=c", "loud"] {
        refusal(&["--log-level", level, "device", "status", "--serial", "a"], &["--log-level", "try error"]);
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    assert_eq!(run(&["up", "--devices", "0"]).0, 2);
    assert_eq!(run(&["device", "status", "--serial", "a/b"]).0, 2);
    assert_eq!(run(&["rotate"]).0, 2);
}

#[test]
fn what_needs_no_signature_is_for_loopback_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    for flag in ["--any-credentials", "--allow-reset"] {
        refusal(
            &["local", "--json", "--data-dir", data, "--rest", "0.0.0.0:0", flag],
            &[flag, "loopback addresses only"],
        );
    }
}

#[test]
fn the_environment_of_a_core_that_never_ran_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("VERSION"), "fleetkey data 1\n").unwrap();
    refusal(
        &["local", "env", "--data-dir", dir.path().to_str().unwrap()],
        &["start it with: fleetkey local"],
    );
}

#[test]
fn the_environment_names_what_awss_clients_need() {
    let dir = tempfile::tempdir().unwrap();
    let (core, ready) = local(dir.path());
    let (code, out, errors) = run(&["local", "env", "--data-dir", dir.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{errors}");
    let url = ready["api_url"].as_str().unwrap();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let key = ready["access_key_id"].as_str().unwrap();
    for line in [format!("export AWS_ENDPOINT_URL='{url}'"), format!("export AWS_ACCESS_KEY_ID='{key}'")] {
        assert!(out.lines().any(|found| found == line), "{line} is not in:\n{out}");
    }
    assert!(out.contains("export AWS_SECRET_ACCESS_KEY='") && out.contains("export FLEETKEY_ROOT_CA='"));
    assert!(ready.get("secret_access_key").is_none(), "a secret in a line that ends up in logs");
    core.signal("INT");
    assert!(core.end().0.success());
}
