//! Why a connection ends: what a version 5 client is told, what the presence event says, and whether the will
//! is sent. Source: Developer Guide, life-cycle-events and mqtt.

use fleetkey_mqtt::ReasonCode;

/// `disconnectReason` of a presence event (Developer Guide, life-cycle-events).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectReason {
    /// Authentication or authorisation failed.
    AuthError,
    /// The client sent DISCONNECT.
    ClientInitiatedDisconnect,
    /// The client broke the protocol or a limit.
    ClientError,
    /// The link was lost.
    ConnectionLost,
    /// Another connection has taken the client id.
    DuplicateClientId,
    /// No packet for 1.5 times the keep-alive.
    MqttKeepAliveTimeout,
    /// Something failed on the server.
    ServerError,
    /// The server ended it, for example to shut down.
    ServerInitiatedDisconnect,
    /// An operator ended it.
    ApiInitiatedDisconnect,
    /// The client went beyond a limit on rates or queues.
    Throttled,
}

impl DisconnectReason {
    /// As AWS spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthError => "AUTH_ERROR",
            Self::ClientInitiatedDisconnect => "CLIENT_INITIATED_DISCONNECT",
            Self::ClientError => "CLIENT_ERROR",
            Self::ConnectionLost => "CONNECTION_LOST",
            Self::DuplicateClientId => "DUPLICATE_CLIENTID",
            Self::MqttKeepAliveTimeout => "MQTT_KEEP_ALIVE_TIMEOUT",
            Self::ServerError => "SERVER_ERROR",
            Self::ServerInitiatedDisconnect => "SERVER_INITIATED_DISCONNECT",
            Self::ApiInitiatedDisconnect => "API_INITIATED_DISCONNECT",
            Self::Throttled => "THROTTLED",
        }
    }
}

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Close {
    /// For the presence event.
    pub(crate) reason: DisconnectReason,
    /// For a DISCONNECT to a version 5 client; `None` closes without a word.
    pub(crate) code: Option<ReasonCode>,
    /// Whether the will is sent.
    pub(crate) will: bool,
}

impl Close {
    pub(crate) const TAKEN_OVER: Self =
        Self::told(DisconnectReason::DuplicateClientId, ReasonCode::SESSION_TAKEN_OVER);
    pub(crate) const SHUTDOWN: Self =
        Self::told(DisconnectReason::ServerInitiatedDisconnect, ReasonCode::SERVER_SHUTTING_DOWN);
    pub(crate) const KEEP_ALIVE: Self =
        Self::told(DisconnectReason::MqttKeepAliveTimeout, ReasonCode::KEEP_ALIVE_TIMEOUT);
    pub(crate) const NOT_AUTHORIZED: Self =
        Self::told(DisconnectReason::AuthError, ReasonCode::NOT_AUTHORIZED);
    pub(crate) const BY_OPERATOR: Self =
        Self::told(DisconnectReason::ApiInitiatedDisconnect, ReasonCode::ADMINISTRATIVE_ACTION);
    pub(crate) const SLOW_CONSUMER: Self =
        Self::told(DisconnectReason::Throttled, ReasonCode::QUOTA_EXCEEDED);
    pub(crate) const STORAGE_FAILED: Self =
        Self::told(DisconnectReason::ServerError, ReasonCode::UNSPECIFIED_ERROR);
    /// The socket ended, or a fault cut it.
    pub(crate) const LOST: Self = Self { reason: DisconnectReason::ConnectionLost, code: None, will: true };
    /// DISCONNECT from the client.
    pub(crate) const BY_CLIENT: Self =
        Self { reason: DisconnectReason::ClientInitiatedDisconnect, code: None, will: false };

    /// The client broke the protocol or a limit in the way that `code` names.
    pub(crate) const fn violation(code: ReasonCode) -> Self {
        Self::told(DisconnectReason::ClientError, code)
    }

    /// Whether the client is likely to be still sending: what it sends must then be read away, or the network
    /// throws the last packet to it away as well.
    pub(crate) const fn is_interruption(self) -> bool {
        matches!(
            self.reason,
            DisconnectReason::ClientError | DisconnectReason::AuthError | DisconnectReason::Throttled
        )
    }

    const fn told(reason: DisconnectReason, code: ReasonCode) -> Self {
        Self { reason, code: Some(code), will: true }
    }
}
