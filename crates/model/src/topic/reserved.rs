//! The topics that AWS IoT reserves and this project uses, as a type both ways.
//!
//! Sources: Developer Guide, fleet-provision-api, reserved-topics, life-cycle-events.

use alloc::format;
use core::fmt;

use crate::name::{ClientId, TemplateName};

/// The encoding of a Fleet Provisioning payload, the topic segment after the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `json`
    Json,
    /// `cbor`
    Cbor,
}

/// One leg of a request over reserved topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leg {
    /// The client publishes here.
    Request,
    /// The answer to a request that succeeded.
    Accepted,
    /// The answer to a request that failed.
    Rejected,
}

impl Leg {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Request => "",
            Self::Accepted => "/accepted",
            Self::Rejected => "/rejected",
        }
    }
}

/// The kinds of presence event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PresenceKind {
    /// A client has connected.
    Connected,
    /// A client has gone.
    Disconnected,
    /// A client was refused.
    ConnectFailed,
}

/// The kinds of subscription event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubscriptionKind {
    /// Filters were added.
    Subscribed,
    /// Filters were removed.
    Unsubscribed,
}

/// A topic under `$aws/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReservedTopic {
    /// `$aws/certificates/create/FORMAT`: CreateKeysAndCertificate.
    CreateKeys(Format, Leg),
    /// `$aws/certificates/create-from-csr/FORMAT`: CreateCertificateFromCsr.
    CreateFromCsr(Format, Leg),
    /// `$aws/provisioning-templates/TEMPLATE/provision/FORMAT`: RegisterThing.
    RegisterThing(TemplateName, Format, Leg),
    /// `$aws/events/presence/KIND/CLIENT`.
    Presence(PresenceKind, ClientId),
    /// `$aws/events/subscriptions/KIND/CLIENT`.
    Subscription(SubscriptionKind, ClientId),
}

/// Where other services of AWS IoT take messages: Basic Ingest, shadows and jobs, commands, device location
/// (Developer Guide, reserved-topics).
const SERVICES: [&str; 4] = ["$aws/rules/", "$aws/things/", "$aws/commands/", "$aws/device_location/"];

impl ReservedTopic {
    /// Whether a topic belongs to a service that clients publish to and that is not told apart any further here.
    pub fn is_other_service(topic: &str) -> bool {
        SERVICES.iter().any(|prefix| topic.starts_with(prefix))
    }

    /// The rule that a topic of Basic Ingest, `$aws/rules/RULE[/TOPIC]`, names, and the topic that the rule takes
    /// the message for (Developer Guide, iot-basic-ingest).
    pub fn basic_ingest(topic: &str) -> Option<(&str, &str)> {
        let rest = topic.strip_prefix("$aws/rules/")?;
        Some(rest.split_once('/').unwrap_or((rest, "")))
    }

    /// Every client's connecting; client ids may contain slashes.
    pub const ALL_CONNECTED: &'static str = "$aws/events/presence/connected/#";
    /// Every client's going.
    pub const ALL_DISCONNECTED: &'static str = "$aws/events/presence/disconnected/#";

    /// Reads a topic; `None` when it is none of these.
    pub fn parse(topic: &str) -> Option<Self> {
        let rest = topic.strip_prefix("$aws/")?;
        let (area, rest) = rest.split_once('/')?;
        match area {
            "certificates" => {
                let (operation, rest) = rest.split_once('/')?;
                let (format, leg) = parse_tail(rest)?;
                match operation {
                    "create" => Some(Self::CreateKeys(format, leg)),
                    "create-from-csr" => Some(Self::CreateFromCsr(format, leg)),
                    _ => None,
                }
            }
            "provisioning-templates" => {
                let (template, rest) = rest.split_once('/')?;
                let (format, leg) = parse_tail(rest.strip_prefix("provision/")?)?;
                Some(Self::RegisterThing(TemplateName::new(template).ok()?, format, leg))
            }
            "events" => parse_event(rest),
            _ => None,
        }
    }
}

