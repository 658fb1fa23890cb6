//! The dashboard of `serve`: its listener, the link that opens it, and its end.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use fleetkey_dashboard::server::{Dashboard, Parts};
use tokio::net::TcpListener;

use super::super::now;
use super::board::Board;
use crate::up;

/// The board, and the dashboard that shows it unless none is wanted.
#[derive(Debug)]
pub(super) struct Pages {
    board: Arc<Board>,
    dashboard: Option<Dashboard>,
}

impl Pages {
    /// Listens.
    ///
    /// # Errors
    /// When the port is taken, or the address is not loopback.
    pub(super) async fn open(board: Arc<Board>, address: Option<SocketAddr>) -> Result<Self> {
        let Some(address) = address else {
            return Ok(Self { board, dashboard: None });
        };
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; choose another with --dashboard (port 0 takes any free one)")
        })?;
        let parts =
            Parts { fleet: board.clone(), bench: None, hub: board.hub().clone(), clock: Arc::new(now) };
        let dashboard = Dashboard::start(listener, parts, up::access(|name| env::var(name).ok()))?;
        Ok(Self { board, dashboard: Some(dashboard) })
    }

    /// The link that opens it, once; for the terminal, not for a log.
    pub(super) fn url(&self) -> Option<&str> {
        self.dashboard.as_ref().map(Dashboard::url)
    }

    /// Serves nobody any more.
    pub(super) async fn close(self) {
        self.board.close();
        if let Some(dashboard) = self.dashboard {
            dashboard.stop().await;
        }
    }
}
