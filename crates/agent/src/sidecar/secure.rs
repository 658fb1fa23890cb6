//! Local clients on other machines: TLS under a local CA, and a password each.
//!
//! The CA is ours, lives long and stays on the device, so that no client is ever touched for its sake. The server's
//! certificate is made anew at every start, with a key that no disk ever sees. Clients are told apart by user name and
//! password; where they come in by TLS, nobody is let in without.

use std::path::PathBuf;
use std::sync::Arc;

use fleetkey_model::time::Timestamp;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::tls::provider;

pub use users::{User, UsersError, new_user};

use authority::{Authority, AuthorityError};
use users::Users;

mod authority;
mod users;

/// A place where clients come in by TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsListen {
    /// The address and port.
    pub address: std::net::SocketAddr,
    /// The host names and addresses that clients know it by.
    pub names: Vec<String>,
    /// Where the local CA is kept; made, with mode 0700, when it is not there. Clients trust `ca.pem` in it.
    pub directory: PathBuf,
    /// The file with the users, one line each (`fleetkey-agent user NAME` makes one). Read at every CONNECT, so that a
    /// user can be added or removed without a restart.
    pub users: PathBuf,
}

/// Why clients cannot be taken by TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecureError {
    /// The local CA cannot be made or read.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The users cannot be read.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// TLS does not take what we made.
    #[error("TLS: {0}")]
    Tls(String),
}

/// What a listener needs.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) acceptor: TlsAcceptor,
    users: Users,
}

impl Guard {
    /// Reads or makes the CA, and a certificate for the server. Blocks for as long as a few small files take.
    pub(super) fn open(listen: &TlsListen, now: Timestamp) -> Result<Self, SecureError> {
        let users = Users::new(listen.users.clone());
        users.read()?;
        let authority = Authority::open(&listen.directory, now)?;
        let (chain, key) = authority.server(&listen.names, now)?;
        let refuse = |error: rustls::Error| SecureError::Tls(error.to_string());
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(refuse)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(refuse)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), users })
    }

    /// Whether there is such a user with that password. Blocks for as long as it takes to hash it.
    pub(super) fn admits(&self, name: Option<&str>, password: Option<&[u8]>) -> bool {
        match self.users.read() {
            Ok(users) => users::admits(&users, name.unwrap_or_default(), password.unwrap_or_default()),
            Err(error) => {
                tracing::error!(%error, "nobody is let in");
                false
            }
        }
    }
}

impl core::fmt::Debug for Guard {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Guard").field("users", &self.users).finish_non_exhaustive()
    }
}
