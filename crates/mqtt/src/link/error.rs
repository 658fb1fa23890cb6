//! Why a connection did not come about, and why it ended.

use std::io;

use crate::codec::{DecodeError, EncodeError};
use crate::packet::PacketKind;
use crate::reason::ReasonCode;
use crate::session::ProtocolError;

/// Why a connection did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The broker answered no.
    #[error("the broker refused the connection: {0}")]
    Refused(ReasonCode),
    /// The broker closed without an answer: with MQTT 3.1.1, AWS IoT Core's usual way to refuse (a policy that
    /// does not allow `iot:Connect`, a certificate that is not active).
    #[error("the broker closed the connection without an answer; AWS IoT Core refuses so")]
    Closed,
    /// No answer came in time.
    #[error("the broker did not answer CONNECT in time")]
    Timeout,
    /// The stream failed, for instance by a TLS alert.
    #[error("the connection failed: {message}")]
    Io {
        /// What kind of failure.
        kind: io::ErrorKind,
        /// The stream's own words.
        message: String,
    },
    /// The broker answered with something else.
    #[error("the broker answered CONNECT with {0}")]
    Unexpected(PacketKind),
    /// The broker's bytes are no packet.
    #[error("the broker's answer cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// The options make no CONNECT.
    #[error("CONNECT cannot be sent: {0}")]
    Unsendable(#[from] EncodeError),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The broker closed without a word. MQTT 3.1.1 knows no other way.
    #[error("the broker closed the connection")]
    Closed,
    /// The broker said why (MQTT 5).
    #[error("the broker ended the connection: {0}")]
    Disconnected(ReasonCode),
    /// The broker did not answer PINGREQ in time, or takes no bytes.
    #[error("the connection is dead: no answer to PINGREQ in time")]
    Dead,
    /// The stream failed.
    #[error("the connection failed: {message}")]
    Io {
        /// What kind of failure.
        kind: io::ErrorKind,
        /// The stream's own words.
        message: String,
    },
    /// The broker's bytes are no packet.
    #[error("the broker's packet cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// The broker sent what it may not.
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    /// A packet of the session cannot be written; the session checks its own, so that this does not happen.
    #[error("a packet cannot be sent: {0}")]
    Unsendable(EncodeError),
    /// This side ended it.
    #[error("the connection was ended by this side")]
    Ended,
}

impl LinkError {
    /// What to say to a broker that broke the protocol.
    pub(super) const fn protest(&self) -> Option<ReasonCode> {
        match self {
            Self::Malformed(error) => Some(error.reason()),
            Self::Protocol(error) => Some(error.reason()),
            _ => None,
        }
    }
}

impl From<&io::Error> for ConnectError {
    fn from(error: &io::Error) -> Self {
        if is_close(error.kind()) {
            return Self::Closed;
        }
        Self::Io { kind: error.kind(), message: error.to_string() }
    }
}

impl From<&io::Error> for LinkError {
    fn from(error: &io::Error) -> Self {
        if is_close(error.kind()) {
            return Self::Closed;
        }
        Self::Io { kind: error.kind(), message: error.to_string() }
    }
}

/// Whether it only means that the peer is gone. `UnexpectedEof` is TLS closed without close_notify.
fn is_close(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
    )
}
