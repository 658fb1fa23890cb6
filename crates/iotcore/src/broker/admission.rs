//! CONNECT: who may come in, as what. Nothing here has an effect; a refused client leaves every session as it was.
//!
//! Sources: Developer Guide, mqtt (CONNECT), life-cycle-events, connect-policy.

use std::net::IpAddr;
use std::time::Duration;

use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::name::ClientId;
use fleetkey_model::topic::TopicName;
use fleetkey_mqtt::{Connect, QoS, ReasonCode, Version, Will};
use fleetkey_policy::Action;

use super::Broker;
use super::authority::{Identity, Rights};
use crate::events::session_identifier;

/// The smallest Maximum Packet Size that AWS takes from a client.
const MIN_PACKET: u32 = 512;

/// Whoever finished the TLS handshake.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) certificate: CertificateFacts,
    pub(crate) source: IpAddr,
    pub(crate) server_name: Option<String>,
}

/// A client that may come in.
pub(super) struct Admitted {
    pub(super) rights: Rights,
    pub(super) version: Version,
    pub(super) clean: bool,
    /// As granted.
    pub(super) expiry: Duration,
    /// Whether that is less than it asked for.
    pub(super) expiry_adjusted: bool,
    /// As clamped.
    pub(super) keep_alive: Duration,
    /// Unacknowledged messages it takes at once.
    pub(super) window: usize,
    /// Bytes of the largest packet it takes.
    pub(super) max_packet: usize,
    pub(super) will: Option<Will>,
    /// Whether the broker chose its client id.
    pub(super) assigned: bool,
}

/// Why a CONNECT is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What a version 5 client is told.
    pub(super) code: ReasonCode,
    /// For the log.
    pub(super) why: &'static str,
    /// Whose `connect_failed` event is published, for refusals that are a matter of rights.
    pub(super) announce: Option<ClientId>,
}

impl Refusal {
    const fn new(code: ReasonCode, why: &'static str) -> Self {
        Self { code, why, announce: None }
    }

    fn unauthorized(client: &ClientId, why: &'static str) -> Self {
        Self { code: ReasonCode::NOT_AUTHORIZED, why, announce: Some(client.clone()) }
    }
}

impl Broker {
    /// Decides a CONNECT.
    pub(super) fn admit(&self, guest: &Guest, connect: Connect) -> Result<Admitted, Refusal> {
        let (client, assigned) = client_id(&connect)?;
        self.check_certificate(guest, &client)?;
        check_properties(&connect)?;
        if let Some(will) = &connect.will {
            self.check_will(will)?;
        }
        let (expiry, expiry_adjusted) = self.session_expiry(&connect);
        let identity = Identity {
            certificate: guest.certificate.id,
            client,
            source: guest.source,
            server_name: guest.server_name.clone(),
            persistent: !expiry.is_zero(),
            will_topic: connect.will.as_ref().map(|will| will.topic.to_string()),
        };
        let mut rights = Rights::new(self.authority.clone(), identity);
        check_rights(&mut rights, connect.will.as_ref())?;
        if !self.admit_rate(&rights.identity.client) {
            let why = "more CONNECT packets a second with this client id than the limit";
            return Err(Refusal::new(ReasonCode::QUOTA_EXCEEDED, why));
        }
        let limits = &self.limits;
        let window = connect.properties.receive_maximum().unwrap_or(u16::MAX);
        let max_packet = connect.properties.maximum_packet_size().unwrap_or(u32::MAX);
        Ok(Admitted {
            rights,
            version: connect.version,
            clean: connect.clean_start,
            expiry,
            expiry_adjusted,
            keep_alive: limits.keep_alive(connect.keep_alive),
            window: usize::from(window.min(limits.in_flight_out)),
            max_packet: usize::try_from(max_packet).unwrap_or(usize::MAX),
            will: connect.will,
            assigned,
        })
    }

