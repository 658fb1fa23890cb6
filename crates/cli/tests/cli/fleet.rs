//! The commands that act on an account, as far as they need none: least privilege, and what goes wrong first.

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::Value;

use crate::process::run;

const COMMANDS: [&[&str]; 6] = [
    &["setup"],
    &["cleanup"],
    &["status"],
    &["decommission", "PM500-1"],
    &["rotate-claim"],
    &["temporary-claim", "--out", "claim"],
];

/// Every action that a command asks for, from what `--print-iam` prints.
fn asked(command: &[&str], more: &[&str]) -> (BTreeSet<String>, String) {
    let arguments: Vec<_> = command.iter().chain(&["--print-iam"]).chain(more).copied().collect();
    let (code, out, errors) = run(&arguments);
    assert_eq!(code, 0, "{errors}");
    let policy: Value = serde_json::from_str(&out).unwrap();
    let actions = policy["Statement"].as_array().unwrap().iter();
    let actions = actions.flat_map(|statement| statement["Action"].as_array().unwrap().clone());
    (actions.map(|action| action.as_str().unwrap().to_owned()).collect(), out)
}

#[test]
fn the_least_policy_of_each_command_is_told_without_an_account() {
    for command in COMMANDS {
        let (actions, _) = asked(command, &[]);
        assert!(actions.contains("sts:GetCallerIdentity"), "{command:?}");
        let makes = actions.contains("iam:CreateRole");
        assert_eq!(makes, command[0] == "setup", "{command:?}");
        let deletes = actions.contains("iot:DeleteThing");
        assert_eq!(deletes, ["cleanup", "decommission"].contains(&command[0]), "{command:?}");
    }
    let (_, policy) = asked(&["setup"], &["--name-prefix", "acme-", "--region", "cn-north-1"]);
    assert!(policy.contains("arn:aws-cn:iot:cn-north-1:*:policy/acme-DevicePolicy"), "{policy}");
}

#[test]
fn an_endpoint_where_nobody_answers_is_named_in_time() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let directory = dir.path().to_str().unwrap();
    let (code, _, errors) =
        run(&["setup", "--plan", "--endpoint-url", &url, "--fleet-dir", directory, "--profile", ""]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("who we are") && !errors.contains("panicked"), "{errors}");
}

#[test]
fn bad_flags_are_refused_with_what_is_allowed() {
    for (flag, value, says) in [
        ("--log-days", "8", "one of 1, 3, 5"),
        ("--topic-root", "a/#", "wildcard"),
        ("--template-name", "a b", "template name"),
    ] {
        let (code, _, errors) = run(&["setup", "--print-iam", flag, value]);
        assert!(code == 2 && errors.contains(says), "{code} {errors}");
    }
    for prefix in ["much-too-long-", "a b"] {
        let (code, _, errors) = run(&["setup", "--print-iam", "--name-prefix", prefix]);
        assert!(code == 1 && errors.contains("--name-prefix"), "{code} {errors}");
    }
}
