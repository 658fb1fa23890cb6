//! The dashboard of `serve`: its listener, the link that opens it, and its end.

use std::sync::Arc;

use anyhow::Result;
use fleetkey_api::token::{Role, TokenRecord, Tokens};
use fleetkey_dashboard::access::{Roster, Scope, Token};
use fleetkey_dashboard::server::{Dashboard, Parts};

use super::super::now;
use super::board::Board;
use crate::args::DashboardArgs;
use crate::{front, tokens};

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
        let dashboard = front::open(args, parts, Some(roster(&board))).await?;
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

/// The tokens of the API, read each time: one that was revoked opens nothing from then on, and what it opened ends.
fn roster(board: &Board) -> Roster {
    let directory = board.office().directory.clone();
    Roster::new(move || {
        let kept = tokens::read(&directory).unwrap_or_else(|error| {
            tracing::error!(%error, "nobody can be let in by a token");
            Tokens::default()
        });
        kept.tokens.into_iter().filter_map(token).collect()
    })
}

/// As the dashboard has it; `None` for a record that is no hash.
fn token(record: TokenRecord) -> Option<Token> {
    let scope = match record.role {
        Role::Auditor => Scope::Auditor,
        Role::Operator => Scope::Operator,
        Role::Admin => Scope::Admin,
    };
    let hash = record.hash()?;
    Some(Token::hashed(record.name, scope, hash).ending(record.expires_at))
}
