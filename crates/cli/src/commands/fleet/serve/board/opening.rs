//! Recovery windows that the API opens and closes, as `fleetkey recovery open` and `close` do.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use fleetkey_dashboard::fleet::Refused;
use fleetkey_model::name::SerialNumber;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::recovery::{Window, WindowError, Windows};

use super::super::super::{now, panic, recovery, with_windows};
use super::Board;
use super::office::{Manner, Office};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Arranged<T> {
    /// What was arranged.
    pub(in super::super) what: T,
    /// How many windows are open now.
    pub(in super::super) open: usize,
    /// What was changed in the account, in words.
    pub(in super::super) changed: Vec<String>,
}

impl Office {
    async fn arrange<T>(
        self,
        change: impl FnOnce(&mut Windows, Timestamp) -> Result<T, WindowError>,
        why: String,
    ) -> anyhow::Result<Arranged<T>> {
        let aws = self.account().await;
        let mut operator = self.operator(&aws, Manner::brief(false)).await?;
        // The intention first: what ends here the keeper of the windows goes on with.
        let (what, mut windows) = recovery::written(&self.directory, change)?;
        let left = "it is written down, and the controller goes on trying to carry it out";
        let wanted = with_windows(self.settings.wanted(operator.scope())?, &self.directory)?;
        let changed = operator.keep_windows(&wanted, &why).await.context(left)?;
        windows.settled();
        windows.write(&self.directory)?;
        Ok(Arranged { what, open: windows.open_at(now()).len(), changed })
    }

    async fn open_window(
        self,
        (serials, span): (BTreeSet<SerialNumber>, Duration),
        why: String,
    ) -> anyhow::Result<Arranged<Window>> {
        panic::none(&self.directory)?;
        let said = why.clone();
        let open = move |windows: &mut Windows, now: Timestamp| {
            let number = windows.open(now, serials, span, &said)?;
            windows.get(number).cloned().ok_or(WindowError::None(number))
        };
        self.arrange(open, why).await
    }
}

impl Board {
    /// Lets these devices come back by claim, for so long.
    ///
    /// # Errors
    /// In words, when a panic stands, or the account or the fleet directory is not to be had.
    pub(in super::super) async fn open_window(
        &self,
        whom: (BTreeSet<SerialNumber>, Duration),
        (by, why): (&str, String),
    ) -> Result<Arranged<Window>, Refused> {
        self.works.expect_rest()?;
        let why = format!("{why}, says {by}");
        let opened = self.office.work(&self.closed, move |office| office.open_window(whom, why)).await;
        self.doors.forget();
        opened
    }

    /// Closes the window of this number; whether it was open.
    ///
    /// # Errors
    /// In words, when there is no such window, or the account or the fleet directory is not to be had.
    pub(in super::super) async fn close_window(
        &self,
        number: u32,
        (by, why): (&str, String),
    ) -> Result<Arranged<bool>, Refused> {
        self.works.expect_rest()?;
        let why = format!("{why}, says {by}");
        let close = move |windows: &mut Windows, now: Timestamp| windows.close(now, Some(number));
        let closed = self.office.work(&self.closed, move |office| office.arrange(close, why)).await;
        self.doors.forget();
        closed
    }
}
