//! The local AWS IoT Core: CA, mTLS MQTT broker, Fleet Provisioning, registry, faults.
//!
//! A library that takes listeners and a clock and returns a handle with its ports: [`server::start`].
//!
//! # Modules
//! - [`server`]: everything below together, running
//! - [`config`], [`limits`]: what it is told; AWS's numbers, and switches for what AWS leaves open
//! - [`clock`]: the one place that reads the time
//! - [`registry`]: things, certificates, policies, templates; pure: plan, commit, apply
//! - [`store`]: the registry on disk, durable before visible
//! - [`ca`]: the server's root and the device-issuing CA
//! - [`hook`]: pre-provisioning hooks
//! - `iam`, [`functions`], `log_groups`: roles, Lambda functions whose own code runs, what they print
//! - [`provisioning`]: the Fleet Provisioning MQTT API
//! - [`account`]: the control plane, in process
//! - `tls`, `broker`, `sessions`: from the socket to the subscriber, and what outlives a connection
//! - `events`, `attest`: what the broker itself publishes
//! - `rules`: topic rules
//! - [`seams`]: what the broker asks of services beside it
//! - [`access_key`]: what REST requests are signed with
//! - `rest`: AWS's operations over HTTP
//! - [`faults`]: what can be made to go wrong, on the wire

#![forbid(unsafe_code)]

pub mod access_key;
pub mod account;
pub mod ca;
pub mod clock;
pub mod config;
pub mod faults;
pub mod functions;
pub mod hook;
pub mod limits;
pub mod provisioning;
pub mod registry;
pub mod seams;
pub mod server;
pub mod store;

mod attest;
mod broker;
mod bucket;
mod document;
mod events;
mod iam;
mod log_groups;
mod rest;
mod rules;
mod sessions;
mod tls;

pub use broker::{ConnectionInfo, DisconnectReason};
pub use sessions::SessionsError;

#[cfg(test)]
mod fixtures;
