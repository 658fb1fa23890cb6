//! The dashboard of `serve`: its listener, the link that opens it, and its end.

use std::sync::Arc;

use anyhow::Result;
use fleetkey_dashboard::server::{Dashboard, Parts};

use super::super::now;
use super::board::Board;
use crate::args::DashboardArgs;
use crate::front;

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
    /// As [`front::open`].
    pub(super) async fn open(board: Arc<Board>, args: &DashboardArgs) -> Result<Self> {
        let parts =
            Parts { fleet: board.clone(), bench: None, hub: board.hub().clone(), clock: Arc::new(now) };
        let dashboard = front::open(args, parts).await?;
        Ok(Self { board, dashboard })
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
