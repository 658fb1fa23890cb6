//! One slot: a key, its signing request, the certificate that came of it, and for a while its ownership token.
//!
//! Each file is written once by the write primitive. The certificate is the last: a slot with `cert.json` is
//! complete, and a token that belongs to another certificate (a request that was repeated) counts as none.

use std::path::Path;

use fleetkey_lifecycle::SlotId;
use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::provisioning::CertificateIssued;
use fleetkey_model::secret::{OwnershipToken, PrivateKeyPem};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::atomic::{self, PUBLIC, SECRET};
use super::fault::{Attempt, StoreFault};
use super::{Filesystem, SLOTS, Store};
use crate::keys::{Fingerprint, KeyError};

pub(super) const KEY: &str = "key.pem";
pub(super) const CSR: &str = "csr.pem";
pub(super) const CERTIFICATE: &str = "cert.json";
pub(super) const TOKEN: &str = "token";

/// No file of a slot is longer than this, in bytes.
pub(super) const MAX_FILE: u64 = 64 * 1024;

/// What TLS needs of a slot.
#[derive(Debug, Clone)]
pub struct SlotIdentity {
    /// The slot.
    pub slot: SlotId,
    /// The private key.
    pub key: PrivateKeyPem,
    /// The certificate chain, leaf first, PEM.
    pub chain: String,
    /// The facts of the leaf.
    pub certificate: CertificateFacts,
}

/// `cert.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateFile {
    pub(super) v: u32,
    pub(super) certificate_id: CertificateId,
    /// SHA-256 of the SubjectPublicKeyInfo, hex: says which key the file belongs to without parsing X.509.
    pub(super) public_key_sha256: String,
    pub(super) chain: String,
}

/// `token`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenFile {
    pub(super) certificate_id: CertificateId,
    pub(super) token: OwnershipToken,
    pub(super) received_at: Timestamp,
}

/// What `status` shows of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSummary {
    /// SHA-256 of its DER.
    pub id: CertificateId,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
}

/// The certificate in a slot of any state directory, without owning it or reading the key; `None` when there
/// is none that reads.
pub fn read_certificate(fs: &dyn Filesystem, root: &Path, slot: SlotId) -> Option<CertificateSummary> {
    let path = root.join(SLOTS).join(slot.to_string()).join(CERTIFICATE);
    let bytes = fs.read(&path, MAX_FILE).ok()?;
    let file: CertificateFile = serde_json::from_slice(&bytes).ok()?;
    let facts = CertificateFacts::from_pem(&file.chain).ok()?;
    Some(CertificateSummary { id: facts.id, not_before: facts.not_before, not_after: facts.not_after })
}

impl Store {
    /// Makes the slot's key durable, then its signing request. What is already there is kept, so that a repeated
    /// request has the same bytes, and is written once more: an attempt that failed, or a process that died, may
    /// have left it visible and not durable. Returns the SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// When the disk refuses, or holds a key that cannot be read.
    pub fn make_key(&self, slot: SlotId) -> Result<Vec<u8>, StoreFault> {
        let dir = self.ensure_slot(slot)?;
        let key = match self.key(slot)? {
            Some(key) => key,
            None => self.keys.generate().map_err(|error| StoreFault::key(&dir, &error))?,
        };
        let spki = self.keys.public_key(&key).map_err(|error| StoreFault::key(&dir.join(KEY), &error))?;
        atomic::replace(&*self.fs, &dir, KEY, SECRET, key.expose().as_bytes())?;
        let request = match atomic::read_optional(&*self.fs, &dir.join(CSR), MAX_FILE)? {
            Some(request) => request,
            None => {
                let request = self.keys.request(&key, &self.serial);
                request.map_err(|error| StoreFault::key(&dir, &error))?.into_bytes()
            }
        };
        atomic::replace(&*self.fs, &dir, CSR, PUBLIC, &request)?;
        Ok(spki)
    }

    /// The SubjectPublicKeyInfo of the slot's key in DER; changes nothing.
    ///
    /// # Errors
    /// When there is no key, it cannot be read, or the disk refuses.
    pub fn public_key(&self, slot: SlotId) -> Result<Vec<u8>, StoreFault> {
        let dir = self.slot_dir(slot);
        let key = self.key(slot)?;
        let key = key.ok_or_else(|| StoreFault::content("use", &dir, "the slot has no key"))?;
        self.keys.public_key(&key).map_err(|error| StoreFault::key(&dir.join(KEY), &error))
    }

