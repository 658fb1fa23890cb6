//! Our own certificates: `ROLE/certificate.pem` and `ROLE/key.pem`, made so that none is ever lost.
//!
//! The key is ours and durable before the account hears of it, so a certificate whose making was never answered is
//! found again by its public key; CreateKeysAndCertificate would leave one that nobody can tell from a stranger's.
//! Made INACTIVE, written to `ROLE.new`, given its policy, activated, and only then renamed to `ROLE`: the commit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::name::PolicyName;
use fleetkey_model::secret::PrivateKeyPem;
use serde_json::json;

use super::apply::waiting;
use super::{Action, Change, Operator, OwnCertificate, PlanError, Tools};
use crate::cloud::{Cloud, Issued};
use crate::control_plane::ApiError;
use crate::documents::Fleet;
use crate::files::{self, FileError};
use crate::setup::Credential;

/// Why a certificate of ours cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialFault {
    /// A file that holds something else.
    #[error("{path} cannot be used ({reason}); move its directory away to have a new one made", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The account does not know it, or somebody took it out of use; set-up does not undo that.
    #[error("the {role} certificate {id} is {status} in the account; move {path} away to have a new one made", path = path.display(), id = id.short())]
    NotActive {
        /// `claim`, `observer` or `controller`.
        role: String,
        /// The certificate.
        id: CertificateId,
        /// Its status, or `unknown`.
        status: String,
        /// Its directory.
        path: PathBuf,
    },
}

