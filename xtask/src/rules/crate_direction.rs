//! Our crates depend downwards only. This table is the architecture; ARCHITECTURE.md draws it.

use crate::metadata::Package;
use crate::repo::Repo;
use crate::violation::Violation;

/// What each crate may use of ours, in every section of its manifest.
const ALLOWED: &[(&str, &[&str])] = &[
    ("fleetkey-model", &[]),
    ("fleetkey-policy", &["fleetkey-model"]),
    ("fleetkey-lifecycle", &["fleetkey-model"]),
    ("fleetkey-mqtt", &["fleetkey-model"]),
    ("fleetkey-agent", &["fleetkey-lifecycle", "fleetkey-model", "fleetkey-mqtt"]),
    ("fleetkey-iotcore", &["fleetkey-model", "fleetkey-mqtt", "fleetkey-policy"]),
    ("fleetkey-operator", &["fleetkey-model", "fleetkey-mqtt", "fleetkey-policy"]),
    ("fleetkey-aws", &["fleetkey-model", "fleetkey-operator"]),
    ("fleetkey-api", &["fleetkey-model"]),
    ("fleetkey-dashboard", &["fleetkey-model"]),
    (
        "fleetkey-cli",
        &[
            "fleetkey-agent",
            "fleetkey-api",
            // Nobody else: everything below the binary builds without the SDK.
            "fleetkey-aws",
            "fleetkey-dashboard",
            "fleetkey-iotcore",
            "fleetkey-lifecycle",
            "fleetkey-model",
            "fleetkey-mqtt",
            "fleetkey-operator",
            "fleetkey-policy",
        ],
    ),
    (
        // The top of the house: its scenarios join the parts as the binary does.
        "fleetkey-testkit",
        &[
            "fleetkey-agent",
            "fleetkey-cli",
            "fleetkey-iotcore",
            "fleetkey-lifecycle",
            "fleetkey-model",
            "fleetkey-mqtt",
            "fleetkey-operator",
            "fleetkey-policy",
        ],
    ),
    (
        // The parts that ship, around which disk, clock and network are simulated; no TLS and no broker between.
        "fleetkey-proof",
        &[
            "fleetkey-agent",
            "fleetkey-iotcore",
            "fleetkey-lifecycle",
            "fleetkey-model",
            "fleetkey-operator",
            "fleetkey-policy",
        ],
    ),
    ("xtask", &[]),
];

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    repo.packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Violation> {
    let manifest = manifest(&package.name);
    let Some(allowed) = entry(ALLOWED, &package.name) else {
        let message =
            format!("{} stands in no table: say in crate_direction.rs what it may use", package.name);
        return vec![Violation::new(manifest, 1, message)];
    };
    let ours = package.dependencies.iter().filter(|dependency| dependency.name.starts_with("fleetkey-"));
    ours.filter(|dependency| !allowed.contains(&dependency.name.as_str()))
        .map(|dependency| {
            let message = format!("{} may not use {}: arrows point down only", package.name, dependency.name);
            Violation::new(&*manifest, 1, message)
        })
        .collect()
}

fn entry<'a>(table: &[(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(package, _)| *package == name).map(|(_, allowed)| *allowed)
}

fn manifest(package: &str) -> String {
    match package.strip_prefix("fleetkey-") {
        Some(folder) => format!("crates/{folder}/Cargo.toml"),
        None => format!("{package}/Cargo.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Dependency, Kind};

    fn found(name: &str, dependency: &str, kind: Kind) -> usize {
        let dependency = Dependency { name: dependency.into(), kind, optional: false };
        let package = Package { name: name.into(), dependencies: vec![dependency] };
        check(&Repo { packages: vec![package], ..Repo::default() }).len()
    }

    #[test]
    fn an_arrow_that_points_up_is_reported() {
        assert_eq!(found("fleetkey-model", "fleetkey-policy", Kind::Normal), 1);
        assert_eq!(found("fleetkey-operator", "fleetkey-iotcore", Kind::Dev), 1);
        assert_eq!(found("fleetkey-agent", "fleetkey-mqtt", Kind::Normal), 0);
        assert_eq!(found("fleetkey-agent", "tokio", Kind::Normal), 0);
    }

    #[test]
    fn nothing_uses_the_testkit() {
        assert_eq!(found("fleetkey-cli", "fleetkey-testkit", Kind::Dev), 1);
        assert_eq!(found("fleetkey-cli", "fleetkey-testkit", Kind::Normal), 1);
    }

    #[test]
    fn a_crate_that_stands_in_no_table_is_reported() {
        assert_eq!(found("fleetkey-common", "bytes", Kind::Normal), 1);
    }

    #[test]
    fn the_table_itself_has_no_cycle() {
        for (name, allowed) in ALLOWED {
            for used in *allowed {
                let back = entry(ALLOWED, used).unwrap_or_default();
                assert!(!back.contains(name), "{name} and {used} use each other");
            }
        }
    }
}
