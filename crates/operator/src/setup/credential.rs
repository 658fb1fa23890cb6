//! A certificate and key of our own on disk: `ROLE/certificate.pem` and `ROLE/key.pem`.
//!
//! The private key is given out once, so it is durable before the certificate can do anything: made INACTIVE, written
//! to `ROLE.new`, given its policy, activated, and only then renamed to `ROLE`, which is the commit. A run cut short
//! anywhere before is picked up there. Files are written in place of the async runtime's thread: six of them, once.

use std::fmt;
use std::path::{Path, PathBuf};

use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::name::PolicyName;

use super::retry::{Retry, failed};
use super::{Outcome, SetupError, Step};
use crate::control_plane::{ApiError, ControlPlane};
use crate::files::{self, FileError};

/// A certificate with its key, on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The certificate's id.
    pub id: CertificateId,
    /// The certificate, PEM, readable by all.
    pub certificate: PathBuf,
    /// Its private key, PEM, readable by its owner.
    pub key: PathBuf,
}

/// Why a credential on disk cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A certificate file that is none.
    #[error("{path} holds no certificate ({reason}); move the directory away to have a new one made", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A certificate without its key.
    #[error("{path} is missing; move the directory away to have a new certificate made", path = path.display())]
    KeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The account has no such certificate.
    #[error("the account does not know the {role} certificate {id} in {path}: it is another account's, or was deleted; move the directory away to have a new one made", path = path.display(), id = id.short())]
    Unknown {
        /// `claim`, `observer` or `controller`.
        role: String,
        /// The certificate.
        id: CertificateId,
        /// Its directory.
        path: PathBuf,
    },
    /// Somebody has taken the certificate out of use; setup does not undo that.
    #[error("the {role} certificate {id} is {status}; activate it, or move {path} away to have a new one made", path = path.display(), id = id.short())]
    NotActive {
        /// `claim`, `observer` or `controller`.
        role: String,
        /// The certificate.
        id: CertificateId,
        /// What it is.
        status: CertificateStatus,
        /// Its directory.
        path: PathBuf,
    },
}

/// The keeper of the credentials in one directory.
pub(super) struct Keep<'a, C> {
    pub(super) control: &'a C,
    pub(super) retry: Retry,
    pub(super) directory: &'a Path,
}

impl<C: ControlPlane> Keep<'_, C> {
    /// Finds the credential of `role`, completes it, or makes it; in the end it is ACTIVE and has `policy`.
    pub(super) async fn ensure(
        &self,
        role: &str,
        policy: &PolicyName,
    ) -> Result<(Step, Credential), SetupError> {
        let resource = format!("{role} certificate");
        let home = self.directory.join(role);
        let (outcome, credential) = match load(&home)? {
            Some(credential) => (self.check(role, policy, &credential).await?, credential),
            None => (Outcome::Created, self.make(role, policy, &home).await?),
        };
        Ok((Step { resource, outcome }, credential))
    }

    /// An existing credential must be known and ACTIVE; a missing policy is attached again.
    async fn check(
        &self,
        role: &str,
        policy: &PolicyName,
        credential: &Credential,
    ) -> Result<Outcome, SetupError> {
        let id = credential.id;
        let path = self.directory.join(role);
        let role = role.to_owned();
        match self.status(&role, &id).await? {
            None => return Err(CredentialError::Unknown { role, id, path }.into()),
            Some(CertificateStatus::Active) => {}
            Some(status) => {
                return Err(CredentialError::NotActive { role, id, status, path }.into());
            }
        }
        let attached = self.retry.call(|| self.control.attached_policies(&id)).await;
        if attached.map_err(failed(&role))?.contains(policy) {
            return Ok(Outcome::Kept);
        }
        self.retry.call(|| self.control.attach_policy(policy, &id)).await.map_err(failed(&role))?;
        Ok(Outcome::Changed)
    }

    async fn make(&self, role: &str, policy: &PolicyName, home: &Path) -> Result<Credential, SetupError> {
        let draft = self.directory.join(format!("{role}.new"));
        let id = match self.resumable(role, &draft).await? {
            Some(id) => id,
            None => self.draft(role, &draft).await?,
        };
        self.retry.call(|| self.control.attach_policy(policy, &id)).await.map_err(failed(role))?;
        let active = CertificateStatus::Active;
        self.retry.call(|| self.control.update_certificate(&id, active)).await.map_err(failed(role))?;
        files::rename(&draft, home)?;
        Ok(Credential { id, certificate: certificate_in(home), key: key_in(home) })
    }

    /// The certificate of a draft that an earlier run left, if it is whole and can still be activated.
    async fn resumable(&self, role: &str, draft: &Path) -> Result<Option<CertificateId>, SetupError> {
        let Ok(Some(found)) = load(draft) else {
            discard(draft)?;
            return Ok(None);
        };
        let status = self.status(role, &found.id).await?;
        if status.is_some_and(|status| status.may_become(CertificateStatus::Active)) {
            return Ok(Some(found.id));
        }
        discard(draft)?;
        Ok(None)
    }

    async fn draft(&self, role: &str, draft: &Path) -> Result<CertificateId, SetupError> {
        let made = self.retry.call(|| self.control.create_keys_and_certificate(false)).await;
        let made = made.map_err(failed(role))?;
        files::make_directory(draft)?;
        files::write(&key_in(draft), made.private_key.expose().as_bytes(), files::PRIVATE)?;
        files::write(&certificate_in(draft), made.pem.as_bytes(), files::PUBLIC)?;
        Ok(made.id)
    }

    async fn status(&self, what: &str, id: &CertificateId) -> Result<Option<CertificateStatus>, SetupError> {
        match self.retry.call(|| self.control.describe_certificate(id)).await {
            Ok(found) => Ok(Some(found.status)),
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(failed(what)(error)),
        }
    }
}

/// Reads the credential in `home`; `None` when there is no certificate.
pub(super) fn load(home: &Path) -> Result<Option<Credential>, SetupError> {
    let (certificate, key) = (certificate_in(home), key_in(home));
    let Some(pem) = files::read(&certificate)? else {
        return Ok(None);
    };
    let unreadable = |reason: &dyn fmt::Display| CredentialError::Unreadable {
        path: certificate.clone(),
        reason: reason.to_string(),
    };
    let pem = String::from_utf8(pem).map_err(|error| unreadable(&error))?;
    let facts = CertificateFacts::from_pem(&pem).map_err(|error| unreadable(&error))?;
    if !key.try_exists().map_err(|error| FileError::new("read", &key, error))? {
        return Err(CredentialError::KeyMissing { path: key }.into());
    }
    Ok(Some(Credential { id: facts.id, certificate, key }))
}

/// Removes what a run left that was cut short before its certificate was on disk.
fn discard(draft: &Path) -> Result<(), FileError> {
    match std::fs::remove_dir_all(draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::new("remove", draft, error))
        }
        _ => Ok(()),
    }
}

fn certificate_in(home: &Path) -> PathBuf {
    home.join("certificate.pem")
}

fn key_in(home: &Path) -> PathBuf {
    home.join("key.pem")
}
