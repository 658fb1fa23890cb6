//! The dashboard over HTTP: who is let in, what pages show, what they never show.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

mod campaigns;
mod demo;
mod door;
mod events;
mod fate;
mod forbidden;
mod hostile;
mod ids;
mod orders;
mod pages;
mod sizes;
mod stalled;
mod strangers;
mod subjects;
mod tls;
mod works;
