//! One-time links: whoever opens one first, and in time, gets a session.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fleetkey_model::time::Timestamp;
use zeroize::Zeroizing;

use super::{Bearer, Hash, NoRandomness, Scope, secret};

/// Links that nobody opened; the oldest makes room.
const OPEN: usize = 8;
/// How long the link is good that the program prints at its start: it may stay in a terminal's scrollback for ever.
const PRINTED: Duration = Duration::from_secs(3600);
/// How long one is good that a page made: it is carried over at once.
const CARRIED: Duration = Duration::from_secs(600);

/// What a link gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) scope: Scope,
    /// Whether it came from the terminal, and so counts as having logged in. A link from a page does not: else an
    /// unattended browser could prove by it that its owner is there.
    pub(crate) proves: bool,
    /// The token by which whoever made it came in: what it opens ends with that token.
    pub(crate) bearer: Option<Bearer>,
}

#[derive(Default)]
pub(super) struct Tickets {
    open: Mutex<Vec<Ticket>>,
}

struct Ticket {
    hash: Hash,
    grant: Grant,
    until: Timestamp,
}

impl Tickets {
    /// The text of a new one.
    pub(super) fn issue(&self, grant: Grant, now: Timestamp) -> Result<Zeroizing<String>, NoRandomness> {
        let text = secret()?;
        let until = now + if grant.proves { PRINTED } else { CARRIED };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN {
            open.remove(0);
        }
        open.push(Ticket { hash: Hash::of(&text), grant, until });
        Ok(text)
    }

    /// Takes a ticket in; the second time it is worth nothing, and too late neither.
    pub(super) fn redeem(&self, text: &str, now: Timestamp) -> Option<Grant> {
        let presented = Hash::of(text);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|ticket| ticket.hash.matches(&presented))?;
        let ticket = open.remove(at);
        (now < ticket.until).then_some(ticket.grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const PRINTED_ONE: Grant = Grant { scope: Scope::Admin, proves: true, bearer: None };

    #[test]
    fn a_ticket_is_worth_something_once() {
        let tickets = Tickets::default();
        let text = tickets.issue(PRINTED_ONE, NOW).unwrap();
        assert_eq!(tickets.redeem("guess", NOW), None);
        assert_eq!(tickets.redeem(&text, NOW), Some(PRINTED_ONE));
        assert_eq!(tickets.redeem(&text, NOW), None);
    }

    #[test]
    fn unopened_tickets_do_not_pile_up() {
        let tickets = Tickets::default();
        let first = tickets.issue(PRINTED_ONE, NOW).unwrap();
        (0..OPEN).for_each(|_| drop(tickets.issue(PRINTED_ONE, NOW).unwrap()));
        assert_eq!(tickets.redeem(&first, NOW), None);
    }

    #[test]
    fn a_ticket_is_worth_nothing_when_its_time_is_over() {
        let tickets = Tickets::default();
        let carried = Grant { proves: false, ..PRINTED_ONE };
        for (grant, span) in [(PRINTED_ONE, PRINTED), (carried, CARRIED)] {
            let (early, late) = (tickets.issue(grant, NOW).unwrap(), tickets.issue(grant, NOW).unwrap());
            assert_eq!(tickets.redeem(&early, NOW + span - Duration::from_millis(1)), Some(grant));
            assert_eq!(tickets.redeem(&late, NOW + span), None);
        }
    }
}
