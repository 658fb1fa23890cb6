//! The rotation machine's behaviour, scenario by scenario, in a world of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy's own exception covers only #[test] functions"
)]

mod beside;
mod crashes;
mod graph;
mod ladder;
mod lasting;
mod misfits;
mod offline;
mod recovery;
mod refusals;
mod rotation;
mod unread;
mod world;
