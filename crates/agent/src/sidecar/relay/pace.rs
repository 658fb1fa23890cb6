//! How fast the broker is given messages: AWS takes 100 a second on a connection and throws the rest away, in version 5
//! with a PUBACK that refuses, in 3.1.1 without a word (quotas; Developer Guide, mqtt). A client that was held for a while
//! leaves more than that to be sent, which waits here for its turn.
//!
//! A message counts from the moment that it is sent until a second after its answer: when the broker counts it lies in
//! between, so it never counts more than the rate in any of its seconds. At a rate of 100 a client that publishes
//! steadily gets through what 100 divided by a second and a round trip is.

use std::collections::VecDeque;
use std::time::Duration;

use fleetkey_mqtt::{Packet, QoS};

use super::{Action, Client, LinkId, Relay, Standing, Time};

/// What the broker counts by.
const SPAN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    /// Messages in any span; 0 is no bound.
    rate: usize,
    /// When messages of the last span were answered, or sent if nothing answers them.
    done: VecDeque<Time>,
}

impl Pace {
    pub(super) fn new(rate: usize) -> Self {
        Self { rate, done: VecDeque::new() }
    }

    /// A message has been answered, or sent if nothing answers it.
    pub(super) fn note(&mut self, now: Time) {
        if self.rate > 0 {
            self.done.push_back(now);
        }
    }

    /// How many messages may be on their way.
    fn room(&mut self, now: Time) -> usize {
        while self.done.front().is_some_and(|at| *at + SPAN <= now) {
            self.done.pop_front();
        }
        if self.rate == 0 { usize::MAX } else { self.rate.saturating_sub(self.done.len()) }
    }

    /// When there will be more room than now.
    fn more_room(&self) -> Option<Time> {
        self.done.front().map(|at| *at + SPAN)
    }
}

impl Relay {
    /// Gives the link and the client what is for them, unless the client is held.
    pub(super) fn pump(&mut self) {
        self.pump_up();
        let served = |client: &&Client| client.stage == Standing::Served;
        let Some(client) = self.client.as_ref().filter(served).filter(|_| self.hold.is_none()) else {
            return;
        };
        let window = client.connect.properties.receive_maximum().unwrap_or(u16::MAX);
        let id = client.id;
        while let Some(publish) = self.downward.poll(window.into()) {
            self.act(Action::ToClient(id, Packet::Publish(publish)));
        }
    }

    pub(super) fn pump_up(&mut self) {
        let Some((link, window)) = self.open_link().filter(|_| !self.link_congested) else {
            return;
        };
        loop {
            let room = self.pace.room(self.now);
            let Some(packet) = self.upward.poll(window, room) else {
                return;
            };
            if matches!(&packet, Packet::Publish(publish) if publish.qos == QoS::AtMostOnce) {
                self.pace.note(self.now);
            }
            self.send(link, packet);
        }
    }

    /// The link that takes the client's packets, and how many unanswered messages it takes.
    pub(super) fn open_link(&self) -> Option<(LinkId, usize)> {
        let serving = self.serving.as_ref().filter(|_| self.hold.is_none())?;
        Some((serving.id, serving.offer.receive_max.min(self.settings.window.into())))
    }

    /// When more of what waits may be sent, if it is the pace that holds it back.
    pub(super) fn pace_deadline(&self) -> Option<Time> {
        self.open_link().filter(|_| !self.link_congested && !self.upward.is_flushed())?;
        self.pace.more_room()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_until_a_second_after_it_was_answered() {
        let at = Duration::from_millis;
        let mut pace = Pace::new(2);
        assert_eq!((pace.room(at(0)), pace.more_room()), (2, None));
        pace.note(at(100));
        pace.note(at(300));
        assert_eq!((pace.room(at(300)), pace.more_room()), (0, Some(at(1100))));
        assert_eq!((pace.room(at(1100)), pace.more_room()), (1, Some(at(1300))));
        let mut free = Pace::new(0);
        free.note(at(0));
        assert_eq!((free.room(at(0)), free.more_room()), (usize::MAX, None));
    }
}
