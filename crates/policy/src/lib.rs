//! AWS IoT policies: parse, evaluate, explain. One evaluator for broker, audit and command line.
//!
//! Pure: no I/O, no clock; the facts of a connection come in as a [`Context`]. Not here: which policies apply to a
//! connection (the registry knows), MQTT matching of filters against topics (a policy sees `+` and `#` as ordinary
//! characters), and AWS's minutes of delay until a changed policy takes effect.
//!
//! ```
//! use fleetkey_policy::{Action, Context, PolicyDocument, Request, evaluate};
//!
//! let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish",
//!     "Resource":"arn:aws:iot:us-east-1:123456789012:topic/device/${iot:Connection.Thing.ThingName}/*"}]}"#;
//! let policy = PolicyDocument::parse(text)?;
//! let mut context = Context::new();
//! context.set("iot:Connection.Thing.ThingName", "pump-1");
//! let request = Request {
//!     action: Action::Publish,
//!     resource: "arn:aws:iot:us-east-1:123456789012:topic/device/pump-1/telemetry",
//!     context: &context,
//! };
//! assert!(evaluate([("DevicePolicy", &policy)], &request).allowed());
//! # Ok::<(), fleetkey_policy::ParseError>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub use action::Action;
pub use context::Context;
pub use document::{MAX_CHARACTERS, PolicyDocument};
pub use error::{ParseError, Place, Problem};
pub use evaluate::{Decision, Outcome, Request, StatementRef, allows, evaluate, near_misses};
pub use pattern::PatternError;

mod action;
mod condition;
mod context;
mod document;
mod error;
mod evaluate;
mod json;
mod parse;
mod pattern;
