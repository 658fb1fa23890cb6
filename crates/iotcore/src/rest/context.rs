//! What a handler is given besides its input: the account and its surroundings, the caller, the moment.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use fleetkey_model::arn::Scope;
use fleetkey_model::time::Timestamp;

use crate::account::Account;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::functions::Functions;
use crate::iam::Iam;
use crate::log_groups::LogGroups;
use crate::server::Ports;

use super::admin::Reset;
use super::auth::Keys;

/// Everything that operations work on. Clones share it.
#[derive(Clone)]
pub(crate) struct Services {
    /// The control plane's truth.
    pub(crate) account: Account,
    /// Who is connected, what is retained.
    pub(crate) broker: Arc<Broker>,
    /// Tells the time; a request's own moment is [`Context::now`].
    pub(crate) clock: Arc<dyn Clock>,
    /// Account number and region.
    pub(crate) scope: Scope,
    /// Roles and their policies.
    pub(crate) iam: Iam,
    /// Lambda functions.
    pub(crate) functions: Functions,
    /// What functions print, and how long it would be kept.
    pub(crate) log_groups: LogGroups,
    /// Where clients find us.
    pub(crate) endpoints: Arc<Endpoints>,
    /// What requests are signed with; temporary credentials are added here.
    pub(crate) keys: Keys,
    /// What a reset empties besides registry, sessions and retained messages.
    pub(crate) resets: Arc<Vec<Arc<dyn Reset>>>,
}

/// Where clients find the local IoT Core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoints {
    /// A name in the server's certificate.
    pub(crate) host: String,
    /// The ports.
    pub(crate) ports: Ports,
}

/// Who signed the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The access key's id.
    pub(crate) access_key: String,
    /// Twelve digits.
    pub(crate) account: String,
    /// For example `arn:aws:iam::123456789012:root`.
    pub(crate) arn: String,
    /// `userIdentity.principalId` of CloudTrail.
    pub(crate) principal_id: String,
}

/// `x-amzn-RequestId`: a random UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// A new one. Without randomness it is the nil UUID: an id is for people who read logs.
    pub(crate) fn random() -> Self {
        let mut bytes = [0_u8; 16];
        if getrandom::fill(&mut bytes).is_err() {
            return Self("00000000-0000-0000-0000-000000000000".to_owned());
        }
        // RFC 9562, 5.4: version 4, variant 10.
        let number = u128::from_be_bytes(bytes) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let hex = format!("{number:032x}");
        let mut id = String::with_capacity(36);
        for (at, digit) in hex.chars().enumerate() {
            if matches!(at, 8 | 12 | 16 | 20) {
                id.push('-');
            }
            id.push(digit);
        }
        Self(id)
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a handler is given besides its input. Dereferences to [`Services`]: `context.account`.
#[derive(Clone)]
pub(crate) struct Context {
    /// What operations work on.
    pub(crate) services: Services,
    /// Who asks.
    pub(crate) caller: Caller,
    /// The request's id.
    pub(crate) request: RequestId,
    /// When the request came.
    pub(crate) now: Timestamp,
    /// The request's body as it came; the payload of a route that is a [`super::Route::blob`].
    pub(crate) body: Bytes,
}

impl Deref for Context {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_uuid_of_version_4() {
        let id = RequestId::random();
        let parts: Vec<_> = id.as_str().split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&id.as_str()[14..15], "4");
        assert!("89ab".contains(&id.as_str()[19..20]));
        assert_ne!(id, RequestId::random());
    }
}
