//! Who has connected and not said CONNECT: so many at once, and nobody keeps the others out.
//!
//! Connections that say nothing cost whoever opens them nothing. Where all seats are taken, the one that has asked for
//! longest makes room, of the address that has the most: so many connections from one address are in each other's way
//! and in nobody else's.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// Clients at once that have not said CONNECT, on one listener.
const SEATS: usize = 32;
/// How often it is logged that some had to make room.
const QUIET: Duration = Duration::from_secs(10);

/// Where a connection comes from; `None` is this machine's, by a unix socket. Of IPv6 it is the network, which one
/// machine has all addresses of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin(Option<IpAddr>);

impl Origin {
    pub(super) const HERE: Self = Self(None);

    pub(super) fn of(address: IpAddr) -> Self {
        let network = match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::from((u128::from(address) & !u128::from(u64::MAX)).to_be_bytes()),
            address @ IpAddr::V4(_) => address,
        };
        Self(Some(network))
    }
}

impl core::fmt::Display for Origin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("this machine"),
        }
    }
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Asking {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    /// The oldest first.
    askers: Vec<Asker>,
    /// How many had to make room since that was logged, and when that was.
    put_out: u64,
    logged: Option<Instant>,
}

#[derive(Debug)]
struct Asker {
    number: u64,
    origin: Origin,
    /// Dropped when it has to make room.
    _keeps: oneshot::Sender<()>,
}

/// The seat of a client that is asked. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    asking: Asking,
    number: u64,
    kept: oneshot::Receiver<()>,
}

impl Asking {
    /// A seat for a client from there; another may have to make room.
    pub(super) fn seat(&self, origin: Origin) -> Seat {
        let (keeps, kept) = oneshot::channel();
        let mut table = self.table();
        table.last += 1;
        let number = table.last;
        table.askers.push(Asker { number, origin, _keeps: keeps });
        if table.askers.len() > SEATS {
            table.make_room();
        }
        drop(table);
        Seat { asking: self.clone(), number, kept }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn make_room(&mut self) {
        let of = |origin| self.askers.iter().filter(|one| one.origin == origin).count();
        let most = self.askers.iter().map(|one| of(one.origin)).max().unwrap_or_default();
        let Some(place) = self.askers.iter().position(|one| of(one.origin) == most) else { return };
        let origin = self.askers.remove(place).origin;
        self.put_out += 1;
        if self.logged.is_none_or(|at| at.elapsed() >= QUIET) {
            self.logged = Some(Instant::now());
            let count = std::mem::take(&mut self.put_out);
            tracing::warn!(
                %origin,
                count,
                "too many connections that have not said CONNECT: the oldest of the address with the most make room"
            );
        }
    }
}

impl Seat {
    /// Returns when the client has to make room.
    pub(super) async fn lost(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.kept).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.asking.table().askers.retain(|one| one.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> Origin {
        Origin::of(address.parse().unwrap())
    }

    fn is_lost(seat: &mut Seat) -> bool {
        seat.kept.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn the_oldest_of_the_address_with_the_most_makes_room_and_nobody_elses() {
        let asking = Asking::default();
        let mut first = asking.seat(origin("192.0.2.1"));
        let mut many: Vec<_> = (1..SEATS).map(|_| asking.seat(origin("192.0.2.66"))).collect();
        assert!(!many.iter_mut().any(is_lost));
        let mut second = asking.seat(origin("192.0.2.1"));
        let mut third = asking.seat(Origin::HERE);
        let lost: Vec<_> = many.iter_mut().map(is_lost).collect();
        assert_eq!(lost.iter().filter(|lost| **lost).count(), 2);
        assert!(lost[0] && lost[1], "the oldest two");
        many.extend((0..100).map(|_| asking.seat(origin("192.0.2.66"))));
        assert!(![&mut first, &mut second, &mut third].map(is_lost).contains(&true));
        assert!(!is_lost(many.last_mut().unwrap()), "the last to come is asked");
    }

    #[test]
    fn a_seat_that_is_given_back_puts_nobody_out() {
        let asking = Asking::default();
        let mut first = asking.seat(Origin::HERE);
        for _ in 0..10 * SEATS {
            drop(asking.seat(Origin::HERE));
        }
        assert!(!is_lost(&mut first));
        assert_eq!(asking.table().askers.len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address_and_a_mapped_address_as_what_it_is() {
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_eq!(origin("2001:db8::1").to_string(), "2001:db8::");
    }
}
