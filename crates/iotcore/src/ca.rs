//! The two certificate authorities of the local IoT Core, made at first start and kept.
//!
//! As with AWS, what signs the server's certificate and what signs the devices' are unrelated:
//! - a **server root** (ECDSA P-256: small, fast, and every client verifies it), which issues the server's own
//!   short-lived certificate ([`ServerIdentity`]);
//! - a **device CA** (RSA 2048, SHA-256, with AWS's odd issuer name), which issues to devices
//!   ([`DeviceAuthority`]) and is trusted by nobody: a device's certificate counts because it is registered.
//!
//! Each key lies in one file of mode 0600 together with its certificate, so that no crash can leave a pair
//! that does not match. Open the registry's file first: its lock keeps a second process away from these.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::time::Timestamp;

pub use csr::{CsrError, MAX_CSR, SigningRequest};
pub use device::{DeviceAuthority, Minted, Term};
pub use error::CaError;
pub use server::{ServerIdentity, ServerResolver};

pub(crate) use file::write_private;

mod csr;
mod device;
mod error;
mod file;
mod key;
mod mint;
mod pair;
mod server;

/// What the authorities are to issue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaConfig {
    /// Names or addresses, besides localhost, 127.0.0.1 and ::1, that clients will use for the server.
    pub hosts: Vec<String>,
    /// How long device certificates are valid; `None` as AWS's, until 2049-12-31T23:59:59Z.
    pub device_validity: Option<Duration>,
}

/// Both authorities.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// The server's own certificate.
    pub server: Arc<ServerIdentity>,
    /// Issues to devices.
    pub devices: Arc<DeviceAuthority>,
}

impl Authorities {
    /// Reads the authorities in `directory`, making those that are not there. Blocks: an RSA key may be made.
    ///
    /// # Errors
    /// When a file cannot be read or written, is damaged, or a host is neither name nor address.
    pub fn open(directory: &Path, config: &CaConfig, now: Timestamp) -> Result<Self, CaError> {
        Ok(Self {
            server: Arc::new(ServerIdentity::open(directory, &config.hosts, now)?),
            devices: Arc::new(DeviceAuthority::open(directory, config.device_validity, now)?),
        })
    }

    /// The certificate that clients must trust, PEM, world-readable.
    pub fn root_ca_path(&self) -> PathBuf {
        self.server.root_path().to_owned()
    }
}

/// `N` random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], CaError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| CaError::Random(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
