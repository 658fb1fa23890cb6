//! The current identity as plain files for programs that cannot rotate (mosquitto, Node-RED, an SDK).
//!
//! A new directory is filled first and the link `export` swung to it in one step: a reader that opens files
//! through the link sees an old pair or a new pair, and one that needs more than that reads `bundle.pem`.

use std::path::{Path, PathBuf};

use fleetkey_lifecycle::SlotId;
use fleetkey_model::certificate::CertificateFacts;
use zeroize::Zeroizing;

use super::Store;
use super::atomic::{self, PUBLIC, SECRET};
use super::fault::{Attempt, StoreFault};
use super::slot::{MAX_FILE, SlotIdentity};

/// The link in the state directory that always points to the current export.
pub const EXPORT_LINK: &str = "export";
/// The certificate chain, PEM, in the export.
pub const CERTIFICATE_FILE: &str = "device.cert.pem";
/// The private key, PEM, mode 0600, in the export.
pub const KEY_FILE: &str = "device.key.pem";
/// Key and chain in one file, mode 0600: a reader can never see halves of two pairs.
pub const BUNDLE_FILE: &str = "bundle.pem";

impl Store {
    /// Exports a slot and removes earlier exports, which may come back after a power cut and are then removed by the
    /// next start's export. Repeating it changes nothing.
    ///
    /// # Errors
    /// When the slot is not complete or the disk refuses.
    pub fn export(&self, slot: SlotId) -> Result<CertificateFacts, StoreFault> {
        let identity = self.identity(slot)?;
        let name = directory_name(slot);
        let swung = self.is_exported(&identity, &name);
        if !swung {
            self.write_export(&identity, &name)?;
        }
        if swung && self.exports()?.len() <= 1 {
            atomic::settle_dir(&*self.fs, &self.root)?;
        } else {
            // Once more where an attempt failed after the swing, which may not be durable: what the link would
            // then lead to after a power cut goes next.
            atomic::repoint(&*self.fs, &self.root, EXPORT_LINK, Path::new(&name))?;
        }
        self.remove_old_exports(&name)?;
        Ok(identity.certificate)
    }

    /// Whether the link leads to exactly this identity.
    pub(super) fn is_exported(&self, identity: &SlotIdentity, name: &str) -> bool {
        let link = self.fs.read_link(&self.root.join(EXPORT_LINK));
        let target = link.ok().and_then(|target| target.to_str().map(str::to_owned));
        let dir = self.root.join(name);
        target.as_deref() == Some(name)
            && files(identity).iter().all(|(file, _, content)| {
                let read = self.fs.read(&dir.join(file), MAX_FILE).map(Zeroizing::new);
                read.is_ok_and(|bytes| bytes.as_slice() == content.as_bytes())
            })
    }

    fn write_export(&self, identity: &SlotIdentity, name: &str) -> Result<(), StoreFault> {
        atomic::ensure_dir(&*self.fs, &self.root, name)?;
        let dir = self.root.join(name);
        for (file, mode, content) in &files(identity) {
            atomic::replace(&*self.fs, &dir, file, *mode, content.as_bytes())?;
        }
        Ok(())
    }

    fn remove_old_exports(&self, current: &str) -> Result<(), StoreFault> {
        for dir in self.exports()? {
            if dir.file_name().and_then(|name| name.to_str()) != Some(current) {
                atomic::remove_flat_dir(&*self.fs, &dir)?;
            }
        }
        Ok(())
    }

    /// The directories of exports, the current one and earlier ones.
    pub(super) fn exports(&self) -> Result<Vec<PathBuf>, StoreFault> {
        let entries = self.fs.list(&self.root).attempt("list", &self.root)?;
        let ours = entries.into_iter().filter(|entry| {
            let number = entry.name.to_str().and_then(|name| name.strip_prefix("export."));
            entry.is_dir && number.is_some_and(|number| number.parse::<u64>().is_ok())
        });
        Ok(ours.map(|entry| self.root.join(entry.name)).collect())
    }
}

pub(super) fn directory_name(slot: SlotId) -> String {
    format!("export.{slot}")
}

/// The files of an export: name, mode, content.
fn files(identity: &SlotIdentity) -> [(&'static str, u32, Zeroizing<String>); 3] {
    let key = identity.key.expose();
    let separator = if key.ends_with('\n') { "" } else { "\n" };
    [
        (KEY_FILE, SECRET, Zeroizing::new(key.to_owned())),
        (CERTIFICATE_FILE, PUBLIC, Zeroizing::new(identity.chain.clone())),
        (BUNDLE_FILE, SECRET, Zeroizing::new([key, separator, &identity.chain].concat())),
    ]
}
