//! What the controller shows over HTTP: whether it lives, whether it hears the broker, its metrics, and the API. The
//! pages for people are the dashboard's.
//!
//! Not here, ever: the AWS SDK, and the local IoT Core. Whoever serves hands the fleet in through [`Backend`].
//!
//! # Modules
//! - [`server`]: sockets, limits, the end
//! - [`backend`]: what is shown and asked for, as a trait
//! - [`token`]: who may ask for what
//! - [`feed`]: what happens, as a numbered stream
//! - `guard`: by which names we may be called
//! - `routes`, `api`, `reply`: from a request to an answer

#![forbid(unsafe_code)]

pub mod backend;
pub mod feed;
pub mod server;
pub mod token;

mod api;
mod guard;
mod reply;
mod routes;

pub use backend::Backend;
pub use server::{Server, ServerConfig};
