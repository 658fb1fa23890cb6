//! The rotation proof: the machine, the store and the registry that ship, driven through every fault there is.
//!
//! What decides, keeps and answers is the product's own: `lifecycle::Machine`, `agent::store::Store`, the policies and
//! their evaluator, the registry and provisioning core of the local IoT Core, the controller's ledger. The disk, the clock and the network around it are simulated, so that a
//! crash at any call, a torn write or a lost answer is one value in a schedule that can be printed and run
//! again.
//!
//! # The twin
//! One part of the product is imitated: the driver that carries the machine's actions out (`agent::driver::execute`) and
//! the live session's reconnecting (`agent::live`) are asynchronous and own sockets, so `device::execute` and
//! `device::ship` do the same steps one after another, with a power cut between any two. Each arm of an outcome is mapped
//! as there. What the twin leaves out: an outbox (a retire request that was not acknowledged is not published again by a
//! later session, as the agent's is not), key generation by the service, and the audit head. That the agent's own driver
//! keeps the order of effects is shown on the real process, which is killed at every call (`fleetkey-testkit`).
//!
//! # Modules
//! - [`disk`]: a disk in memory that loses what was not synced, and fails where it is told to
//! - [`cloud`]: the account: registry, provisioning, policies and controller as they ship
//! - [`device`]: the shipping device; [`controls`]: those that must fail
//! - [`schedule`]: what goes wrong when, as one line of text
//! - [`director`], [`mod@env`], [`world`]: a run of a schedule
//! - [`explore`]: all runs of a kind, or many at random
//! - [`storm`]: many devices due at once, before a cloud that throttles
//! - [`invariants`], [`watch`], [`image`], [`moment`]: what must hold, and the eyes that look
//! - [`mint`], [`rng`]: keys, certificates and choices that are the same in every run
//!
//! Not here: processes that are killed for real, and MQTT on a wire (`fleetkey-testkit`).

#![forbid(unsafe_code)]

pub mod cloud;
pub mod controls;
pub mod device;
pub mod director;
pub mod disk;
pub mod env;
pub mod explore;
pub mod image;
pub mod invariants;
pub mod mint;
pub mod moment;
pub mod rng;
pub mod schedule;
pub mod storm;
pub mod watch;
pub mod world;
