//! A bench for scenario tests: the shipping local IoT Core, the shipped policies and templates, real devices.
//!
//! Everything runs in this process, on loopback, over mutual TLS; faults are switched on in the local IoT Core, on the
//! wire. Nothing here imitates: what a scenario sees is what an operator would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot be built fails the test that asked for it"
)]

pub mod bench;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod kill;
pub mod load;
pub mod presence;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod trace;
pub mod wait;

pub use bench::{Bench, Identity};
pub use load::{Load, Observer};
pub use presence::Presence;
