//! Certificates for keys that somebody else keeps: a PLC makes its key and a request, and only the certificate travels.
//!
//! CODESYS puts key usage, extended key usage and subject alternative name into its request, each critical, and documents
//! that a certificate without one of them "cannot be used by the PLC". So a request is read and judged
//! ([`SigningRequest`]), signed by the account or by a CA of one's own ([`Authority`]), and what came back is held against
//! what was asked for ([`SigningRequest::losses`]). Which of its certificates a PLC then takes is [`Choice`]. Not here: the
//! account's calls, and the files for the PLC ([`crate::bundle`]).

pub use authority::{Authority, AuthorityError};
pub use extension::{Demand, Fault, Loss};
pub use owned::{Choice, Owned};
pub use request::{RequestError, SigningRequest};

mod authority;
mod extension;
mod owned;
mod request;
#[cfg(test)]
mod tests;
mod verify;
