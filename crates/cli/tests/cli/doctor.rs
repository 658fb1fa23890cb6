//! `fleetkey doctor` on a device of a local IoT Core, its account asked over REST.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::{Process, local, run};

/// What `fleetkey local env` prints, as a shell would have it.
fn variables(data: &str) -> Vec<(String, String)> {
    let (code, out, errors) = run(&["local", "env", "--data-dir", data]);
    assert_eq!(code, 0, "{errors}");
    let exports = out.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    exports.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
}

/// Exit code and reports of a doctor who may ask the account.
fn doctor(data: &str, arguments: &[&str]) -> (i32, Vec<Value>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fleetkey"))
        .args(["doctor", "--json", "--data-dir", data])
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        .envs(variables(data).into_iter().filter(|(name, _)| name.starts_with("AWS_")))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let reports = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap_or(-1), reports, text + &String::from_utf8_lossy(&output.stderr))
}

fn check<'a>(report: &'a Value, tier: &str) -> &'a Value {
    report["checks"].as_array().unwrap().iter().find(|check| check["tier"] == tier).unwrap()
}

#[test]
fn a_device_is_well_by_its_own_word_and_the_accounts_and_again_after_a_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let (server, _) = local(dir.path());
    let (code, out, errors) = run(&["device", "provision", "--serial", "one", "--data-dir", data]);
    assert_eq!(code, 0, "{out}{errors}");

    let (code, reports, words) = doctor(data, &["--serial", "one"]);
    assert_eq!(code, 0, "{words}");
    let connect = check(&reports[0], "connect");
    assert_eq!(connect["verdict"], "ok", "{words}");
    assert!(connect["why"].as_str().unwrap().contains("statement 0"), "{words}");
    assert!(!words.contains("PRIVATE KEY"));

    let (code, reports, words) = doctor(data, &["--serial", "one", "--client-id", "two"]);
    assert_eq!((code, &reports[0]["tier"]), (18, &"connect".into()), "{words}");
    let elsewhere = ["--serial", "one", "--publishes", "plant/press"];
    let (code, reports, words) = doctor(data, &elsewhere);
    assert_eq!((code, &reports[0]["tier"]), (20, &"publish".into()), "{words}");

    let mut agent = Process::start(&["device", "connect", "--serial", "one", "--data-dir", data]);
    agent.event("link_up");
    let (code, reports, words) = doctor(data, &["--serial", "one", "--again-after-rotation"]);
    assert_eq!(code, 0, "{words}");
    let told: Vec<_> = reports.iter().map(|report| report["when"].as_str().unwrap()).collect();
    assert_eq!(told, ["before", "after"]);
    let certificate = |report: &Value| check(report, "files")["what"].clone();
    assert_ne!(certificate(&reports[0]), certificate(&reports[1]));
    agent.event("committed");
    drop((agent, server));
}

#[test]
fn what_is_not_said_is_asked_for_and_a_file_that_is_not_there_is_a_finding() {
    let nowhere = Path::new("/nonexistent").to_str().unwrap();
    let refused = |arguments: &[&str]| {
        let (code, _, errors) = run(&[&["doctor", "--no-account"], arguments].concat());
        assert_eq!(code, 1, "{errors}");
        errors
    };
    assert!(refused(&[]).contains("--thing"));
    assert!(refused(&["--thing", "a"]).contains("--endpoint"));
    assert!(refused(&["--thing", "a", "--endpoint", "localhost"]).contains("--certificate"));
    let files = ["--certificate", nowhere, "--key", nowhere, "--ca", nowhere];
    let place = ["doctor", "--no-account", "--thing", "a", "--endpoint", "localhost", "--port", "1"];
    let (code, out, errors) = run(&[&place[..], &files].concat());
    assert_eq!(code, 10, "{out}{errors}");
    assert!(out.contains("failed at files"), "{out}");
}

#[test]
fn a_topic_that_nobody_may_use_and_an_address_for_a_host_are_refused() {
    for (flag, value, why) in [
        ("--publishes", "a/#", "wildcard"),
        ("--subscribes", "a/#/b", "wildcard"),
        ("--topic", "x/+", "wildcard"),
        ("--topic", "", "at least one"),
        ("--endpoint", "ssl://localhost:8883", "--port"),
        ("--endpoint", "localhost:8883", "--port"),
    ] {
        let (code, _, errors) = run(&["doctor", "--no-account", "--thing", "a", flag, value]);
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains(flag) && errors.contains(why), "{errors}");
    }
    let (code, _, errors) = run(&["doctor", "--no-account", "--thing", "a", "--endpoint", "::1"]);
    assert!(code == 1 && errors.contains("--certificate"), "{errors}");
}

#[test]
fn flows_with_no_broker_are_not_called_good_and_a_silent_server_is_waited_for_as_long_as_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let flows = dir.path().join("flows.json");
    std::fs::write(&flows, "[]").unwrap();
    let (code, out, errors) = run(&["doctor", "node-red", "--flows", flows.to_str().unwrap()]);
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("no node here is an MQTT broker"), "{out}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let (code, _, errors) = run(&["doctor", "node-red", "--url", &url, "--timeout", "10ms"]);
    assert!(code == 1 && errors.contains("within 10ms"), "{errors}");
}

#[test]
fn a_plc_is_judged_by_its_description_and_one_that_does_not_read_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plc.toml");
    let path = file.to_str().unwrap();
    let judged = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        run(&[&["doctor", "codesys", path], more].concat())
    };
    let behind_a_sidecar =
        "library = 'mqtt-client'\nclient_id = 'PLC1'\nkeepalive = 60\nhostname = '127.0.0.1'\n";
    let (code, out, errors) = judged(behind_a_sidecar, &["--thing", "PLC1"]);
    assert_eq!((code, out.as_str()), (0, "0 faults, 0 notes in 0 certificates"), "{errors}");

    let (code, out, errors) = judged(behind_a_sidecar, &["--json", "--thing", "PLC2"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["faults"]), (30, &1.into()), "{out}{errors}");
    let finding = &report["findings"][0];
    assert_eq!((&finding["kind"], &finding["severity"]), (&"client_id".into(), &"fault".into()));

    let careless = "library = 'mqtt-client'\nclient_id = 'PLC-1'\n[tls]\n[store]\ntrusted = ['nowhere']\n";
    let (code, _, errors) = judged(careless, &[]);
    assert!(code == 1 && errors.contains("nowhere"), "{errors}");
    let (code, out, _) = judged(&careless.replace("['nowhere']", "[]"), &[]);
    assert_eq!(code, 30);
    for words in
        ["FAULT  TLSContext", "udiVerificationMode is 1", "do:  set", "2 faults, 1 notes in 0 certificates"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    let (code, _, errors) = judged("library = 'mqtt-client'\n", &[]);
    assert!(code == 1 && errors.contains("client_id") && errors.contains("plc.toml"), "{errors}");
}