fn parse_tail(tail: &str) -> Option<(Format, Leg)> {
    let (format, leg) = match tail.split_once('/') {
        None => (tail, Leg::Request),
        Some((format, "accepted")) => (format, Leg::Accepted),
        Some((format, "rejected")) => (format, Leg::Rejected),
        Some(_) => return None,
    };
    match format {
        "json" => Some((Format::Json, leg)),
        "cbor" => Some((Format::Cbor, leg)),
        _ => None,
    }
}

fn parse_event(rest: &str) -> Option<ReservedTopic> {
    let (family, rest) = rest.split_once('/')?;
    let (kind, client) = rest.split_once('/')?;
    let client = ClientId::new(client).ok()?;
    match (family, kind) {
        ("presence", "connected") => Some(ReservedTopic::Presence(PresenceKind::Connected, client)),
        ("presence", "disconnected") => Some(ReservedTopic::Presence(PresenceKind::Disconnected, client)),
        ("presence", "connect_failed") => Some(ReservedTopic::Presence(PresenceKind::ConnectFailed, client)),
        ("subscriptions", "subscribed") => {
            Some(ReservedTopic::Subscription(SubscriptionKind::Subscribed, client))
        }
        ("subscriptions", "unsubscribed") => {
            Some(ReservedTopic::Subscription(SubscriptionKind::Unsubscribed, client))
        }
        _ => None,
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Cbor => "cbor",
        })
    }
}

impl fmt::Display for ReservedTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateKeys(format, leg) => {
                write!(f, "$aws/certificates/create/{format}{}", leg.suffix())
            }
            Self::CreateFromCsr(format, leg) => {
                write!(f, "$aws/certificates/create-from-csr/{format}{}", leg.suffix())
            }
            Self::RegisterThing(template, format, leg) => {
                write!(f, "$aws/provisioning-templates/{template}/provision/{format}{}", leg.suffix())
            }
            Self::Presence(kind, client) => {
                let kind = match kind {
                    PresenceKind::Connected => "connected",
                    PresenceKind::Disconnected => "disconnected",
                    PresenceKind::ConnectFailed => "connect_failed",
                };
                f.write_str(&format!("$aws/events/presence/{kind}/{client}"))
            }
            Self::Subscription(kind, client) => {
                let kind = match kind {
                    SubscriptionKind::Subscribed => "subscribed",
                    SubscriptionKind::Unsubscribed => "unsubscribed",
                };
                write!(f, "$aws/events/subscriptions/{kind}/{client}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_topic_reads_back_as_it_was_written() {
        let template = TemplateName::new("CertRotationTemplate").unwrap();
        let client = ClientId::new("sensor/1~verify").unwrap();
        let mut topics = std::vec![
            ReservedTopic::Presence(PresenceKind::Connected, client.clone()),
            ReservedTopic::Presence(PresenceKind::Disconnected, client.clone()),
            ReservedTopic::Presence(PresenceKind::ConnectFailed, client.clone()),
            ReservedTopic::Subscription(SubscriptionKind::Subscribed, client.clone()),
            ReservedTopic::Subscription(SubscriptionKind::Unsubscribed, client),
        ];
        for format in [Format::Json, Format::Cbor] {
            for leg in [Leg::Request, Leg::Accepted, Leg::Rejected] {
                topics.push(ReservedTopic::CreateKeys(format, leg));
                topics.push(ReservedTopic::CreateFromCsr(format, leg));
                topics.push(ReservedTopic::RegisterThing(template.clone(), format, leg));
            }
        }
        for topic in topics {
            assert_eq!(ReservedTopic::parse(&topic.to_string()), Some(topic));
        }
    }

    #[test]
    fn what_is_not_reserved_for_us_is_none() {
        for other in
            ["a", "$aws/things/x/shadow/get", "$aws/certificates/create/xml", "$aws/certificates/create"]
        {
            assert_eq!(ReservedTopic::parse(other), None, "{other}");
        }
        assert!(ReservedTopic::is_other_service("$aws/things/x/shadow/get"));
        assert!(!ReservedTopic::is_other_service("$aws/events/presence/connected/x"));
    }
}
