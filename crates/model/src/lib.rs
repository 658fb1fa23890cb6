//! The vocabulary of certificate fleets on AWS IoT Core: names, ARNs, topics, provisioning messages,
//! templates and certificate facts.
//!
//! Pure: no I/O, no clock, no allocation beyond what a value needs. Every string that crosses an edge of
//! the system is parsed here once, into a type with one fallible constructor; every topic is a type both
//! ways ([`topic::ReservedTopic`], [`topic::FleetTopic`]), so that no other crate spells `$aws/…`.
//!
//! # Modules
//! - [`name`]: thing, client, template and policy names
//! - [`arn`]: the account and region, and the ARNs in it
//! - [`topic`]: topic names, filters, matching, and the topics that AWS and fleetkey reserve
//! - [`provisioning`]: the three Fleet Provisioning operations, JSON
//! - [`template`]: provisioning templates: parse, then resolve into what RegisterThing does
//! - [`certificate`]: certificate ids, statuses and the facts read from DER
//! - [`retirement`]: what device and controller say to each other about old certificates
//! - [`secret`]: private keys and ownership tokens, which cannot be printed
//! - [`time`]: milliseconds since the epoch, given, never read

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod arn;
pub mod certificate;
pub mod name;
pub mod provisioning;
pub mod retirement;
pub mod secret;
pub mod template;
pub mod time;
pub mod topic;
