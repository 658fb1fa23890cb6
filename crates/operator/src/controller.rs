//! The attested retirement of old certificates.
//!
//! A device that has committed to a new certificate asks for the older ones to be retired; the broker attests which
//! certificate and client id asked; presence events are the second witness. [`Ledger`] decides and does no I/O,
//! [`Journal`] makes its facts durable, [`Engine`] carries its actions out, [`Controller`] connects it to a broker.
//! Not here: starting rotations, and approving what was frozen (an operator does, through [`Event::Release`]).
//!
//! # What is retired, and when
//! A request counts when its client id is exactly the thing's name and its principal is an ACTIVE certificate of that
//! thing. That certificate is then the *witness*, and only certificates registered before it are ever touched: they
//! stay ACTIVE for [`Config::soak`], then INACTIVE for [`Config::grace`], then REVOKED for [`Config::delete_after`],
//! then deleted. Without a witness nothing happens. A connection as `<thing>~verify` proves nothing and holds nothing.
//!
//! # What holds, and what freezes
//! An older certificate that is still connected, or that connects again as the thing after the witness was attested,
//! is held. Two generations that both live on ([`FreezeReason`]) freeze the thing: whoever stole an old key can start
//! a rotation first, and the newest certificate is not by itself the rightful one.

pub use action::{Action, Change, Event, Ignored, Report};
pub use config::Config;
pub use engine::{Clock, Engine, Publication};
pub use journal::{Journal, JournalError};
pub use ledger::Ledger;
pub use presence::PresenceEvent;
pub use record::{Freeze, FreezeReason, Older, Record, Stage, Witness};
pub use service::{Connection, Connector, Controller};

mod action;
mod case;
mod config;
mod engine;
mod inbox;
mod journal;
mod judgement;
mod ledger;
mod presence;
mod record;
mod schedule;
mod service;
