//! What the shipping store promises, at each call of each operation: after any crash and any refusal of the disk
//! the old state or the new one is found, never a torn one, and the same again succeeds.
//!
//! A point is a power cut at one call and one way to crash there, a second cut during the recovery from it, or
//! one refused call. `cargo test -p fleetkey-proof --test store -- --nocapture` prints how many there are.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy's own exception covers only #[test] functions"
)]

mod audit;
mod control;
mod explore;
mod full;
mod operations;
mod reading;
mod state;
