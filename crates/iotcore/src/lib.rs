//! The local AWS IoT Core: CA, mTLS MQTT broker, Fleet Provisioning, registry.
//!
//! # Modules
//! - [`clock`]: the one place that reads the time
//! - [`registry`]: things, certificates, policies, templates; pure: plan, commit, apply
//! - [`store`]: the registry on disk, durable before visible
//! - [`ca`]: the server's root and the device-issuing CA
//! - [`hook`]: pre-provisioning hooks
//! - [`provisioning`]: the Fleet Provisioning MQTT API
//! - [`account`]: the control plane, in process

#![forbid(unsafe_code)]

pub mod account;
pub mod ca;
pub mod clock;
pub mod hook;
pub mod provisioning;
pub mod registry;
pub mod store;
