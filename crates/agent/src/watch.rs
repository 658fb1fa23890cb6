//! A watch on another program's log: lines that tell of TLS trouble raise an alarm and, if so configured, a rotation.
//!
//! For clients that own the thing's session and tell nobody (Node-RED). What may follow is decided here, purely:
//! `may_rotate`. The rate is bounded by what is durable, the age of the identity in use, so that no restart and no
//! flood of lines makes a second rotation; and what a rotation itself stirs up falls within that span.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use fleetkey_lifecycle::Record;
use fleetkey_model::time::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::driver::{Order, Ordered};

pub use line::{Trouble, trouble};

mod follow;
mod line;

/// Trouble of one kind is told once in this time, with how often it was seen.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// Lines that wait.
const LINES: usize = 64;

/// What to watch, and what may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSettings {
    /// The log.
    pub log: LogSource,
    /// Whether a suspicious line starts a rotation that waits for nothing.
    pub rotate: bool,
    /// The age that the identity in use must have for that.
    pub spacing: Duration,
}

impl WatchSettings {
    /// Unless configured otherwise: at most one rotation a day.
    pub const SPACING: Duration = Duration::from_secs(24 * 3600);
}

/// Where a log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// A file; it may be replaced (logrotate) or emptied.
    File(PathBuf),
    /// A unit of the systemd journal, read by `journalctl`.
    Unit(String),
}

/// What was seen in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) trouble: Trouble,
    /// The words that gave it away.
    pub(crate) words: &'static str,
    /// How many such lines since the last sighting of the kind.
    pub(crate) lines: u64,
}

/// Whether a sighting may start a rotation now; if not, why.
pub(crate) fn may_rotate(
    settings: &WatchSettings,
    sighting: &Sighting,
    record: &Record,
    now: Timestamp,
) -> Result<(), &'static str> {
    if !settings.rotate {
        return Err("not configured to rotate");
    }
    if !sighting.trouble.is_suspicious() {
        return Err("an accident with files, which another rotation would not mend");
    }
    if record.current.is_none() || record.rotation.is_some() {
        return Err("a rotation is under way");
    }
    if now.since(record.current_since) < settings.spacing {
        return Err("the identity in use is fresh");
    }
    Ok(())
}

/// Watches until the driver is gone.
pub(crate) async fn watch(settings: Option<WatchSettings>, orders: mpsc::WeakSender<Ordered>) {
    let Some(settings) = settings else {
        return std::future::pending().await;
    };
    let (tell, lines) = mpsc::channel(LINES);
    let follow = async {
        match settings.log {
            LogSource::File(path) => follow::file(path, tell).await,
            LogSource::Unit(name) => follow::unit("journalctl".into(), name, tell).await,
        }
    };
    tokio::join!(follow, pass_on(lines, orders));
}

async fn pass_on(mut lines: mpsc::Receiver<String>, orders: mpsc::WeakSender<Ordered>) {
    let mut tally = Tally::default();
    while let Some(line) = lines.recv().await {
        let Some(sighting) = trouble(&line).and_then(|found| tally.count(found, Instant::now())) else {
            continue;
        };
        let Some(orders) = orders.upgrade() else { return };
        if orders.send(Order::Sighted(sighting).into()).await.is_err() {
            return;
        }
    }
}

/// What was seen lately, so that a flood of lines is told as one.
#[derive(Debug, Default)]
struct Tally(BTreeMap<Trouble, (Instant, u64)>);

impl Tally {
    /// A sighting, unless one of the kind was told just now.
    fn count(&mut self, (trouble, words): (Trouble, &'static str), now: Instant) -> Option<Sighting> {
        let (told, waiting) =
            self.0.get(&trouble).copied().map_or((None, 0), |(at, lines)| (Some(at), lines));
        let lines = waiting + 1;
        if let Some(told) = told.filter(|told| now.saturating_duration_since(*told) < TELL_AGAIN) {
            self.0.insert(trouble, (told, lines));
            return None;
        }
        self.0.insert(trouble, (now, 0));
        Some(Sighting { trouble, words, lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_lifecycle::SlotId;

    const SEEN: Sighting = Sighting { trouble: Trouble::ServerIdentity, words: "x", lines: 1 };
    const DAY: Duration = Duration::from_secs(86_400);

    fn settings() -> WatchSettings {
        WatchSettings { log: LogSource::Unit("nodered".into()), rotate: true, spacing: DAY }
    }

    fn record() -> Record {
        Record { current: Some(SlotId(1)), ..Record::fresh(Timestamp::default()) }
    }

    #[test]
    fn a_suspicious_line_rotates_an_identity_that_is_old_enough_and_no_other() {
        let (record, now) = (record(), Timestamp::from_secs(200_000));
        assert_eq!(may_rotate(&settings(), &SEEN, &record, now), Ok(()));
        let fresh = Record { current_since: now, ..record.clone() };
        assert!(may_rotate(&settings(), &SEEN, &fresh, now + DAY / 2).is_err());
        assert!(may_rotate(&settings(), &SEEN, &fresh, now + DAY).is_ok());
        let unborn = Record { current: None, ..record.clone() };
        assert!(may_rotate(&settings(), &SEEN, &unborn, now).is_err());
        let own = Sighting { trouble: Trouble::OwnCertificate, ..SEEN };
        assert!(may_rotate(&settings(), &own, &record, now).is_err());
        let quiet = WatchSettings { rotate: false, ..settings() };
        assert!(may_rotate(&quiet, &SEEN, &record, now).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_as_one_and_counted() {
        let mut tally = Tally::default();
        let line = (Trouble::Handshake, "renegotiation");
        assert_eq!(tally.count(line, Instant::now()).map(|seen| seen.lines), Some(1));
        for _ in 0..9 {
            assert_eq!(tally.count(line, Instant::now()), None);
        }
        assert!(tally.count((Trouble::OwnCertificate, "x"), Instant::now()).is_some(), "another kind");
        tokio::time::advance(TELL_AGAIN).await;
        assert_eq!(tally.count(line, Instant::now()).map(|seen| seen.lines), Some(10));
    }
}
