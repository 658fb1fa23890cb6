//! CONNECT and CONNACK: what a client asks for, and what it got.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::ConnectError;
use crate::codec::{Limits, decode, encode};
use crate::packet::{ConnAck, Connect, Packet, Will};
use crate::property::{Properties, Property};
use crate::session::Session;
use crate::text::Text;
use crate::types::Version;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The client id; empty asks a broker of MQTT 5 to choose one.
    pub client_id: Text,
    /// The version to speak.
    pub version: Version,
    /// Whether the broker shall throw away an earlier session.
    pub clean_start: bool,
    /// Seconds between PINGREQs of a quiet connection; 0 is never, so that a dead broker is not noticed. AWS
    /// IoT Core takes 0 and what is over 1200 as 1200, and less than 30 as 30.
    pub keep_alive: u16,
    /// Seconds that the session shall outlive the connection, MQTT 5 only; `None` is 0.
    pub session_expiry: Option<u32>,
    /// What the broker publishes when the connection breaks.
    pub will: Option<Will>,
    /// How long PINGRESP may take.
    pub ping_timeout: Duration,
    /// Bytes of the largest packet taken; a broker of MQTT 5 is told.
    pub max_packet: usize,
}

impl ConnectOptions {
    /// MQTT 5, clean start, keep alive 30 s, 10 s for PINGRESP, AWS's packet size, no will.
    pub fn new(client_id: impl Into<Text>) -> Self {
        Self {
            client_id: client_id.into(),
            version: Version::V5,
            clean_start: true,
            keep_alive: 30,
            session_expiry: None,
            will: None,
            ping_timeout: Duration::from_secs(10),
            max_packet: Limits::default().max_packet,
        }
    }

    fn packet(&self) -> Packet {
        let mut properties = Properties::new();
        if self.version == Version::V5 {
            let max_packet = u32::try_from(self.max_packet).unwrap_or(u32::MAX).max(1);
            properties.push(Property::MaximumPacketSize(max_packet));
            if let Some(seconds) = self.session_expiry {
                properties.push(Property::SessionExpiryInterval(seconds));
            }
        }
        Packet::Connect(Box::new(Connect {
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            will: self.will.clone(),
            properties,
            ..Connect::new(self.version, self.client_id.clone())
        }))
    }
}

/// What a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// The version spoken.
    pub version: Version,
    /// Whether the broker has a session of the client.
    pub session_present: bool,
    /// Seconds, where the broker overrides the keep alive.
    pub server_keep_alive: Option<u16>,
    /// How many unanswered QoS 1 messages the broker takes at once; 65535 where it says nothing.
    pub receive_max: u16,
    /// Bytes of the largest packet that the broker takes, where it says so.
    pub max_packet: Option<usize>,
    /// Seconds that the broker keeps the session, where it differs from what was asked for.
    pub session_expiry: Option<u32>,
    /// The client id that the broker chose.
    pub assigned_client_id: Option<Text>,
}

impl Connected {
    /// Moves a session to this connection.
    pub fn begin(&self, session: &mut Session) {
        session.connected(self.version, self.session_present, self.receive_max);
        if let Some(bytes) = self.max_packet {
            session.limit_packet_size(bytes);
        }
    }

    fn new(version: Version, ack: &ConnAck) -> Self {
        let properties = &ack.properties;
        Self {
            version,
            session_present: ack.session_present,
            server_keep_alive: properties.server_keep_alive(),
            receive_max: properties.receive_maximum().unwrap_or(u16::MAX),
            max_packet: properties.maximum_packet_size().and_then(|bytes| usize::try_from(bytes).ok()),
            session_expiry: properties.session_expiry(),
            assigned_client_id: properties.assigned_client_id().map(|id| id.detach()),
        }
    }
}

/// Sends CONNECT and waits for CONNACK. What follows it stays in `input`.
pub(super) async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    options: &ConnectOptions,
) -> Result<Connected, ConnectError> {
    let mut output = BytesMut::new();
    encode(&options.packet(), options.version, &mut output)?;
    let written = write(stream, &output).await;
    // A broker that refuses early makes the writing fail; its reason is to be read all the same.
    match (read(stream, input, options).await, written) {
        (Ok(ack), _) if ack.reason.is_error() => Err(ConnectError::Refused(ack.reason)),
        (Ok(ack), _) => Ok(Connected::new(options.version, &ack)),
        (Err(ConnectError::Closed), Err(error)) => Err(ConnectError::from(&error)),
        (Err(error), _) => Err(error),
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, output: &[u8]) -> std::io::Result<()> {
    stream.write_all(output).await?;
    stream.flush().await
}

async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    options: &ConnectOptions,
) -> Result<ConnAck, ConnectError> {
    let limits = Limits { max_packet: options.max_packet };
    loop {
        match decode(input, options.version, &limits)? {
            Some(Packet::ConnAck(ack)) => return Ok(ack),
            Some(other) => return Err(ConnectError::Unexpected(other.kind())),
            None => {}
        }
        if stream.read_buf(input).await.map_err(|error| ConnectError::from(&error))? == 0 {
            return Err(ConnectError::Closed);
        }
    }
}
