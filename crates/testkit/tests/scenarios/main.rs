//! Scenarios across the parts: shipping agents on the shipping local IoT Core, under the shipped policies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy's own exception covers only #[test] functions"
)]

mod clocks;
mod connections;
mod handover;
mod isolation;
mod offline;
mod provisioning;
mod recovery;
mod retirement;
mod rotation;
mod sidecar;
mod sweep;
mod takeover;
