//! How many streams of events and long files are sent at once: in all, to all who came in with one token, and to one session or
//! program. So nobody who was let in, and no page that opens one after the other, keeps the others out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::{Actor, Bearer, Via};
use crate::http::Answer;
use crate::pages;
use crate::seats::{Seat, Seats};

/// All of them.
const ALL: usize = 64;
/// Of one token, with all sessions that it has opened: a team may share it, and others find room beside it.
const TOKEN: usize = 32;
/// Of one session, or of whoever sends the token itself. A browser takes three for all its pages together (`live.js`).
const ONE: usize = 8;

/// Those that are taken.
#[derive(Debug)]
pub(crate) struct Streams {
    all: Arc<Semaphore>,
    tokens: Seats<Bearer>,
    ones: Seats<String>,
}

/// The place of a stream that is open.
#[derive(Debug)]
pub(crate) struct StreamPlace {
    _all: OwnedSemaphorePermit,
    _token: Option<Seat<Bearer>>,
    _one: Option<Seat<String>>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Crowded {
    /// Nobody gets one.
    #[error(
        "too many pages and files are open: {ALL} of all who are logged in; try again once some are closed"
    )]
    All,
    /// Nobody who came in with this token.
    #[error(
        "too many pages and files are open with this token: {TOKEN}, its sessions included; close some of them"
    )]
    Token,
    /// Not this session or program.
    #[error("too many pages and files are open: {ONE} of this session or program alone; close some of them")]
    One,
}

impl Default for Streams {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), tokens: Seats::new(TOKEN), ones: Seats::new(ONE) }
    }
}

impl Streams {
    /// A place for somebody.
    ///
    /// # Errors
    /// See [`Crowded`].
    pub(super) fn take(&self, actor: &Actor) -> Result<StreamPlace, Crowded> {
        // Where everybody is let in nobody is told from another.
        let is_known = actor.via != Via::Open;
        let one = is_known.then(|| self.ones.take(actor.name.clone()).ok_or(Crowded::One)).transpose()?;
        let token = actor.bearer.map(|bearer| self.tokens.take(bearer).ok_or(Crowded::Token)).transpose()?;
        let all = self.all.clone().try_acquire_owned().map_err(|_full| Crowded::All)?;
        Ok(StreamPlace { _all: all, _token: token, _one: one })
    }
}

impl Crowded {
    /// What whoever asked gets: 429 where it is their own doing (RFC 6585, 4), 503 where it is not.
    pub(super) fn answer(self) -> Answer {
        let code = if self == Self::All { 503 } else { 429 };
        pages::error_json(code, &self.to_string()).with("retry-after", "10")
    }
}
