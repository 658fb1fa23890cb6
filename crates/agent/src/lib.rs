//! The device agent.

#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
pub mod keys;
pub mod store;
pub mod tls;
