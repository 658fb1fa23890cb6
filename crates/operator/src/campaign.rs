//! Campaigns: many devices rotate on command, in waves, at a rate, within hours of the day, until too many of them fail.
//!
//! [`Campaign`] is a state machine without I/O: it says whom to tell, and judges by what the broker has attested whether a
//! device has rotated. [`Log`] keeps it on disk, a line a change, durable before a device hears anything. Not here: the
//! commands themselves ([`crate::controller::Reception::command`]), and who is selected.

pub use log::{By, Left, Line, Log, LogError, Order, forget, has_order, names, order, read, take_order};
pub use machine::{Campaign, Counts, Device, Mode, Step, Turn, Way};
pub use plan::{BadPlan, FASTEST, Plan, Window};

mod log;
mod machine;
mod plan;
