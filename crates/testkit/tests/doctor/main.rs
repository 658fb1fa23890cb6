//! The doctor before broken set-ups: in each it names the tier that is at fault, and leaves the live session alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy's own exception covers only #[test] functions"
)]

mod bed;
mod client;
mod files;
mod healthy;
mod network;
mod policies;
mod refused;
