//! The dashboard of a trial: what it shows, and its end.

use std::sync::Arc;

use anyhow::Result;
use fleetkey_dashboard::hub::Hub;
use fleetkey_dashboard::server::{Dashboard, Parts};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_iotcore::server::Handle;

use super::board::Board;
use super::workbench::Workbench;
use crate::args::UpArgs;
use crate::datadir::DataDir;
use crate::front;
use crate::stage::Stage;

/// The board, and the dashboard that shows it unless none is wanted.
#[derive(Debug)]
pub(crate) struct Panel {
    board: Arc<Board>,
    workbench: Arc<Workbench>,
    dashboard: Option<Dashboard>,
}

impl Panel {
    /// Listens as the flags say.
    ///
    /// # Errors
    /// As [`front::open`].
    pub(crate) async fn open(core: &Handle, args: &UpArgs) -> Result<Self> {
        let hub = Arc::new(Hub::new());
        let board = Board::open(core, hub.clone(), args.rotate_every);
        let workbench = Arc::new(Workbench::new(board.clone(), hub.clone()));
        let clock = Arc::new(|| SystemClock.now());
        let parts = Parts { fleet: board.clone(), bench: Some(workbench.clone()), hub, clock };
        let dashboard = front::open(&args.panel, parts, None).await?;
        Ok(Self { board, workbench, dashboard })
    }

    /// What the pages show.
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The account is set up: devices can be tried by hand.
    pub(crate) fn set_up(&self, data: &DataDir, stage: &Stage) {
        self.workbench.ready(data, stage.file());
        self.board.set_up(stage);
    }

    /// The link that opens the dashboard.
    pub(crate) fn url(&self) -> Option<&str> {
        self.dashboard.as_ref().map(Dashboard::url)
    }

    /// No device is tried any more.
    pub(crate) async fn rest(&self) {
        self.workbench.close().await;
    }

    /// Serves nobody any more.
    pub(crate) async fn close(self) {
        self.board.close();
        if let Some(dashboard) = self.dashboard {
            dashboard.stop().await;
        }
        self.board.ended().await;
        self.workbench.close().await;
    }
}
