//! Campaigns: many devices rotate on command, in waves, at a rate, within hours of the day, until too many of them fail.
//!
//! [`Campaign`] is a state machine without I/O: it says whom to tell, and judges by what devices are seen connected with,
//! and by what the broker has attested, whether they have rotated. [`Log`] keeps it on disk, a line a change, durable before
//! a device hears anything; [`order`] leaves what somebody wants of it. Not here: the commands themselves ([`crate::controller::Reception::command`]), and who is selected.

pub use known::{Ceiling, KnownPace, PACE_FILE};
pub use log::{Line, Log, LogError, names, read};
pub use machine::{Baseline, Campaign, Counts, Device, Held, Mode, Seen, Step, Turn, Way};
pub use orders::{By, Left, Order, Taken, may_order, order, ordered, take_order};
pub use pace::Pace;
pub use plan::{BadPlan, FASTEST, MOST_A_MINUTE, Plan, Window};

mod known;
mod log;
mod machine;
mod orders;
mod pace;
mod plan;
