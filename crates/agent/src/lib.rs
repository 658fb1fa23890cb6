//! The device agent of fleetkey: provisions by claim, rotates make-before-break, survives a power cut anywhere.
//!
//! A library, because many agents run in one process (`fleetkey up`, a gateway); the binary `fleetkey-agent` is
//! a thin shell around it. What to do when is decided by the pure machine of `fleetkey-lifecycle`; this crate
//! is its hands: disk, keys, TLS, MQTT.
//!
//! # The way of an action
//! ```text
//! lifecycle::Machine ──Action──► driver ──► store · keys · provision · verify · live ──Event──► Machine
//! ```
//!
//! # Modules
//! - [`agent`]: [`Agent::start`] and the [`AgentHandle`]
//! - [`config`]: the settings, from code or a TOML file
//! - [`store`]: the durable state: record, slots, export, lock
//! - [`keys`]: key pairs and signing requests
//! - [`tls`]: connections with a client certificate on a set of roots
//! - [`bundle`]: the identity in use as other programs want it
//! - [`import`]: taking over what another program has provisioned
//! - [`intake`]: certificates for keys that a PLC keeps
//! - [`offline`]: a rotation in steps that an operator orders, through the agent that runs or by running one
//! - [`status`]: the local status socket, both sides
//! - [`sidecar`]: local MQTT clients that never see a certificate rotate
//! - [`event`]: what an agent tells whoever runs it
//! - [`watch`]: a look at another program's log for TLS trouble
//! - [`doctor`]: why a device cannot connect, tier by tier
//! - `disk`: the one thread that calls the store
//! - `hooks`: programs that are run after a commit and a retirement
//! - `private`: files that must be their owner's alone; `x509`: the frame of certificates that are made here
//! - `driver`: the loop; `provision`, `verify`, `live`: what it does over MQTT

#![forbid(unsafe_code)]

pub mod agent;
pub mod bundle;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod event;
pub mod import;
pub mod intake;
pub mod keys;
pub mod offline;
pub mod sidecar;
pub mod status;
pub mod store;
pub mod tls;
pub mod watch;

mod carrier;
mod connect;
mod disk;
mod driver;
mod hooks;
mod live;
mod pace;
mod private;
mod prompt;
mod provision;
#[cfg(test)]
mod testing;
mod verify;
mod way_back;
mod x509;

pub use agent::{Agent, AgentHandle, Ground, StartError};
pub use clock::{Clock, SystemClock};
pub use config::AgentConfig;
pub use event::AgentEvent;
pub use live::{MAX_PAYLOAD, PublishError};
