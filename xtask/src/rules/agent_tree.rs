//! The device's binary stays small: no AWS SDK, no web server and no operator's crate in its tree.
//!
//! Looks at the normal dependencies as cargo resolves them, not at what a manifest says.

use crate::repo::Repo;
use crate::violation::Violation;

/// Where the agent's dependencies are declared.
const MANIFEST: &str = "crates/agent/Cargo.toml";

/// Packages whose name begins so, and what they are.
const FORBIDDEN_PREFIXES: &[(&str, &str)] = &[
    ("aws-sdk-", "the AWS SDK: a device holds no IAM credentials"),
    ("aws-config", "the AWS SDK: a device holds no IAM credentials"),
    ("aws-smithy", "the AWS SDK: a device holds no IAM credentials"),
    ("actix", "a web server"),
];

/// Packages of exactly this name, and what they are.
const FORBIDDEN: &[(&str, &str)] = &[
    ("axum", "a web server"),
    ("hyper", "a web server"),
    ("poem", "a web server"),
    ("rocket", "a web server"),
    ("tide", "a web server"),
    ("tiny_http", "a web server"),
    ("tonic", "a web server"),
    ("warp", "a web server"),
    ("fleetkey-cli", "the operator's binary"),
    ("fleetkey-dashboard", "the dashboard"),
    ("fleetkey-iotcore", "the local IoT Core"),
    ("fleetkey-operator", "the operator's side"),
];

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    repo.agent_tree.iter().filter_map(|name| Some((name, what(name)?))).map(violation).collect()
}

fn what(name: &str) -> Option<&'static str> {
    let exact = FORBIDDEN.iter().find(|(forbidden, _)| *forbidden == name);
    let prefix = FORBIDDEN_PREFIXES.iter().find(|(forbidden, _)| name.starts_with(forbidden));
    exact.or(prefix).map(|(_, what)| *what)
}

fn violation((name, what): (&String, &str)) -> Violation {
    let message = format!(
        "the agent's tree has {name} ({what}); `cargo tree -p fleetkey-agent -e normal -i {name}` says why"
    );
    Violation::new(MANIFEST, 1, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sdk_a_web_server_and_the_operators_side_are_reported() {
        let tree = ["aws-sdk-iot", "aws-smithy-runtime", "axum", "bytes", "fleetkey-operator", "aws-lc-rs"];
        let repo = Repo { agent_tree: tree.map(String::from).into(), ..Repo::default() };
        assert_eq!(check(&repo).len(), 4);
    }
}
