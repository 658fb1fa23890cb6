//! What the rules look at: the repository's files as text, our crates' manifests, and the agent's tree.
//!
//! Loaded once; the rules themselves run nothing and read no file, so their tests make a `Repo` by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::metadata::{self, Package};

/// The agent's package, whose dependency tree is held small.
const AGENT: &str = "fleetkey-agent";

/// The repository as the rules see it.
#[derive(Debug, Default)]
pub(crate) struct Repo {
    /// Every text file that git tracks or would track.
    pub(crate) files: Vec<File>,
    /// Every package of the workspace.
    pub(crate) packages: Vec<Package>,
    /// Names of the packages in the agent's normal dependency tree, itself included.
    pub(crate) agent_tree: Vec<String>,
}

/// One text file.
#[derive(Debug)]
pub(crate) struct File {
    /// Path relative to the root, with `/`.
    pub(crate) path: String,
    /// The whole content.
    pub(crate) text: String,
}

impl Repo {
    /// Reads the repository that this binary was built from.
    pub(crate) fn load() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent directory")?;
        Ok(Self {
            files: files(root)?,
            packages: metadata::packages(&cargo(root, &["metadata", "--no-deps", "--format-version", "1"])?)?,
            agent_tree: tree_names(&cargo(root, &["tree", "-p", AGENT, "-e", "normal", "--prefix", "none"])?),
        })
    }

    /// The Rust sources.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }
}

#[cfg(test)]
impl Repo {
    /// A repository of these files and nothing else.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).into(), text: (*text).into() };
        Self { files: files.iter().map(file).collect(), ..Self::default() }
    }
}

/// Tracked files and new ones that are not ignored: a rule should speak before the commit, not after.
fn files(root: &Path) -> Result<Vec<File>> {
    let list = output(
        Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]),
        root,
    )?;
    let mut files = Vec::new();
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        files.extend(read(root, path)?);
    }
    Ok(files)
}

/// `None` for what is no text: a binary file, a link to a directory, a file deleted but still in the index.
fn read(root: &Path, path: &str) -> Result<Option<File>> {
    let full: PathBuf = root.join(path);
    if !full.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(&full).with_context(|| format!("reading {path}"))?;
    Ok(String::from_utf8(bytes).ok().map(|text| File { path: path.into(), text }))
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    output(Command::new(program).args(arguments).arg("--locked"), root)
}

fn output(command: &mut Command, root: &Path) -> Result<String> {
    let output = command.current_dir(root).output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} printed no UTF-8"))
}

/// `name v1.2.3 (…)` a line, as `cargo tree --prefix none` prints it.
fn tree_names(tree: &str) -> Vec<String> {
    let mut names: Vec<String> =
        tree.lines().filter_map(|line| line.split_whitespace().next()).map(String::from).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_as_the_set_of_its_names() {
        let tree = "fleetkey-agent v0.1.0 (/x)\nbytes v1.12.1\n\nbytes v1.12.1 (*)\n";
        assert_eq!(tree_names(tree), ["bytes", "fleetkey-agent"]);
    }

    #[test]
    fn this_repository_loads_with_its_sources_and_its_crates() {
        let repo = Repo::load().unwrap();
        assert!(repo.rust_files().any(|file| file.path == "xtask/src/repo.rs"));
        assert!(repo.packages.iter().any(|package| package.name == AGENT));
        assert!(repo.agent_tree.iter().any(|name| name == AGENT));
    }
}
