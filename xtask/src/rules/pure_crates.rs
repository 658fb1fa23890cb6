//! Pure crates are `#![no_std]` and depend on an allow-list only, so that the compiler keeps them free of
//! files, sockets, threads and clocks.
//!
//! `mqtt` uses the standard library's collections and is held by [`super::pure_mqtt`] instead of `no_std`.

use crate::metadata::{Dependency, Kind, Package};
use crate::repo::{File, Repo};
use crate::rust_source::RustSource;
use crate::violation::Violation;

/// Crates that may not link the standard library.
const NO_STD: &[&str] = &["model", "policy", "lifecycle"];

/// Crates that may depend on [`ALLOWED`] only; what a feature of theirs must ask for is exempt.
const PURE: &[&str] = &["model", "policy", "lifecycle", "mqtt"];

/// What a pure crate may use: each compiles without the standard library, does no I/O and reads no clock.
/// `bytes` needs only an allocator; `x509-cert` and not `x509-parser`, which needs `std`.
const ALLOWED: &[&str] =
    &["bytes", "der", "fleetkey-model", "serde", "serde_json", "sha2", "thiserror", "x509-cert", "zeroize"];

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    let mut violations: Vec<_> = NO_STD.iter().flat_map(|name| check_no_std(repo, name)).collect();
    violations.extend(PURE.iter().flat_map(|name| check_dependencies(repo, name)));
    violations
}

fn check_no_std(repo: &Repo, name: &str) -> Vec<Violation> {
    let path = format!("crates/{name}/src/lib.rs");
    let Some(root) = repo.files.iter().find(|file| file.path == path) else {
        return vec![Violation::new(path, 1, "a pure crate without its root: tidy's list is out of date")];
    };
    let code = RustSource::scan(&root.text).code;
    let mut violations = Vec::new();
    if !code.lines().any(|line| line.trim() == "#![no_std]") {
        violations.push(Violation::new(&*path, 1, "a pure crate says `#![no_std]`"));
    }
    let sources = repo.rust_files().filter(|file| file.path.starts_with(&format!("crates/{name}/src/")));
    violations.extend(sources.flat_map(linked_std));
    violations
}

/// Places that bring the standard library back outside of tests.
fn linked_std(file: &File) -> Vec<Violation> {
    let code = RustSource::scan(&file.text).code;
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let linked = lines.iter().enumerate().filter(|(index, line)| {
        let before = index.checked_sub(1).and_then(|before| lines.get(before));
        line.starts_with("extern crate std") && before != Some(&"#[cfg(test)]")
    });
    let message = "links std in a pure crate: put `#[cfg(test)]` on the line above, or do without";
    linked.map(|(index, _)| Violation::new(&*file.path, index + 1, message)).collect()
}

fn check_dependencies(repo: &Repo, name: &str) -> Vec<Violation> {
    let package = repo.packages.iter().find(|package| package.name == format!("fleetkey-{name}"));
    let forbidden = package.map(not_allowed).unwrap_or_default();
    let report = |dependency: &Dependency| {
        let message = format!("a pure crate may not use {}: not on tidy's allow-list", dependency.name);
        Violation::new(format!("crates/{name}/Cargo.toml"), 1, message)
    };
    forbidden.into_iter().map(report).collect()
}

fn not_allowed(package: &Package) -> Vec<&Dependency> {
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind == Kind::Normal);
    normal
        .filter(|dependency| !dependency.optional)
        .filter(|dependency| !ALLOWED.contains(&dependency.name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(model: &str) -> Repo {
        let pure = "//! Pure.\n#![no_std]\n";
        Repo::of(&[
            ("crates/model/src/lib.rs", model),
            ("crates/policy/src/lib.rs", pure),
            ("crates/lifecycle/src/lib.rs", pure),
        ])
    }

    fn uses(name: &str, kind: Kind, optional: bool) -> usize {
        let dependency = Dependency { name: name.into(), kind, optional };
        let package = Package { name: "fleetkey-mqtt".into(), dependencies: vec![dependency] };
        check(&Repo { packages: vec![package], ..repo("#![no_std]") }).len()
    }

    #[test]
    fn a_pure_crate_must_say_no_std() {
        assert!(check(&repo("//! Pure.\n#![no_std]\n#[cfg(test)]\nextern crate std;\n")).is_empty());
        assert_eq!(check(&repo("//! Says #![no_std] in prose only.\n")).len(), 1);
    }

    #[test]
    fn the_standard_library_is_linked_by_tests_only() {
        let violations = check(&repo("#![no_std]\nextern crate std;\n"));
        assert_eq!(violations.iter().map(|v| v.line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_dependency_off_the_list_is_reported_unless_a_feature_or_a_test_asks_for_it() {
        assert_eq!(uses("bytes", Kind::Normal, false), 0);
        assert_eq!(uses("tokio", Kind::Normal, false), 1);
        assert_eq!(uses("tokio", Kind::Normal, true), 0);
        assert_eq!(uses("proptest", Kind::Dev, false), 0);
    }
}
