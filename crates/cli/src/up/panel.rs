//! The dashboard of a trial: its listener, who may come in, and its end.
//!
//! Of the demo that many come from, the environment is honoured: `API_TOKEN` is a token with all rights,
//! `FLASK_SECRET` signs sessions so that they outlive a restart, `SKIP_AUTH=1` lets everybody in.

use std::env;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use fleetkey_dashboard::access::{Access, Scope, SessionKey, Token};
use fleetkey_dashboard::hub::Hub;
use fleetkey_dashboard::server::{Dashboard, Parts, Tls};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_iotcore::server::Handle;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::board::Board;
use super::workbench::Workbench;
use crate::args::{DashboardArgs, UpArgs};
use crate::datadir::DataDir;
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
    /// When the port is taken, or the address is not loopback.
    pub(crate) async fn open(core: &Handle, args: &UpArgs) -> Result<Self> {
        let hub = Arc::new(Hub::new());
        let board = Board::open(core, hub.clone(), args.rotate_every);
        let workbench = Arc::new(Workbench::new(board.clone(), hub.clone()));
        if args.panel.no_dashboard {
            return Ok(Self { board, workbench, dashboard: None });
        }
        let address = args.panel.dashboard;
        let tls = tls(&args.panel)?;
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; choose another with --dashboard (port 0 takes any free one)")
        })?;
        let clock = Arc::new(|| SystemClock.now());
        let parts = Parts { fleet: board.clone(), bench: Some(workbench.clone()), hub, clock };
        let access = access(|name| env::var(name).ok());
        let dashboard = match tls {
            Some(tls) => Dashboard::start_tls(listener, tls, parts, access),
            None => Dashboard::start(listener, parts, access),
        }?;
        Ok(Self { board, workbench, dashboard: Some(dashboard) })
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

    /// Serves nobody any more.
    pub(crate) async fn close(self) {
        self.board.close();
        if let Some(dashboard) = self.dashboard {
            dashboard.stop().await;
        }
        self.workbench.close().await;
    }
}

/// The certificate that the flags name.
fn tls(args: &DashboardArgs) -> Result<Option<Tls>> {
    let (Some(chain), Some(key)) = (&args.dashboard_certificate, &args.dashboard_key) else {
        return Ok(None);
    };
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (chain, key) = (read(chain)?, Zeroizing::new(read(key)?));
    Ok(Some(Tls::from_pem(&chain, &key)?))
}

/// Who may come in, besides by the link. An empty variable counts as none.
pub(crate) fn access(variable: impl Fn(&str) -> Option<String>) -> Access {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    Access {
        tokens: given("API_TOKEN")
            .map(|text| Token::new("API_TOKEN", Scope::Admin, &text))
            .into_iter()
            .collect(),
        session_key: given("FLASK_SECRET").map(|text| SessionKey::new(&text)),
        open: given("SKIP_AUTH").is_some_and(|value| value == "1" || value == "true"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_environment_is_honoured_and_an_empty_variable_is_none() {
        let none = access(|_| Some(String::new()));
        assert!(none.tokens.is_empty() && none.session_key.is_none() && !none.open);
        let all = access(|name| Some(if name == "SKIP_AUTH" { "1" } else { "secret" }.to_owned()));
        assert!(all.tokens.len() == 1 && all.session_key.is_some() && all.open);
        assert!(!access(|_| Some("0".to_owned())).open);
    }
}
