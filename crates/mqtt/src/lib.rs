//! MQTT 3.1.1 and 5: packets and their wire form, a sans-I/O client session, and an async link.
//!
//! One codec serves the broker, the agent and the sidecar. It holds the rules of the *wire* (UTF-8, reserved
//! bits, packet ids, which property may stand where); what a broker allows (topics, sizes, quotas, QoS 2)
//! is the broker's business. Nothing here reads a clock or does I/O, except `link` with the feature `io`.
//!
//! # Modules
//! - [`packet`]: one type a packet, equal for both versions
//! - [`property`]: the properties of MQTT 5
//! - [`codec`]: bytes to packets and back, and the encode-once form for fan-out
//! - [`session`]: a client's session and its outbox, which survives connections
//! - `link` (feature `io`): one connection over a tokio stream, and a simple client

#![forbid(unsafe_code)]

pub mod codec;
#[cfg(feature = "io")]
pub mod link;
pub mod packet;
pub mod property;
pub mod session;

mod reason;
mod text;
mod types;
mod wire;

pub use codec::{DecodeError, EncodeError, EncodedPublish, Limits, decode, encode};
pub use packet::{
    Auth, ConnAck, Connect, Disconnect, Packet, PacketKind, PubAck, Publish, SubAck, Subscribe,
    SubscribeFilter, UnsubAck, Unsubscribe, Will,
};
pub use property::{Properties, Property};
pub use reason::ReasonCode;
pub use text::{Text, TextError};
pub use types::{PacketId, QoS, Version};
