//! The operator's side of a fleet: the documents that an account needs, setting it up, and the attested retirement
//! of old certificates.
//!
//! The account is reached only through [`control_plane::ControlPlane`], shaped like the AWS API, and through MQTT:
//! nothing here knows whether it is AWS or the local IoT Core. Not here: the agent's side of a rotation, the command
//! line, and reading the clock (time is an argument).
//!
//! # Modules
//! - [`documents`]: policies and provisioning templates, as pure functions
//! - [`control_plane`]: the operations of AWS IoT that the rest needs, as a trait
//! - [`setup`]: makes an account ready for a fleet; run again, it changes nothing
//! - [`controller`]: retires an old certificate after the broker has witnessed its successor in use
//! - [`diagnosis`]: what the account says of one device, with the statement that decides
//! - [`cloud`]: the whole account, as a trait over resources by key
//! - [`plan`]: builds a fleet's resources, takes them down again, and takes single devices out of service
//! - [`campaign`]: many devices rotate on command, in waves
//! - [`chain`]: journals, each line of which holds the one before
//! - [`chronicle`]: journals read as one list, a page at a time
//! - [`hook_code`], [`archive`]: the pre-provisioning hook as Lambda runs it
//! - [`hook_probe`]: requests that nobody has made, to ask it about
//! - [`inventory`]: what there is, who was seen with it, and what about it deserves attention
//! - [`recovery`]: who may recover by claim, and until when
//! - [`roots`]: Amazon's root CAs
//! - [`files`]: writing small files so that they survive a power cut

#![forbid(unsafe_code)]

pub mod archive;
pub mod campaign;
pub mod chain;
pub mod chronicle;
pub mod cloud;
pub mod control_plane;
pub mod controller;
pub mod diagnosis;
pub mod documents;
mod few;
pub mod files;
pub mod hook_code;
pub mod hook_probe;
pub mod inventory;
pub mod plan;
pub mod recovery;
pub mod roots;
pub mod setup;
