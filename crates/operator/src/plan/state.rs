//! `state.json`: what set-up has made, or has begun to make, in which account; mode 0600, replaced whole.
//!
//! Tags say whose a resource is, and this file says what tags cannot: certificates take none, and a certificate that is
//! half removed hangs on nothing by which it could be found. An intention is durable before its call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cloud::{Identity, Key};
use crate::files::{self, FileError, PRIVATE};

/// The name of the file.
pub const STATE_FILE: &str = "state.json";
/// The form of the file that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what set-up writes.
    #[error(
        "{path} is damaged ({reason}); move it away: what is tagged is still found, certificates of ours may be left over",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A later version wrote it.
    #[error("{path} was written by a newer fleetkey (format {format}, this one reads {FORMAT})", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// It is about another account or region.
    #[error(
        "this fleet directory belongs to account {known} in {known_region}, the credentials are for {account} in \
         {region}; use --region and --profile, or another --fleet-dir"
    )]
    Elsewhere {
        /// The account of the directory.
        known: String,
        /// Its region.
        known_region: String,
        /// The account of the credentials.
        account: String,
        /// Their region.
        region: String,
    },
    /// It is another fleet's.
    #[error(
        "this fleet directory belongs to the fleet {known:?}, not to {asked:?}; use its --name-prefix, or another --fleet-dir"
    )]
    OtherFleet {
        /// The fleet of the directory.
        known: String,
        /// The fleet that was asked for.
        asked: String,
    },
}

/// A certificate of our own that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnCertificate {
    /// When its making was begun, by our clock.
    pub since: Timestamp,
    /// Its id, once the account has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CertificateId>,
}

/// What is known of one fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    format: u32,
    /// The fleet's name, as in the tag.
    pub fleet: String,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// Every resource whose making was begun.
    pub resources: BTreeSet<Key>,
    /// Our own certificates by role: `claim`, `observer`, `controller`.
    pub certificates: BTreeMap<String, OwnCertificate>,
    /// Certificates that are being removed.
    pub leaving: BTreeSet<CertificateId>,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl State {
    /// Nothing made yet.
    pub fn new(fleet: &str, identity: &Identity) -> Self {
        Self {
            format: FORMAT,
            fleet: fleet.to_owned(),
            account: identity.account.clone(),
            region: identity.region.clone(),
            resources: BTreeSet::new(),
            certificates: BTreeMap::new(),
            leaving: BTreeSet::new(),
        }
    }

    /// Reads the state in `directory`; `None` when nothing was ever made from there.
    ///
    /// # Errors
    /// When the file is there and cannot be understood.
    pub fn read(directory: &Path) -> Result<Option<Self>, StateError> {
        let path = directory.join(STATE_FILE);
        let Some(text) = files::read(&path)? else {
            return Ok(None);
        };
        let damaged =
            |error: serde_json::Error| StateError::Damaged { path: path.clone(), reason: error.to_string() };
        let head: Head = serde_json::from_slice(&text).map_err(damaged)?;
        if head.format > FORMAT {
            return Err(StateError::Newer { path, format: head.format });
        }
        serde_json::from_slice(&text).map(Some).map_err(damaged)
    }

    /// Refuses a directory of another account, region or fleet.
    ///
    /// # Errors
    /// [`StateError::Elsewhere`], [`StateError::OtherFleet`].
    pub fn belongs(&self, fleet: &str, identity: &Identity) -> Result<(), StateError> {
        if (&self.account, &self.region) != (&identity.account, &identity.region) {
            return Err(StateError::Elsewhere {
                known: self.account.clone(),
                known_region: self.region.clone(),
                account: identity.account.clone(),
                region: identity.region.clone(),
            });
        }
        if self.fleet != fleet {
            return Err(StateError::OtherFleet { known: self.fleet.clone(), asked: fleet.to_owned() });
        }
        Ok(())
    }

    /// Whether nothing is left that was made.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.certificates.is_empty() && self.leaving.is_empty()
    }

    /// Puts it on disk, durably.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), StateError> {
        let path = directory.join(STATE_FILE);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| StateError::Damaged { path: path.clone(), reason: error.to_string() })?;
        Ok(files::write(&path, &text, PRIVATE)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Kind;

    fn identity() -> Identity {
        Identity { account: "123456789012".into(), arn: "arn:aws:iam::1:user/a".into(), region: "r".into() }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(State::read(directory.path()).unwrap(), None);
        let mut state = State::new("default", &identity());
        state.resources.insert(Key::new(Kind::Policy, "DevicePolicy"));
        state.certificates.insert("claim".into(), OwnCertificate { since: Timestamp::default(), id: None });
        state.write(directory.path()).unwrap();
        assert_eq!(State::read(directory.path()).unwrap(), Some(state));
    }

    #[test]
    fn another_account_or_fleet_is_refused_with_a_way_out() {
        let state = State::new("default", &identity());
        assert!(state.belongs("default", &identity()).is_ok());
        let refused = state.belongs("acme", &identity()).unwrap_err();
        assert!(refused.to_string().contains("--name-prefix"), "{refused}");
        let other = Identity { region: "eu-west-1".into(), ..identity() };
        let refused = state.belongs("default", &other).unwrap_err();
        assert!(refused.to_string().contains("--region"), "{refused}");
    }

    #[test]
    fn a_damaged_or_newer_file_stops_the_run() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(STATE_FILE);
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(State::read(directory.path()), Err(StateError::Damaged { .. })));
        std::fs::write(&path, r#"{"format":9}"#).unwrap();
        assert!(matches!(State::read(directory.path()), Err(StateError::Newer { format: 9, .. })));
    }
}
