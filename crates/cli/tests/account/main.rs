//! Set-up and clean-up as their users run them: the binary, over HTTP, against a local IoT Core that is a process of
//! its own. What there is in the account is told by the official SDK's own clients, never by our code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test fails by panicking, waits for another process by the real clock, and says how much it tried"
)]
#![cfg(feature = "aws")]

#[path = "../cli/keys.rs"]
mod keys;
#[path = "../cli/process.rs"]
#[expect(dead_code, reason = "the module is shared; not every test uses all of it")]
mod process;

mod all_pages;
mod api;
mod cable;
mod campaign;
mod census;
mod core;
mod crowd;
mod described;
mod doors;
mod drift;
mod evidence;
mod hindrances;
mod inventory;
mod journal;
mod kill;
mod least_privilege;
mod moved;
mod names;
mod pace;
mod pages;
mod panic;
mod proxy;
mod recovery;
mod registry;
mod revoke;
mod rollback;
mod serve;
mod sign_request;
mod thief;
mod unreliable;
mod whole;
mod witness;
mod works;
