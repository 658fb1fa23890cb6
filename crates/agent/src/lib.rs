//! The device agent.

#![forbid(unsafe_code)]

pub mod clock;
pub mod keys;
pub mod store;
