//! The AWS SDK is not optimised, in any profile: each of its packages in `Cargo.lock` is named in the root `Cargo.toml`.
//!
//! Cargo has no pattern for a part of the names, and `"*"` would slow down TLS, cryptography and storage.

use crate::repo::{File, Repo};
use crate::violation::Violation;

const MANIFEST: &str = "Cargo.toml";
const LOCK: &str = "Cargo.lock";
const PROFILES: [&str; 2] = ["dev", "release"];
/// AWS's cryptography is no part of the SDK, and a macro is built for the compiler: unoptimised as all of those.
const OTHERS: &[&str] = &["aws-lc-rs", "aws-lc-sys", "aws-smithy-runtime-api-macros"];

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    let text = |path: &str| repo.files.iter().find(|file| file.path == path).map(text_of);
    let (Some(manifest), Some(lock)) = (text(MANIFEST), text(LOCK)) else { return Vec::new() };
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let sdk = names.filter(|name| name.starts_with("aws-") && !OTHERS.contains(name));
    sdk.flat_map(|name| PROFILES.map(|profile| format!("[profile.{profile}.package.{name}]\nopt-level = 0")))
        .filter(|wanted| !manifest.contains(wanted))
        .map(|wanted| Violation::new(MANIFEST, 1, format!("add {}", wanted.replace('\n', " "))))
        .collect()
}

fn text_of(file: &File) -> &str {
    &file.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_of_the_sdk_that_is_not_named_in_each_profile_is_reported() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let manifest = "[profile.dev.package.aws-types]\nopt-level = 0\n";
        let lock = "name = \"aws-lc-rs\"\nname = \"aws-types\"\nname = \"bytes\"\n";
        let repo = Repo { files: vec![file(MANIFEST, manifest), file(LOCK, lock)], ..Repo::default() };
        let found = check(&repo);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().contains("profile.release.package.aws-types"), "{}", found[0]);
    }
}
