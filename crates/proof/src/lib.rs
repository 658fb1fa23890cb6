//! The rotation proof: the machine, the store and the registry that ship, driven through every fault there is.
//!
//! Nothing here imitates the product. The disk, the clock and the network around it are simulated, so that a
//! crash at any call, a torn write or a lost answer is one value in a schedule that can be printed and run
//! again; between them runs the code of the device and of the local IoT Core, unchanged.
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
