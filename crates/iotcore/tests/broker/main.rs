//! The broker as clients meet it: real TLS over loopback, packets made by hand, one file a group of behaviour.
//!
//! Nothing here sleeps: every wait is for a packet or a condition, with a limit that only a failure reaches.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod support;

mod connect;
mod publish;
