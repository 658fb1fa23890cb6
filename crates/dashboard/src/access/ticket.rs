//! One-time links: whoever opens one first gets a session.

use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use super::{Hash, NoRandomness, Scope, secret};

/// Links that nobody opened; the oldest makes room.
const OPEN: usize = 8;

#[derive(Default)]
pub(super) struct Tickets {
    open: Mutex<Vec<(Hash, Scope)>>,
}

impl Tickets {
    /// The text of a new one.
    pub(super) fn issue(&self, scope: Scope) -> Result<Zeroizing<String>, NoRandomness> {
        let text = secret()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN {
            open.remove(0);
        }
        open.push((Hash::of(&text), scope));
        Ok(text)
    }

    /// Takes a ticket in; the second time it is worth nothing.
    pub(super) fn redeem(&self, text: &str) -> Option<Scope> {
        let presented = Hash::of(text);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|(hash, _)| hash.matches(&presented))?;
        Some(open.remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_worth_something_once() {
        let tickets = Tickets::default();
        let text = tickets.issue(Scope::Admin).unwrap();
        assert_eq!(tickets.redeem("guess"), None);
        assert_eq!(tickets.redeem(&text), Some(Scope::Admin));
        assert_eq!(tickets.redeem(&text), None);
    }

    #[test]
    fn unopened_tickets_do_not_pile_up() {
        let tickets = Tickets::default();
        let first = tickets.issue(Scope::Admin).unwrap();
        (0..OPEN).for_each(|_| drop(tickets.issue(Scope::Admin).unwrap()));
        assert_eq!(tickets.redeem(&first), None);
    }
}
