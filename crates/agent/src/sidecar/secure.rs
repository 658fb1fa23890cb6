//! Local clients on other machines: TLS under a local CA, and a password each.
//!
//! The CA is ours, lives long and stays on the device, so that no client is ever touched for its sake. The server's
//! certificate is made anew at every start, with a key that no disk ever sees. Clients are told apart by user name and
//! password; where they come in by TLS, nobody is let in without.

use std::path::PathBuf;
use std::sync::Arc;

use fleetkey_model::time::Timestamp;
use rustls::ServerConfig;
use rustls_pki_types::ServerName;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::tls::provider;

pub use users::{User, UsersError, new_user};

use authority::{Authority, AuthorityError};
use users::Users;

mod authority;
mod users;

/// Passwords that are checked at once.
const CHECKS: usize = 2;

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

impl TlsListen {
    /// A name that no client can know a server by: no host name, no address.
    pub(super) fn unfit_name(&self) -> Option<&str> {
        let host = |name: &str| ServerName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok();
        self.names.iter().map(String::as_str).find(|name| !host(name))
    }
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
    /// Passwords that may be checked at once.
    pub(super) checks: Arc<Semaphore>,
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
        let (acceptor, checks) = (TlsAcceptor::from(Arc::new(config)), Arc::new(Semaphore::new(CHECKS)));
        Ok(Self { acceptor, checks, users })
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
