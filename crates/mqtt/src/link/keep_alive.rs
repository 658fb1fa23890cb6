//! When to send PINGREQ, and when silence means death (MQTT 5 §3.1.2.10). Reads no clock.

use std::time::Duration;

use tokio::time::Instant;

/// The times of one connection.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// `None`: the connection is not kept alive, and its death is noticed by writing alone.
    interval: Option<Duration>,
    timeout: Duration,
    last_sent: Instant,
    last_heard: Instant,
    /// When the PINGREQ that is not answered was made.
    pinged: Option<Instant>,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Ping,
    Dead,
    /// Nothing before then.
    At(Instant),
    Never,
}

impl KeepAlive {
    /// `seconds` as CONNECT or the server has it: 0 is never.
    pub(super) fn new(seconds: u16, timeout: Duration, now: Instant) -> Self {
        let interval = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        Self { interval, timeout, last_sent: now, last_heard: now, pinged: None }
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Any byte proves that the broker lives.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    pub(super) fn pinged(&mut self, now: Instant) {
        self.last_sent = now;
        self.pinged.get_or_insert(now);
    }

    pub(super) fn answered(&mut self) {
        self.pinged = None;
    }

    pub(super) fn due(&self, now: Instant, reading: bool) -> Due {
        let Some(interval) = self.interval else {
            return Due::Never;
        };
        let ping = self.next_ping(interval);
        let death = self.pinged.filter(|_| reading).map(|pinged| pinged.max(self.last_heard) + self.timeout);
        match death {
            Some(death) if death <= now => Due::Dead,
            _ if ping <= now => Due::Ping,
            Some(death) => Due::At(death.min(ping)),
            None => Due::At(ping),
        }
    }

    /// The broker must hear something every interval. And it must be heard: a client that only sends learns in
    /// no other way that its peer is gone.
    fn next_ping(&self, interval: Duration) -> Instant {
        let quiet = if self.pinged.is_some() { self.last_sent } else { self.last_sent.min(self.last_heard) };
        quiet + interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> (KeepAlive, Instant) {
        let now = Instant::now();
        (KeepAlive::new(10, 3 * SECOND, now), now)
    }

    #[test]
    fn silence_is_broken_by_a_ping_and_then_means_death() {
        let (mut keep, start) = start();
        assert_eq!(keep.due(start, true), Due::At(start + 10 * SECOND));
        assert_eq!(keep.due(start + 10 * SECOND, true), Due::Ping);
        keep.pinged(start + 10 * SECOND);
        assert_eq!(keep.due(start + 10 * SECOND, true), Due::At(start + 13 * SECOND));
        assert_eq!(keep.due(start + 13 * SECOND, true), Due::Dead);
        assert_eq!(
            keep.due(start + 13 * SECOND, false),
            Due::At(start + 20 * SECOND),
            "not while it is not read"
        );
    }

    #[test]
    fn one_who_only_sends_pings_too() {
        let (mut keep, start) = start();
        keep.sent(start + 9 * SECOND);
        assert_eq!(keep.due(start + 10 * SECOND, true), Due::Ping);
    }

    #[test]
    fn a_broker_that_talks_without_answering_the_ping_lives() {
        let (mut keep, start) = start();
        keep.pinged(start + 10 * SECOND);
        keep.heard(start + 12 * SECOND);
        assert_eq!(keep.due(start + 14 * SECOND, true), Due::At(start + 15 * SECOND));
        assert_eq!(keep.due(start + 15 * SECOND, true), Due::Dead);
        keep.answered();
        assert_eq!(keep.due(start + 15 * SECOND, true), Due::At(start + 20 * SECOND));
    }

    #[test]
    fn without_a_keep_alive_nothing_is_ever_due() {
        let now = Instant::now();
        assert_eq!(KeepAlive::new(0, SECOND, now).due(now + 3600 * SECOND, true), Due::Never);
    }
}
