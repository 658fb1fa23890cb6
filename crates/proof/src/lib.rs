//! The rotation proof: the machine, the store and the registry that ship, driven through every fault there is.
//!
//! Nothing here imitates the product. The disk, the clock and the network around it are simulated, so that a
//! crash at any call, a torn write or a lost answer is one value in a schedule that can be printed and run
//! again; between them runs the code of the device and of the local IoT Core, unchanged.
//!
//! # Modules
//! - [`disk`]: a disk in memory that loses what was not synced, and fails where it is told to
//! - [`mint`]: keys and certificates that are the same in every run
//!
//! Not here: processes that are killed for real, and MQTT on a wire (`fleetkey-testkit`).

#![forbid(unsafe_code)]

pub mod disk;
pub mod mint;