/// The roles and their policies, in the order in which they are made.
pub(super) fn roles(fleet: &Fleet) -> [(&'static str, &PolicyName); 3] {
    let names = &fleet.names;
    [
        ("claim", &names.claim_policy),
        ("observer", &names.observer_policy),
        ("controller", &names.controller_policy),
    ]
}

impl<C: Cloud> Operator<'_, C> {
    /// What is to be done about the certificate of a role.
    pub(super) async fn credential_action(
        &self,
        role: &str,
        policy: &PolicyName,
    ) -> Result<Action, PlanError> {
        let home = self.directory.join(role);
        let Some(credential) = load(&home)? else {
            return Ok(Action::Create);
        };
        let id = credential.id;
        let cloud = self.tools.cloud;
        let call = self.tools.making.call(|_| {}, || cloud.describe_certificate(&id)).await;
        let status = match call {
            Ok(found) if found.status == CertificateStatus::Active => None,
            Ok(found) => Some(found.status.to_string()),
            Err(ApiError::NotFound(_)) => Some("unknown".to_owned()),
            Err(error) => return Err(failed(role)(error)),
        };
        if let Some(status) = status {
            return Err(CredentialFault::NotActive { role: role.to_owned(), id, status, path: home }.into());
        }
        let attached = self.tools.making.call(|_| {}, || cloud.attached_policies(&id)).await;
        let attached = attached.map_err(failed(role))?.contains(policy);
        Ok(if attached { Action::Keep } else { Action::Change(vec!["policies"]) })
    }

    /// Finds the certificate of a role, completes it, or makes it.
    pub(super) async fn ensure_credential(
        &mut self,
        role: &'static str,
        policy: &PolicyName,
    ) -> Result<Credential, PlanError> {
        match self.credential_action(role, policy).await? {
            Action::Create => self.make_credential(role, policy).await,
            action => {
                let home = self.directory.join(role);
                let credential = load(&home)?.ok_or_else(|| CredentialFault::Unreadable {
                    path: home,
                    reason: "it has just gone away".into(),
                })?;
                if action != Action::Keep {
                    self.activate(role, policy, &credential.id).await?;
                }
                Ok(credential)
            }
        }
    }

    /// Makes a certificate for a role and puts it in the place of whatever was there.
    pub(super) async fn make_credential(
        &mut self,
        role: &'static str,
        policy: &PolicyName,
    ) -> Result<Credential, PlanError> {
        let home = self.directory.join(role);
        let draft = self.directory.join(format!("{role}.new"));
        let issued = self.draft(role, &draft).await?;
        self.activate(role, policy, &issued.id).await?;
        files::rename(&draft, &home)?;
        Ok(Credential { id: issued.id, certificate: certificate_in(&home), key: key_in(&home) })
    }

    /// A certificate in `draft`: the one that an earlier run left there, or a new one.
    async fn draft(&mut self, role: &'static str, draft: &Path) -> Result<Issued, PlanError> {
        let key = match read_key(draft)? {
            Some(key) => key,
            None => self.new_key(draft)?,
        };
        self.intend(role)?;
        let issued = match self.issued(role, &key).await? {
            Some(issued) => issued,
            None => self.issue(role, &key).await?,
        };
        files::write(&certificate_in(draft), issued.pem.as_bytes(), files::PUBLIC)?;
        let since = self.state.certificates.get(role).map_or_else(|| self.now(), |own| own.since);
        self.state.certificates.insert(role.to_owned(), OwnCertificate { since, id: Some(issued.id) });
        self.save()?;
        Ok(issued)
    }

    fn new_key(&self, draft: &Path) -> Result<PrivateKeyPem, PlanError> {
        let key = self.tools.keys.generate().map_err(unusable(draft))?;
        files::make_directory(draft)?;
        files::write(&key_in(draft), key.expose().as_bytes(), files::PRIVATE)?;
        Ok(key)
    }

    /// Notes durably that a certificate is about to be made, unless an earlier run has.
    fn intend(&mut self, role: &'static str) -> Result<(), PlanError> {
        if self.state.certificates.get(role).is_some_and(|own| own.id.is_none()) {
            return Ok(());
        }
        let own = OwnCertificate { since: self.now(), id: None };
        self.state.certificates.insert(role.to_owned(), own);
        self.save()
    }

    /// The certificate that the account has issued for a key; of several, which only a lost answer explains, one is
    /// kept and the others go.
    async fn issued(&mut self, role: &str, key: &PrivateKeyPem) -> Result<Option<Issued>, PlanError> {
        let found = self.all_issued(role, key).await?;
        let mut usable =
            found.into_iter().filter(|issued| issued.status.may_become(CertificateStatus::Active));
        let kept = usable.next();
        let rest: Vec<_> = usable.collect();
        for extra in rest {
            self.remove_certificate(&extra.id).await?;
        }
        Ok(kept)
    }

    async fn all_issued(&self, role: &str, key: &PrivateKeyPem) -> Result<Vec<Issued>, PlanError> {
        let Some(own) = self.state.certificates.get(role) else {
            return Ok(Vec::new());
        };
        let public_key = self.tools.keys.public_key(key).map_err(unusable(&self.directory.join(role)))?;
        let cloud = self.tools.cloud;
        let since = own.since;
        let call = self.tools.making.call(|_| {}, || cloud.certificates_for_key(&public_key, since)).await;
        call.map_err(failed(role))
    }

    async fn issue(&mut self, role: &'static str, key: &PrivateKeyPem) -> Result<Issued, PlanError> {
        let name = format!("fleetkey-{}-{role}", self.state.fleet);
        let csr = self.tools.keys.request(key, &name).map_err(unusable(&self.directory.join(role)))?;
        let what = format!("{role} certificate");
        let change = Change { action: "create", what: what.clone(), why: None, before: None, after: None };
        let ask = async |tools: &Tools<'_, C>| {
            // Once: a call whose answer is lost may have made one, which the next run finds.
            match tools.cloud.certificate_from_csr(&csr).await {
                Err(ApiError::Throttled) => {
                    let call = || tools.cloud.certificate_from_csr(&csr);
                    tools.making.call(waiting(tools, &what), call).await
                }
                answer => answer,
            }
        };
        let made = |issued: &Issued| Some(json!({ "certificate": issued.id, "status": issued.status }));
        let issued = self.journaled_as(change, ask, made).await;
        match issued {
            Err(PlanError::Call { error: ApiError::Unavailable(reason), what }) => {
                match self.issued(role, key).await? {
                    Some(found) => Ok(found),
                    None => Err(PlanError::Call { what, error: ApiError::Unavailable(reason) }),
                }
            }
            answer => answer,
        }
    }

    async fn activate(
        &mut self,
        role: &'static str,
        policy: &PolicyName,
        id: &CertificateId,
    ) -> Result<(), PlanError> {
        let what = format!("{role} certificate {}", id.short());
        let after =
            Some(json!({ "certificate": id, "status": CertificateStatus::Active, "policies": [policy] }));
        let change = Change { action: "activate", what: what.clone(), why: None, before: None, after };
        self.journaled(change, async |tools: &Tools<'_, C>| {
            let wait = || waiting(tools, &what);
            tools.making.call(wait(), || tools.cloud.attach_policy(policy, id)).await?;
            let active = CertificateStatus::Active;
            tools.making.call(wait(), || tools.cloud.update_certificate(id, active)).await
        })
        .await
    }

    /// Removes the certificate of a role from the account and its files from the directory; what, in words.
    pub(super) async fn remove_credential(&mut self, role: &'static str) -> Result<Vec<String>, PlanError> {
        let ids = self.credential_ids(role).await?;
        for id in &ids {
            self.remove_certificate(id).await?;
        }
        for home in self.homes(role) {
            discard(&home)?;
        }
        if self.state.certificates.remove(role).is_some() {
            self.save()?;
        }
        Ok(ids.iter().map(|id| format!("{role} certificate {}", id.short())).collect())
    }

    /// The certificates of a role: what is on record, in its files, and what the account has issued for their keys.
    pub(super) async fn credential_ids(&self, role: &str) -> Result<BTreeSet<CertificateId>, PlanError> {
        let mut ids = self.recorded_ids(role);
        for home in self.homes(role) {
            // A key without a certificate: its making may never have been answered.
            if let Some(key) = read_key(&home)? {
                ids.extend(self.all_issued(role, &key).await?.iter().map(|issued| issued.id));
            }
        }
        Ok(ids)
    }

    /// Those of them that are on record or in its files: nothing is asked.
    pub(super) fn recorded_ids(&self, role: &str) -> BTreeSet<CertificateId> {
        let recorded = self.state.certificates.get(role).and_then(|own| own.id);
        let filed = |home: &PathBuf| load(home).ok().flatten().map(|credential| credential.id);
        recorded.into_iter().chain(self.homes(role).iter().filter_map(filed)).collect()
    }

    /// The directories that may hold a credential of a role.
    fn homes(&self, role: &str) -> [PathBuf; 3] {
        ["", ".new", ".old"].map(|end| self.directory.join(format!("{role}{end}")))
    }
}

