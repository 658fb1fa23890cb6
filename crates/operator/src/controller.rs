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
//! # What a rotation that was given up leaves behind
//! A candidate that was refused, or whose device died or could not write, is ACTIVE, attached, and newer than the
//! witness. It is a *leftover* if it was never in use and is [`Config::leftover_after`] old, and if the witness gave a
//! sign of life after that: an open live session, a connection, a request. It then takes the same stages, and is not
//! REVOKED before the witness has shown life once more. So the only identity of a device is never taken: while the
//! device lives on the candidate, or on nothing, the witness is silent. A leftover that is used before it is INACTIVE
//! is no leftover; one that turns out to have been in use after that freezes the thing, and can still be brought back.
//! A certificate that a thief registers with the old key and keeps for later is swept alike.
//!
//! For this the account is looked at once a [`Config::leftover_after`] and thing, no faster than one thing a
//! [`Config::look_again`] in the whole fleet, and only while its witness lives.
//!
//! # What came of a recovery
//! A thing that its template has marked as recovered is in quarantine ([`FreezeReason::Recovered`]):
//! whoever asks, nothing of it is retired until an operator approves or rejects what came of the recovery, which takes the
//! mark away. Then the next attested request counts as the first.
//!
//! # What holds, and what freezes
//! An older certificate that is still connected, or that connects again as the thing after the witness was attested,
//! is held. Two generations that both live on ([`FreezeReason`]) freeze the thing: whoever stole an old key can start
//! a rotation first, and the newest certificate is not by itself the rightful one.
//!
//! Presence events get lost. Before anything becomes INACTIVE the account is asked whether the thing's client id is
//! connected and since when (GetConnection); by which certificate, that operation never tells. Whoever is connected and
//! was not heard of holds everything ([`Report::Unheard`]) until the next event or attested request tells who it is: it
//! may be the rightful owner, on the very certificate that is to go.
//!
//! A newer certificate that is in use and has not asked is a *newcomer*. It is normal for a day: the device soaks before
//! it asks. It freezes the thing when it is in use for longer than [`Config::ask_within`], or beside the witness for
//! longer than [`Config::outlast`], or when the witness has to take the session back from it that long after the first
//! time. What freezes nothing is a newcomer that gives way and stays away: a device that verified its candidate by
//! takeover and rolled back, or fell back in its soak. Presence cannot tell that from a thief who tried once and left,
//! and a freeze would punish every such device for ever; so it is reported ([`Report::Contested`]), never swept, since it
//! was in use, and retired as an older one by the next commit. Whoever comes again finds the time up.

pub use action::{Action, Change, Event, Ignored, Report};
pub use audit::{AuditHead, AuditHeads};
pub use config::Config;
pub use engine::{Clock, Engine, Publication};
pub use journal::{Journal, JournalError, Records};
pub use ledger::Ledger;
pub use metrics::{Metrics, Totals};
pub use observer::Observer;
pub use presence::{PresenceEvent, SessionId};
pub use record::{Freeze, FreezeReason, Older, Record, Stage, Witness};
pub use service::{Connection, Connections, Connector, Controller, OnItsWay, Reception};

mod action;
mod agenda;
mod audit;
mod case;
mod config;
mod diary;
mod engine;
pub(crate) mod hearing;
mod inbox;
mod journal;
mod judgement;
mod ledger;
mod metrics;
mod newcomer;
mod observer;
pub(crate) mod presence;
mod pulse;
mod quarantine;
mod record;
mod schedule;
mod service;
mod sweep;
mod work;
