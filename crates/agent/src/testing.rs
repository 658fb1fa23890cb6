//! A broker for this crate's tests: real TLS, the real codec, one thing, and just enough of AWS IoT Core for an
//! agent to provision, rotate and be refused. It is no imitation of the local IoT Core, which has tests of its
//! own with agents; here faults are scripted at exact points.

mod broker;
mod registry;
mod scripted;
mod verifier;

pub(crate) use broker::Broker;
pub(crate) use registry::Seen;
pub(crate) use scripted::{Script, Scripted};
