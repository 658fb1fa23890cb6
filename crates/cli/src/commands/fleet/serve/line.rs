//! The controller's way to the broker. Its identity is read anew for each connection: one that set-up has made meanwhile is
//! taken up, and one that a clean-up took away keeps nobody from the pages that bring it back.

use std::io;

use anyhow::{Context, Result};
use fleetkey_agent::tls::{ClientIdentity, Dialer, Stream};
use fleetkey_operator::controller::Connector;

use crate::fleet_file::KeyPair;

/// Mutual TLS, like any client.
#[derive(Debug)]
pub(super) struct Line {
    dialer: Dialer,
    pair: KeyPair,
}

impl Line {
    /// By this pair of files. Where one cannot be read and there are no pages, nobody could help it.
    ///
    /// # Errors
    /// Then.
    pub(super) fn new(dialer: Dialer, pair: KeyPair, has_pages: bool) -> Result<Self> {
        let line = Self { dialer, pair };
        let identity = line.identity().map(drop);
        let identity = identity.context("the controller's identity cannot be read; fleetkey setup makes it");
        match identity {
            Err(error) if has_pages => tracing::warn!("{error:#}"),
            answer => answer?,
        }
        Ok(line)
    }

    fn identity(&self) -> io::Result<ClientIdentity> {
        ClientIdentity::from_files(&self.pair.certificate, &self.pair.key).map_err(io::Error::other)
    }
}

impl Connector for Line {
    type Stream = Stream;

    async fn connect(&self) -> io::Result<Stream> {
        self.dialer.dial(&self.identity()?).await.map_err(io::Error::other)
    }
}
