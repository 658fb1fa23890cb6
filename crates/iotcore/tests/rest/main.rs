//! The REST side as AWS's clients meet it: signed requests over loopback, one file a group of behaviour.
//!
//! The client here signs for itself; that it signs as AWS's own clients do is proved with the vectors of botocore
//! that the server's verifier is proved with (`signatures`).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy's own exception covers only #[test] functions"
)]

mod support;

mod certificates;
mod endpoint;
mod fuzz;
mod groups;
mod http;
mod iam;
mod lambda;
mod own;
mod policies;
mod quotas;
mod rules;
mod signatures;
mod strangers;
mod sts;
mod templates;
mod things;
mod versions;
