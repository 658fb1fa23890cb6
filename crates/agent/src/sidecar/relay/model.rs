//! A world for the relay: a client and a broker that keep to MQTT, wires between them that deliver when they are told
//! to, and a judge of what comes of it. Nothing here reads a clock or is random by itself.

mod broker;
mod client;
mod world;

pub(super) use broker::Broker;
pub(super) use client::{Client, Kind};
pub(super) use world::World;
