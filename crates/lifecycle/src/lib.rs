//! The certificate rotation machine: states, journal record, schedule. No I/O, no clock, no randomness of its own.
//!
//! # The contract
//! A driver owns a [`Machine`] and everything that touches the world. It repeats, on one thread:
//!
//! ```text
//! while let Some(action) = machine.poll() {
//!     let event = /* run the action to its end */;
//!     machine.handle(now, event);
//! }
//! /* wait until machine.next_deadline(), or for an event from outside: a command, the link, an answer */
//! machine.handle(now, event);   // Event::Tick when only time has passed
//! ```
//!
//! - Every [`Action`] has exactly one outcome event, listed at its variant; until it is handled, `poll` gives
//!   `None`.
//! - [`Action::Persist`] is a **barrier**: its record is durable (file and directory synced) before `Persisted`
//!   is handled, and no other action runs meanwhile. The machine decides from the last durable [`Record`] only,
//!   so memory is never ahead of the disk: a crash at any point is answered by `Machine::new` with what the
//!   disk holds.
//! - Time only enters through `handle`. A clock that is behind the record's floor counts from the floor on.
//!
//! # Invariants
//! - **I1** There is always a complete slot that the broker has accepted and that we have not asked to retire.
//! - **I2** Nothing is asked of the cloud before what recognises its effect after a crash is durable.
//! - **I3** No answer, a throttle and a 403 of the hook are not refusals; only a differential test is. (Where there
//!   is no identity to test against, only a day of refusals is, and then only for another attempt.)
//! - **I4** A certificate carries traffic only after it is durable, and its predecessor is retired only after
//!   the commit and the broker's witness.
//! - **I5** Decisions are by content (public keys), never by a file's existence or by the local clock alone.
//! - **I6** In-memory state follows the disk, never leads it.
//!
//! # Modules
//! [`machine`] decides; [`record`] is what is durable; [`slot`] what a slot holds; [`action`] and [`event`] are
//! the two halves of the conversation; [`schedule`] says when; [`backoff`] says how long to wait; [`status`]
//! tells people; [`graph`] is the map of the states.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod action;
pub mod backoff;
pub mod config;
pub mod event;
pub mod graph;
pub mod machine;
pub mod record;
pub mod schedule;
pub mod slot;
pub mod status;

pub use action::Action;
pub use config::Config;
pub use event::Event;
pub use machine::{Found, Machine};
pub use record::Record;
pub use slot::{SlotFacts, SlotId};
pub use status::{Notice, Status};
