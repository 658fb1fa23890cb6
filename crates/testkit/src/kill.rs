//! The shipping `fleetkey-agent`, killed at every call on a file or a socket between "rotation due" and "retired",
//! against the shipping local IoT Core and controller.
//!
//! One run: a provisioned device whose agent is idle is ordered to rotate; after its k-th call that had an effect,
//! counted over all threads, the process gets SIGKILL ([`device::Agent::strike`]). The same binary is started again
//! and has to come to rest by itself: connected, with a certificate that the account knows as ACTIVE and attached,
//! the rotation finished or given up, the previous identity retired, no other certificate of the thing ACTIVE.
//!
//! # What is a point
//! A [`Point`] is a durable state, a call, a target and an ordinal: what the record on disk said, which call had just
//! taken effect, on what, for the how-manieth time. Calls that found nothing (EAGAIN, ENOENT, the end of a file) are
//! none, nor are epoll, futex and clock: waiting longer makes no more points.
//!
//! # Why at the exit of a call
//! What a kill leaves behind is what the calls before it did. Between the exit of call k and the entry of call k + 1
//! the process does nothing that another could see, so a kill anywhere between the two leaves the same world; the
//! kill at exit k stands for all of them. The one before the first call is a point of its own. Within a call the
//! kernel decides: a file write that was cut is not observed here but in the simulated disk, where writes tear.
//!
//! # What is not shown here
//! SIGKILL leaves the page cache alone: what a power cut takes from unsynced files, the simulated disk takes. What
//! this adds is that the order of calls there is the order of calls of the process ([`order`]), and that process,
//! kernel, sockets and broker agree with the model.

use std::path::PathBuf;

pub mod device;
pub mod enumerate;
pub mod eye;
mod lane;
mod leftovers;
pub mod order;
pub mod point;
mod site;
pub mod tally;
mod twice;
mod work;

pub use device::{Agent, Home, Unsettled};
pub use enumerate::{Enumeration, Extent};
pub use eye::{Aim, Eye};
pub use lane::CameBack;
pub use point::Point;
pub use tally::Tally;

/// The `fleetkey-agent` that was built beside the running program.
///
/// # Panics
/// When there is none: it says what to build.
pub fn binary() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let beside = program.ancestors().skip(1).take(2).map(|dir| dir.join("fleetkey-agent"));
    let found = beside.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| {
        let dir = program.parent().unwrap_or(&program).display();
        panic!("no fleetkey-agent beside {dir}; build it first: cargo build --workspace --bins")
    })
}