    /// The one place where known, ACTIVE and unexpired is decided.
    pub(super) fn check_certificate(&self, guest: &Guest, client: &ClientId) -> Result<(), Refusal> {
        let registry = self.authority.store.read();
        let Some(record) = registry.certificate(&guest.certificate.id) else {
            return Err(Refusal::unauthorized(client, "the certificate is not registered"));
        };
        let now = self.now();
        if record.may_connect(now) {
            return match now.since(record.last_modified) < self.switches().activation_delay {
                true => {
                    Err(Refusal::unauthorized(client, "the certificate's activation is not effective yet"))
                }
                false => Ok(()),
            };
        }
        tracing::info!(%client, certificate = %record.id, status = %record.status,
            not_before = %record.not_before, not_after = %record.not_after, "certificate refused");
        Err(Refusal::unauthorized(client, "the certificate is not ACTIVE, or not within its validity"))
    }

    fn check_will(&self, will: &Will) -> Result<(), Refusal> {
        if will.qos == QoS::ExactlyOnce {
            return Err(Refusal::new(ReasonCode::QOS_NOT_SUPPORTED, "will with QoS 2"));
        }
        if will.payload.len() > self.limits.payload_bytes {
            return Err(Refusal::new(ReasonCode::QUOTA_EXCEEDED, "will larger than the limit"));
        }
        if !self.limits.admit_properties(&will.properties) {
            return Err(Refusal::new(
                ReasonCode::QUOTA_EXCEEDED,
                "will with properties larger than the limit",
            ));
        }
        match TopicName::new(will.topic.as_str()) {
            Ok(topic) if !topic.is_reserved() => Ok(()),
            _ => Err(Refusal::new(
                ReasonCode::TOPIC_NAME_INVALID,
                "will on a topic that nobody may publish to",
            )),
        }
    }

    fn session_expiry(&self, connect: &Connect) -> (Duration, bool) {
        let longest = self.limits.session_expiry;
        match connect.version {
            Version::V311 if connect.clean_start => (Duration::ZERO, false),
            Version::V311 => (longest, false),
            Version::V5 => {
                let asked = connect.properties.session_expiry().unwrap_or(0);
                let asked = Duration::from_secs(u64::from(asked));
                (asked.min(longest), asked > longest)
            }
        }
    }
}

/// The client id, and whether the broker chose it.
fn client_id(connect: &Connect) -> Result<(ClientId, bool), Refusal> {
    let invalid = |why| Refusal::new(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, why);
    let asked = connect.client_id.as_str();
    if !asked.is_empty() {
        let client = ClientId::new(asked)
            .map_err(|_| invalid("client id over 128 bytes, or with control characters"))?;
        return Ok((client, false));
    }
    if connect.version == Version::V311 {
        // Undocumented for AWS; the specification leaves it to the server (MQTT 3.1.1 §3.1.3.1).
        return Err(invalid("empty client id in MQTT 3.1.1"));
    }
    let client = ClientId::new(format!("$GEN/{}", session_identifier()));
    client.map(|client| (client, true)).map_err(|_| invalid("no client id could be made"))
}

fn check_properties(connect: &Connect) -> Result<(), Refusal> {
    if connect.properties.authentication_method().is_some() {
        let why = "extended authentication";
        return Err(Refusal::new(ReasonCode::BAD_AUTHENTICATION_METHOD, why));
    }
    if connect.properties.maximum_packet_size().is_some_and(|size| size < MIN_PACKET) {
        let why = "Maximum Packet Size under 512";
        return Err(Refusal::new(ReasonCode::UNSPECIFIED_ERROR, why));
    }
    Ok(())
}

fn check_rights(rights: &mut Rights, will: Option<&Will>) -> Result<(), Refusal> {
    let client = rights.identity.client.clone();
    if !rights.allow(Action::Connect, client.as_str()) {
        return Err(Refusal::unauthorized(&client, "iot:Connect is not allowed"));
    }
    let Some(will) = will else { return Ok(()) };
    if !rights.allow(Action::Publish, &will.topic) {
        return Err(Refusal::unauthorized(&client, "iot:Publish of the will is not allowed"));
    }
    if will.retain && !rights.allow(Action::RetainPublish, &will.topic) {
        return Err(Refusal::unauthorized(&client, "iot:RetainPublish of the will is not allowed"));
    }
    Ok(())
}
