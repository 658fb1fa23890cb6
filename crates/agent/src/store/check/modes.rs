//! Who may read what: directories 0700, secrets 0600, and one owner for all of it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::slot::{CERTIFICATE, CSR};
use super::super::{CERTIFICATE_FILE, SLOTS};
use super::Check;

impl Check {
    /// Every directory and file of ours; what others have put there is theirs to answer for.
    pub(super) fn modes(&mut self) {
        let root = self.store.root.clone();
        let Ok(owner) = std::fs::metadata(&root).map(|facts| facts.uid()) else { return };
        self.mode(&root, owner);
        for path in self.children(&root) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let holds_files = name == SLOTS || name.starts_with("export.");
            let is_ours = ["state.json", "lock", "ballast"].contains(&name) || name.starts_with("audit.");
            if holds_files {
                self.tree(&path, owner);
            } else if is_ours {
                self.mode(&path, owner);
            }
        }
    }

    fn tree(&mut self, dir: &Path, owner: u32) {
        self.mode(dir, owner);
        for path in self.children(dir) {
            if path.is_dir() && !path.is_symlink() {
                self.tree(&path, owner);
            } else {
                self.mode(&path, owner);
            }
        }
    }

    fn children(&mut self, dir: &Path) -> Vec<PathBuf> {
        match self.store.entries(dir) {
            Ok(entries) => entries.into_iter().map(|entry| dir.join(entry.name)).collect(),
            Err(fault) => {
                self.unreadable(&fault);
                Vec::new()
            }
        }
    }

    fn mode(&mut self, path: &Path, owner: u32) {
        // Gone since it was listed: an agent is at work.
        let Ok(facts) = std::fs::symlink_metadata(path) else { return };
        let mode = facts.mode() & 0o777;
        let open = mode & forbidden(path, &facts);
        if open != 0 {
            let wanted = mode & !open;
            let remedy = format!("run: chmod {wanted:o} {}", path.display());
            self.fault(path, format!("its mode {mode:o} lets others in"), remedy);
        }
        if facts.uid() != owner {
            let what = format!("it belongs to user {}, the state directory to {owner}", facts.uid());
            self.fault(path, what, format!("run: chown {owner} {}", path.display()));
        }
    }
}

/// The permission bits that this must not have.
fn forbidden(path: &Path, facts: &Metadata) -> u32 {
    let name = path.file_name().and_then(|name| name.to_str());
    let is_public = [CSR, CERTIFICATE, CERTIFICATE_FILE].map(Some).contains(&name);
    if facts.is_file() && is_public { 0o022 } else { 0o077 }
}
