//! The trusted server roots: a set of PEM files, read again for every connection.
//!
//! A root is rolled over by adding the new one, in a file of the set or as a file of its own, while the old one
//! is still valid. A set that has become unreadable does not take the device off line: the last good one serves.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Why the roots cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// A file cannot be read.
    #[error("cannot read the root certificate {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// A file holds no certificate that can be trusted.
    #[error("{} holds no root certificate in PEM", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No file is named.
    #[error("no root certificate is configured: without one no server can be trusted")]
    None,
}

/// A set of root files and the last set of roots that was good.
#[derive(Debug)]
pub struct Roots {
    paths: Vec<PathBuf>,
    last: Mutex<Option<Arc<RootCertStore>>>,
}

impl Roots {
    /// The roots in these files; nothing is read yet.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, last: Mutex::new(None) }
    }

    /// The roots as they are on disk now, or the last good set when a file has become unreadable.
    ///
    /// # Errors
    /// When they cannot be read and never could.
    pub fn load(&self) -> Result<Arc<RootCertStore>, RootsError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.read(), &*last) {
            (Ok(fresh), _) => {
                let fresh = Arc::new(fresh);
                *last = Some(fresh.clone());
                Ok(fresh)
            }
            (Err(error), Some(good)) => {
                tracing::warn!(%error, "the root certificates cannot be read again, the last good set serves");
                Ok(good.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    fn read(&self) -> Result<RootCertStore, RootsError> {
        if self.paths.is_empty() {
            return Err(RootsError::None);
        }
        let mut store = RootCertStore::empty();
        for path in &self.paths {
            let pem = std::fs::read(path)
                .map_err(|error| RootsError::Unreadable { path: path.clone(), reason: error.to_string() })?;
            let before = store.len();
            store.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
            if store.len() == before {
                return Err(RootsError::NoCertificate { path: path.clone() });
            }
        }
        Ok(store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::testing::self_signed;

    #[test]
    fn a_new_root_is_taken_without_a_restart_and_a_damaged_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roots.pem");
        let (old, new) = (self_signed("old").1, self_signed("new").1);
        std::fs::write(&path, &old).unwrap();
        let roots = Roots::new(vec![path.clone()]);
        assert_eq!(roots.load().unwrap().len(), 1);
        std::fs::write(&path, old + &new).unwrap();
        assert_eq!(roots.load().unwrap().len(), 2);
        std::fs::write(&path, "rubbish").unwrap();
        assert_eq!(roots.load().unwrap().len(), 2);
    }

    #[test]
    fn what_was_never_good_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none.pem");
        let missing = Roots::new(vec![path.clone()]).load().unwrap_err();
        assert!(missing.to_string().contains("none.pem"));
        std::fs::write(&path, "rubbish").unwrap();
        assert_eq!(Roots::new(vec![path.clone()]).load().unwrap_err(), RootsError::NoCertificate { path });
        assert_eq!(Roots::new(vec![]).load().unwrap_err(), RootsError::None);
    }
}
