//! A persistent session's own row, as JSON: small, rare, and readable by whoever has to look into the file.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A persistent session without its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    /// The protocol level, 4 or 5: AWS resumes no session across versions.
    pub(crate) version: u8,
    /// Seconds that it outlives its connection.
    pub(crate) expiry: u64,
    /// The certificate it was last used with.
    pub(crate) principal: CertificateId,
    /// When its connection ended; absent while it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) offline_since: Option<Timestamp>,
    /// Its subscriptions.
    pub(crate) subscriptions: Vec<SubscriptionRecord>,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubscriptionRecord {
    /// As it stood on the wire.
    pub(crate) filter: String,
    /// Granted.
    pub(crate) qos: u8,
    /// Keep the publisher's RETAIN flag.
    #[serde(default)]
    pub(crate) retain_as_published: bool,
}

#[cfg(test)]
impl SessionRecord {
    pub(super) fn example() -> Self {
        Self {
            version: 4,
            expiry: 3600,
            principal: CertificateId::of_der(b"x"),
            offline_since: Some(Timestamp::from_secs(1)),
            subscriptions: vec![SubscriptionRecord {
                filter: "a/#".into(),
                qos: 1,
                retain_as_published: false,
            }],
        }
    }
}