/// Reads the credential in `home`; `None` when it holds no certificate.
pub(super) fn load(home: &Path) -> Result<Option<Credential>, PlanError> {
    let (certificate, key) = (certificate_in(home), key_in(home));
    let Some(pem) = files::read(&certificate)? else {
        return Ok(None);
    };
    let pem = String::from_utf8(pem).map_err(unusable(&certificate))?;
    let facts = CertificateFacts::from_pem(&pem).map_err(unusable(&certificate))?;
    if files::read(&key)?.is_none() {
        return Err(unusable(&key)("it is missing").into());
    }
    Ok(Some(Credential { id: facts.id, certificate, key }))
}

fn read_key(home: &Path) -> Result<Option<PrivateKeyPem>, PlanError> {
    let path = key_in(home);
    let Some(text) = files::read(&path)? else {
        return Ok(None);
    };
    let text = String::from_utf8(text).map_err(|_| unusable(&path)("it is no text"))?;
    Ok(Some(PrivateKeyPem::new(text)))
}

/// Removes a credential's directory.
pub(super) fn discard(home: &Path) -> Result<(), FileError> {
    match std::fs::remove_dir_all(home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::new("remove", home, error))
        }
        _ => Ok(()),
    }
}

pub(super) fn certificate_in(home: &Path) -> PathBuf {
    home.join("certificate.pem")
}

pub(super) fn key_in(home: &Path) -> PathBuf {
    home.join("key.pem")
}

fn unusable<E: ToString>(path: &Path) -> impl FnOnce(E) -> CredentialFault + use<E> {
    let path = path.to_owned();
    move |reason| CredentialFault::Unreadable { path, reason: reason.to_string() }
}

pub(super) fn failed(what: &str) -> impl FnOnce(ApiError) -> PlanError + use<> {
    let what = what.to_owned();
    move |error| PlanError::Call { what, error }
}
