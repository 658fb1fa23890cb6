//! The `fleetkey` binary from outside, as its users meet it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and waits for another process by the real clock"
)]

mod bad_input;
mod device;
mod doctor;
mod fleet;
mod process;
