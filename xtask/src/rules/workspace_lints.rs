//! Every crate takes the workspace's lints; a manifest that forgets them would allow `unsafe` and `unwrap`.

use crate::repo::Repo;
use crate::violation::Violation;

pub(crate) fn check(repo: &Repo) -> Vec<Violation> {
    let manifests = repo.files.iter().filter(|file| is_member(&file.path));
    manifests
        .filter(|file| !takes_workspace_lints(&file.text))
        .map(|file| {
            Violation::new(&*file.path, 1, "take the workspace's lints: `[lints]`, `workspace = true`")
        })
        .collect()
}

fn is_member(path: &str) -> bool {
    path == "xtask/Cargo.toml" || (path.starts_with("crates/") && path.ends_with("/Cargo.toml"))
}

fn takes_workspace_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.next().is_some_and(|line| line == "workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_the_workspaces_lints_is_reported() {
        let repo = Repo::of(&[
            ("crates/a/Cargo.toml", "[package]\n[lints]\nworkspace = true\n"),
            ("crates/b/Cargo.toml", "[package]\nname = \"b\"\n"),
            ("fuzz/Cargo.toml", "[package]\n"),
        ]);
        let paths: Vec<_> = check(&repo).into_iter().map(|violation| violation.path).collect();
        assert_eq!(paths, ["crates/b/Cargo.toml"]);
    }
}
