//! The packet identifiers of one client: those in use, and which comes next.

use std::collections::BTreeSet;

use crate::types::PacketId;

#[derive(Debug)]
pub(super) struct PacketIds {
    next: PacketId,
    used: BTreeSet<PacketId>,
}

impl Default for PacketIds {
    fn default() -> Self {
        Self { next: PacketId::FIRST, used: BTreeSet::new() }
    }
}

impl PacketIds {
    /// One that is not in use; `None` when all are. They go round, so that a late second answer to a message
    /// that was sent twice does not meet a new message of the same number.
    pub(super) fn take(&mut self) -> Option<PacketId> {
        if self.used.len() >= usize::from(u16::MAX) {
            return None;
        }
        while self.used.contains(&self.next) {
            self.next = self.next.next();
        }
        let id = self.next;
        self.used.insert(id);
        self.next = id.next();
        Some(id)
    }

    pub(super) fn free(&mut self, id: PacketId) {
        self.used.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_go_round_past_those_in_use_until_none_is_left() {
        let mut ids = PacketIds::default();
        let all: BTreeSet<_> = std::iter::from_fn(|| ids.take()).collect();
        assert_eq!(all.len(), 65535);
        let free = PacketId::new(300).unwrap();
        ids.free(free);
        assert_eq!(ids.take(), Some(free));
        assert_eq!(ids.take(), None);
    }
}
