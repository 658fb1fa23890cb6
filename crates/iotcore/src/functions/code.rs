//! Where code lies: the zip files, which are the truth and durable, and what they unpack to, which is made anew by
//! every start of this program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::FunctionError;
use super::archive::{ArchiveError, Limits, unpack};
use super::record::CodeRef;
use crate::ca::write_private;

/// The zip files and their unpacked twins. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Code(Arc<Places>);

#[derive(Debug)]
struct Places {
    zips: PathBuf,
    unpacked: PathBuf,
    /// By SHA-256. A directory goes when it is taken out here and the last invocation in it has ended.
    ready: Mutex<BTreeMap<String, Arc<TempDir>>>,
}

impl Code {
    pub(super) fn new(zips: PathBuf, unpacked: PathBuf) -> Self {
        Self(Arc::new(Places { zips, unpacked, ready: Mutex::default() }))
    }

    /// Unpacks a zip file and keeps it; returns when it is durable.
    ///
    /// # Errors
    /// When it is none that Lambda would take, or the disk fails.
    pub(super) async fn put(&self, bytes: Vec<u8>) -> Result<CodeRef, FunctionError> {
        self.blocking(move |places| {
            let code = reference(&bytes);
            places.unpack(&code.sha256, &bytes)?;
            write_private(&places.zip(&code.sha256), &bytes).map_err(ArchiveError::Disk)?;
            Ok(code)
        })
        .await
    }

    /// The directory with the code. It stays at least until the value is dropped.
    ///
    /// # Errors
    /// When the zip file is gone or is not what it was.
    pub(super) async fn directory(&self, code: &CodeRef) -> Result<Arc<TempDir>, FunctionError> {
        if let Some(ready) = self.0.ready(&code.sha256) {
            return Ok(ready);
        }
        let code = code.clone();
        self.blocking(move |places| {
            let path = places.zip(&code.sha256);
            let bytes = fs::read(&path).map_err(ArchiveError::Disk)?;
            if reference(&bytes) != code {
                let message = format!("{} is damaged: update the function's code", path.display());
                return Err(FunctionError::Failure(message));
            }
            places.unpack(&code.sha256, &bytes)
        })
        .await
    }

    /// Removes every other code. What cannot be removed is logged and tried again next time.
    pub(super) async fn keep_only(&self, used: BTreeSet<String>) {
        let swept = self.blocking(move |places| {
            // Dropped after the lock: dropping removes directories.
            let unused: Vec<_> = {
                let mut ready = places.ready.lock().unwrap_or_else(PoisonError::into_inner);
                let (keep, drop) =
                    std::mem::take(&mut *ready).into_iter().partition(|(sha, _)| used.contains(sha));
                *ready = keep;
                let drop: BTreeMap<_, _> = drop;
                drop.into_values().collect()
            };
            drop(unused);
            for entry in fs::read_dir(&places.zips).map_err(ArchiveError::Disk)? {
                let path = entry.map_err(ArchiveError::Disk)?.path();
                let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                if !used.contains(name) {
                    fs::remove_file(&path).map_err(ArchiveError::Disk)?;
                }
            }
            Ok(())
        });
        if let Err(error) = swept.await {
            tracing::warn!(%error, "code that no function uses was not removed");
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Places) -> Result<T, FunctionError> + Send + 'static,
    ) -> Result<T, FunctionError> {
        let places = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&places)).await;
        done.unwrap_or_else(|died| Err(FunctionError::Failure(died.to_string())))
    }
}

impl Places {
    fn zip(&self, sha256: &str) -> PathBuf {
        self.zips.join(format!("{sha256}.zip"))
    }

    fn ready(&self, sha256: &str) -> Option<Arc<TempDir>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).get(sha256).cloned()
    }

    fn unpack(&self, sha256: &str, bytes: &[u8]) -> Result<Arc<TempDir>, FunctionError> {
        if let Some(ready) = self.ready(sha256) {
            return Ok(ready);
        }
        let directory = private_directory(&self.unpacked).map_err(ArchiveError::Disk)?;
        unpack(bytes, directory.path(), Limits::AWS)?;
        let directory = Arc::new(directory);
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(ready.entry(sha256.to_owned()).or_insert(directory).clone())
    }
}

/// A directory for its owner alone that is removed when the value is dropped.
pub(super) fn private_directory(parent: &Path) -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("").tempdir_in(parent)
}

fn reference(bytes: &[u8]) -> CodeRef {
    let digest = Sha256::digest(bytes);
    CodeRef {
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        sha256_base64: Base64::encode_string(&digest),
        size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
    }
}
