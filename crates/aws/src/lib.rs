//! The account over the official AWS SDK for Rust: AWS, or whatever an endpoint URL names.
//!
//! Implements what the operator's side asks for ([`fleetkey_operator::cloud::Cloud`] and
//! [`fleetkey_operator::control_plane::ControlPlane`]), one file a kind of resource. It adds nothing: what to make in
//! which order is the operator's business. The one retry is there too ([`fleetkey_operator::plan::Patience`]), and used here for
//! the pages of lists that may be long; the SDK's own is off, so that a call is a call and the journal tells the truth.
//!
//! Beside each file's calls stands what they need of IAM ([`permit`]); the [`recorder`] writes down what was called, and
//! a test holds the two together.

#![forbid(unsafe_code)]

pub mod permit;
pub mod recorder;

mod census;
mod certificate;
mod cloud;
mod connect;
mod connection;
mod control;
mod error;
mod event;
mod function;
mod group;
mod log_group;
mod policy;
mod quotas;
mod role;
mod rule;
mod standing;
mod tags;
mod template;
mod thing;
mod thing_type;

pub use connect::{Aws, Options};
pub use policy::WrittenVersion;
