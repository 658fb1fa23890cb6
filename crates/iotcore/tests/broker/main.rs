//! The broker as clients meet it: real TLS over loopback, packets made by hand, one file a group of behaviour.
//!
//! Nothing here sleeps: every wait is for a packet or a condition, with a limit that only a failure reaches.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy's own exception covers only #[test] functions"
)]

mod signed;
mod support;

mod attest;
mod bad_requests;
mod cbor;
mod connect;
mod cut;
mod data;
mod durability;
mod faults;
mod functions;
mod https;
mod malformed;
mod persistence;
mod policy;
mod provisioning;
mod publish;
mod registry_events;
mod reset;
mod rule_function;
mod rules;
mod share;
mod start;
mod takeover;
mod tls;
mod wills;
