//! When to ask the broker whether it is there, and when its silence means that it is not. Reads no clock.

use std::time::Duration;

use super::Time;

/// The times of one upstream link.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Option<Duration>,
    timeout: Duration,
    last_sent: Time,
    last_heard: Time,
    pinged: Option<Time>,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Ping,
    Dead,
    Nothing,
}

impl KeepAlive {
    /// `seconds` as CONNECT, or the broker in its CONNACK, has it; 0 is never.
    pub(super) fn new(seconds: u16, timeout: Duration, now: Time) -> Self {
        let interval = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        Self { interval, timeout, last_sent: now, last_heard: now, pinged: None }
    }

    pub(super) fn sent(&mut self, now: Time) {
        self.last_sent = now;
    }

    /// Any packet proves that the broker lives.
    pub(super) fn heard(&mut self, now: Time) {
        self.last_heard = now;
        self.pinged = None;
    }

    pub(super) fn pinged(&mut self, now: Time) {
        self.last_sent = now;
        self.pinged.get_or_insert(now);
    }

    pub(super) fn due(&self, now: Time) -> Due {
        match (self.pinged, self.next_ping()) {
            (Some(pinged), _) if pinged + self.timeout <= now => Due::Dead,
            (None, Some(ping)) if ping <= now => Due::Ping,
            _ => Due::Nothing,
        }
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.pinged {
            Some(pinged) => Some(pinged + self.timeout),
            None => self.next_ping(),
        }
    }

    /// The broker must hear something every interval, and be heard.
    fn next_ping(&self) -> Option<Time> {
        self.interval.map(|interval| self.last_sent.min(self.last_heard) + interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_does_not_answer_is_dead_and_one_that_says_anything_lives() {
        let at = Duration::from_secs;
        let mut times = KeepAlive::new(30, at(10), at(0));
        times.sent(at(25));
        assert_eq!(times.due(at(29)), Due::Nothing);
        assert_eq!(times.due(at(30)), Due::Ping, "it has not been heard for so long");
        times.pinged(at(30));
        assert_eq!(times.due(at(39)), Due::Nothing);
        assert_eq!(times.due(at(40)), Due::Dead);
        times.heard(at(39));
        assert_eq!(times.due(at(40)), Due::Nothing);
        assert_eq!(times.deadline(), Some(at(60)));
        assert_eq!(KeepAlive::new(0, at(10), at(0)).due(at(9999)), Due::Nothing);
    }
}
