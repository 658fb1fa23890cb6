//! The web UI: pages drawn on the server, one stream of events, sessions, and the guards in front of them.
//!
//! A library that takes a listener, a clock and a [`fleet::Fleet`] and returns a handle with its URL:
//! [`server::Dashboard::start`].
//!
//! # Modules
//! - [`fleet`]: the traits and the plain data that whoever serves the pages hands in
//! - [`mod@bench`]: devices to try things with by hand
//! - [`server`]: everything below together, on a socket
//! - [`hub`]: what has changed, for the pages that are open
//! - [`access`]: tokens, sessions, the one-time link
//! - [`design`]: colours and their contrast, as numbers
//! - `http`: the guards, requests, answers; `router`: which page is where; `pages`: the pages; `seats`: how much one may have
//!
//! Not here, ever: the AWS SDK, the local IoT Core, an agent, a private key. Pages show what the fleet tells them.

#![forbid(unsafe_code)]

pub mod access;
pub mod bench;
pub mod design;
pub mod fleet;
pub mod hub;
pub mod server;

mod assets;
mod http;
mod pages;
mod router;
mod seats;

use std::sync::Arc;

use fleetkey_model::time::Timestamp;

/// The wall clock, given.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