    /// Makes the directory of a slot whose key the service will make.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn reserve(&self, slot: SlotId) -> Result<(), StoreFault> {
        self.ensure_slot(slot).map(|_| ())
    }

    /// The slot's signing request, PEM; the same bytes each time.
    ///
    /// # Errors
    /// When it is missing or the disk refuses.
    pub fn signing_request(&self, slot: SlotId) -> Result<String, StoreFault> {
        let path = self.slot_dir(slot).join(CSR);
        let bytes = self.fs.read(&path, MAX_FILE).attempt("read", &path)?;
        String::from_utf8(bytes).map_err(|_| StoreFault::content("read", &path, "not text"))
    }

    /// Stores what was issued: the key if the service made it, then the token, then the certificate. The cloud
    /// has acted already, so a full disk costs the ballast before it costs what came.
    ///
    /// # Errors
    /// When the certificate is none, or not for the slot's key (nothing is written then), or the disk refuses.
    pub fn store_certificate(
        &self,
        slot: SlotId,
        issued: &CertificateIssued,
        now: Timestamp,
    ) -> Result<CertificateFacts, StoreFault> {
        let dir = self.ensure_slot(slot)?;
        let facts = self.check_issued(slot, issued)?;
        if let Some(key) = &issued.private_key {
            // A new key makes an earlier certificate worthless; without it no crash leaves a false pair.
            atomic::remove_file(&*self.fs, &dir.join(CERTIFICATE))?;
            atomic::sync_dir(&*self.fs, &dir)?;
            self.recovery_write(&dir, KEY, SECRET, key.expose().as_bytes())?;
        }
        let token = TokenFile {
            certificate_id: facts.id,
            token: issued.certificate_ownership_token.clone(),
            received_at: now,
        };
        self.write_json(&dir, TOKEN, SECRET, &token)?;
        let certificate = CertificateFile {
            v: 1,
            certificate_id: facts.id,
            public_key_sha256: Fingerprint::of_certificate(&facts).to_string(),
            chain: issued.certificate_pem.clone(),
        };
        self.write_json(&dir, CERTIFICATE, PUBLIC, &certificate)?;
        Ok(facts)
    }

    /// The ownership token of the slot's certificate and when it came; `None` once it has been dropped.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn token(&self, slot: SlotId) -> Result<Option<(OwnershipToken, Timestamp)>, StoreFault> {
        let dir = self.slot_dir(slot);
        let Some(bytes) = atomic::read_optional(&*self.fs, &dir.join(TOKEN), MAX_FILE)? else {
            return Ok(None);
        };
        let bytes = Zeroizing::new(bytes);
        let Ok(file) = serde_json::from_slice::<TokenFile>(&bytes) else {
            return Ok(None);
        };
        let belongs = self
            .certificate(&dir)?
            .is_some_and(|certificate| certificate.certificate_id == file.certificate_id);
        Ok(belongs.then_some((file.token, file.received_at)))
    }

    /// Forgets the ownership token; one that is already gone is fine. Synced, because a token that comes back
    /// would, were the record lost as well, count the slot as never registered.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn drop_token(&self, slot: SlotId) -> Result<(), StoreFault> {
        let dir = self.slot_dir(slot);
        let path = dir.join(TOKEN);
        // Not removed unseen: on a read-only disk that fails even where there is nothing to remove.
        if atomic::read_optional(&*self.fs, &path, MAX_FILE)?.map(Zeroizing::new).is_none() {
            return atomic::settle_dir(&*self.fs, &dir);
        }
        atomic::remove_file(&*self.fs, &path)?;
        atomic::sync_dir(&*self.fs, &dir)
    }

    /// The key and certificate of a complete slot, checked against each other.
    ///
    /// # Errors
    /// When a part is missing, the two do not match, or the disk refuses.
    pub fn identity(&self, slot: SlotId) -> Result<SlotIdentity, StoreFault> {
        let dir = self.slot_dir(slot);
        let key = self.key(slot)?;
        let key = key.ok_or_else(|| StoreFault::content("use", &dir, "the slot has no key"))?;
        let file = self.certificate(&dir)?;
        let file = file.ok_or_else(|| StoreFault::content("use", &dir, "the slot has no certificate"))?;
        let certificate = self.check_pair(&dir, &key, &file)?;
        Ok(SlotIdentity { slot, key, chain: file.chain, certificate })
    }

    /// Destroys a slot, the key first; what is already gone is fine. The key loses its name before its content, so
    /// that no crash leaves half a key where a whole one is looked for, and its content before its blocks are free.
    ///
    /// # Errors
    /// When the disk refuses; calling again goes on where it stopped. That a key cannot be overwritten is none: it is
    /// removed all the same.
    pub fn destroy(&self, slot: SlotId) -> Result<(), StoreFault> {
        let dir = self.slot_dir(slot);
        if !self.lists_slot(slot)? {
            return atomic::settle_dir(&*self.fs, &self.slots());
        }
        let unnamed = dir.join(atomic::temporary_name(KEY)?);
        match self.fs.rename(&dir.join(KEY), &unnamed) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            renamed => renamed.attempt("rename into", &unnamed)?,
        }
        atomic::sync_dir(&*self.fs, &dir)?;
        for entry in self.entries(&dir)? {
            if is_unnamed_key(&entry.name) {
                self.wipe(&dir.join(entry.name));
            }
        }
        atomic::remove_flat_dir(&*self.fs, &dir)?;
        atomic::sync_dir(&*self.fs, &self.slots())
    }

    /// Overwrites a file that is about to be removed, best effort.
    pub(super) fn wipe(&self, path: &Path) {
        if let Err(fault) = self.fs.wipe(path).attempt("overwrite", path) {
            tracing::warn!(%fault, "a key is removed as it is");
        }
    }

    /// The slot's key, if there is one.
    pub(super) fn key(&self, slot: SlotId) -> Result<Option<PrivateKeyPem>, StoreFault> {
        let path = self.slot_dir(slot).join(KEY);
        let Some(bytes) = atomic::read_optional(&*self.fs, &path, MAX_FILE)? else {
            return Ok(None);
        };
        let bytes = Zeroizing::new(bytes);
        let text = core::str::from_utf8(&bytes)
            .map_err(|_| StoreFault::content("read", &path, KeyError::Unreadable.to_string()))?;
        Ok(Some(PrivateKeyPem::new(text)))
    }

    /// `cert.json`, if there is one.
    pub(super) fn certificate(&self, dir: &Path) -> Result<Option<CertificateFile>, StoreFault> {
        let path = dir.join(CERTIFICATE);
        let Some(bytes) = atomic::read_optional(&*self.fs, &path, MAX_FILE)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| StoreFault::content("read", &path, error.to_string()))
    }

    /// Proves that key and certificate belong together, by content.
    pub(super) fn check_pair(
        &self,
        dir: &Path,
        key: &PrivateKeyPem,
        file: &CertificateFile,
    ) -> Result<CertificateFacts, StoreFault> {
        let path = dir.join(CERTIFICATE);
        let facts = CertificateFacts::from_pem(&file.chain)
            .map_err(|error| StoreFault::content("use", &path, error.to_string()))?;
        let public = self.keys.public_key(key).map_err(|error| StoreFault::key(&dir.join(KEY), &error))?;
        if facts.public_key != public {
            return Err(StoreFault::content("use", dir, "the certificate is not for the slot's key"));
        }
        let fingerprint = Fingerprint::of_certificate(&facts).to_string();
        if facts.id != file.certificate_id || fingerprint != file.public_key_sha256 {
            return Err(StoreFault::content("use", &path, "the file contradicts its certificate"));
        }
        Ok(facts)
    }

    fn check_issued(&self, slot: SlotId, issued: &CertificateIssued) -> Result<CertificateFacts, StoreFault> {
        let dir = self.slot_dir(slot);
        let refuse = |reason: &str| StoreFault::content("store", &dir, reason);
        let facts = CertificateFacts::from_pem(&issued.certificate_pem)
            .map_err(|error| refuse(&error.to_string()))?;
        if facts.id != issued.certificate_id {
            return Err(refuse("the answer's certificate id is not the certificate's"));
        }
        let key = match &issued.private_key {
            Some(key) => key.clone(),
            None => self.key(slot)?.ok_or_else(|| refuse("the slot has no key"))?,
        };
        let public = self.keys.public_key(&key).map_err(|error| StoreFault::key(&dir, &error))?;
        if public != facts.public_key {
            return Err(refuse("the certificate is not for the slot's key"));
        }
        Ok(facts)
    }

    /// The directory of slots as well: at the start the disk may have refused to take it.
    pub(super) fn ensure_slot(&self, slot: SlotId) -> Result<std::path::PathBuf, StoreFault> {
        let slots = self.slots();
        if self.fs.list(&slots).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            atomic::ensure_dir(&*self.fs, &self.root, SLOTS)?;
        }
        atomic::ensure_dir(&*self.fs, &slots, &slot.to_string())?;
        Ok(self.slot_dir(slot))
    }

    fn lists_slot(&self, slot: SlotId) -> Result<bool, StoreFault> {
        let name = slot.to_string();
        let entries = self.entries(&self.slots())?;
        Ok(entries.iter().any(|entry| entry.name.to_str() == Some(&name)))
    }

    pub(super) fn write_json(
        &self,
        dir: &Path,
        name: &str,
        mode: u32,
        value: &impl Serialize,
    ) -> Result<(), StoreFault> {
        let path = dir.join(name);
        let bytes = serde_json::to_vec(value)
            .map(Zeroizing::new)
            .map_err(|error| StoreFault::content("encode", &path, error.to_string()))?;
        self.recovery_write(dir, name, mode, &bytes)
    }
}

/// Whether this is a key that was being written, or that is being destroyed.
pub(super) fn is_unnamed_key(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(&format!("{}{KEY}-", atomic::TEMPORARY)))
}
