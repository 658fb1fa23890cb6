//! What the broker allows, with AWS IoT Core's numbers as defaults, and the switches for behaviour that AWS
//! leaves undocumented.
//!
//! Sources: "AWS IoT Core endpoints and quotas" for every number; Developer Guide, `mqtt`, for behaviour.
//! Not here: limits on names and topics, which are the types' own (`fleetkey_model::topic`), and the quotas of the
//! registry ([`crate::registry::quota`]).

use std::time::Duration;

use fleetkey_mqtt::Properties;

use crate::registry::quota::TYPE_REST;

/// Numbers that bound a connection, a message or a session, and one wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Inbound publishes a second on one connection; the excess is discarded. AWS: 100 (in and out together).
    pub publishes_per_second: Option<u32>,
    /// Messages a second that one connection is delivered; the excess is discarded, also of QoS 1. What has waited for
    /// the connection does not count. AWS: 100. Ours: no limit, unless whoever tries a program's behaviour sets it.
    pub deliveries_per_second: Option<u32>,
    /// CONNECT packets a second with one client id; the excess is refused. AWS: 1.
    pub connects_per_second: Option<u32>,
    /// Whether the account's rates are kept: of each operation of the REST API, and of Fleet Provisioning, as Service Quotas
    /// lists them; the excess is refused as throttled. AWS: they are. Ours: they are not, unless whoever tries a program's
    /// behaviour sets it.
    pub account_rates: bool,
    /// Filters in one SUBSCRIBE. AWS: 8.
    pub filters_per_subscribe: usize,
    /// Subscriptions of one session. AWS: 50.
    pub subscriptions: usize,
    /// Names of shared subscriptions. AWS: 100.
    pub share_groups: usize,
    /// Shared subscriptions of one name. AWS: 100.
    pub share_members: usize,
    /// Bytes of payload in one PUBLISH or will. AWS: 128 KiB.
    pub payload_bytes: usize,
    /// Bytes of all user properties of one PUBLISH or will, names and values together. AWS: 8 KiB.
    pub user_property_bytes: usize,
    /// Bytes of the Content Type of one PUBLISH or will. AWS: 256.
    pub content_type_bytes: usize,
    /// Bytes of the Correlation Data of one PUBLISH or will. AWS: 8 KiB.
    pub correlation_data_bytes: usize,
    /// Bytes of one whole packet on the wire. AWS: 146 KiB.
    pub packet_bytes: usize,
    /// QoS 1 messages to one client that it has not acknowledged. AWS: 100.
    pub in_flight_out: u16,
    /// QoS 1 messages from one client that are not acknowledged yet (Receive Maximum). AWS: 100.
    pub in_flight_in: u16,
    /// Inbound topic aliases of a connection. AWS: 8.
    pub topic_aliases: u16,
    /// The longest a persistent session outlives its connection. AWS: 3600 s.
    pub session_expiry: Duration,
    /// Keep-alive as AWS clamps it: shorter is raised to this. AWS: 30 s.
    pub keep_alive_min: Duration,
    /// Keep-alive as AWS clamps it: longer, and 0, become this. AWS: 1200 s.
    pub keep_alive_max: Duration,
    /// Bytes that may wait for one connected client. A QoS 0 message beyond it is dropped; a QoS 1 message
    /// beyond it closes the connection of a session that is not persistent. Ours: 16 MiB, which holds AWS's 100
    /// messages of 128 KiB in flight.
    pub outbound_bytes: usize,
    /// Bytes that may wait for one persistent session; the newest message beyond it is dropped and logged.
    /// Ours: 64 MiB.
    pub session_bytes: usize,
    /// Longest message expiry. AWS: 604 800 s; 0 counts as 1.
    pub message_expiry_max: u32,
    /// Provisioning operations under way on one connection; the excess is rejected with 429. Ours: 16.
    pub provisioning_in_flight: usize,
    /// How long TLS and then CONNECT may each take. Ours: 10 s.
    pub handshake: Duration,
    /// How long a client may leave what we send unread before it counts as lost. Ours: 30 s.
    pub write_stall: Duration,
    /// Topics with a retained message. AWS: 500 000.
    pub retained: usize,
    /// How many connections may be open at once, all listeners together. Ours: 20 000.
    pub connections: usize,
    /// How long a thing type must have been deprecated before it can be deleted. AWS: 5 minutes; who tests a
    /// clean-up wants less.
    pub type_deletion_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            publishes_per_second: Some(100),
            deliveries_per_second: None,
            connects_per_second: Some(1),
            account_rates: false,
            filters_per_subscribe: 8,
            subscriptions: 50,
            share_groups: 100,
            share_members: 100,
            payload_bytes: 128 * 1024,
            user_property_bytes: 8 * 1024,
            content_type_bytes: 256,
            correlation_data_bytes: 8 * 1024,
            packet_bytes: 146 * 1024,
            in_flight_out: 100,
            in_flight_in: 100,
            topic_aliases: 8,
            session_expiry: Duration::from_secs(3600),
            keep_alive_min: Duration::from_secs(30),
            keep_alive_max: Duration::from_secs(1200),
            outbound_bytes: 16 << 20,
            session_bytes: 64 << 20,
            message_expiry_max: 604_800,
            provisioning_in_flight: 16,
            handshake: Duration::from_secs(10),
            write_stall: Duration::from_secs(30),
            retained: 500_000,
            connections: 20_000,
            type_deletion_delay: TYPE_REST,
        }
    }
}

impl Limits {
    /// AWS's limits without those on rates, for load tests.
    pub fn unthrottled() -> Self {
        Self { publishes_per_second: None, connects_per_second: None, ..Self::default() }
    }

    /// The keep-alive that AWS makes of `asked` seconds.
    pub fn keep_alive(&self, asked: u16) -> Duration {
        match Duration::from_secs(u64::from(asked)) {
            Duration::ZERO => self.keep_alive_max,
            asked => asked.clamp(self.keep_alive_min, self.keep_alive_max),
        }
    }

    /// Whether a message may have these properties.
    pub fn admit_properties(&self, properties: &Properties) -> bool {
        let user: usize =
            properties.user_properties().map(|(name, value)| name.bytes().len() + value.bytes().len()).sum();
        let content_type = properties.content_type().map_or(0, |text| text.bytes().len());
        let correlation = properties.correlation_data().map_or(0, |data| data.len());
        user <= self.user_property_bytes
            && content_type <= self.content_type_bytes
            && correlation <= self.correlation_data_bytes
    }

    /// The message expiry that AWS makes of `asked` seconds.
    pub fn message_expiry(&self, asked: u32) -> u32 {
        asked.clamp(1, self.message_expiry_max)
    }
}

/// Behaviour that AWS does not document, or documents twice, each with the evidence for its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switches {
    /// Answer a refused MQTT 3.1.1 CONNECT with return code 5 instead of closing without CONNACK.
    /// Default off: AWS's own SDK documentation treats a hang-up at connect as a policy problem.
    pub connack_on_refusal_v311: bool,
    /// Close the connection when a 3.1.1 SUBSCRIBE is not authorised, instead of SUBACK 0x80.
    /// Default off: the quotas page tells clients to check SUBACK; a 2017 SDK issue saw a close.
    pub close_on_refused_subscribe_v311: bool,
    /// Refuse a TLS client that sends no server name. Default off: the Developer Guide says both.
    pub require_sni: bool,
    /// Apply thing-group policies when the certificate has an exclusive thing, whatever the client id.
    /// Default off: documented only for client id = thing name.
    pub group_policies_by_exclusive_thing: bool,
    /// Evaluate `iot:Connect` again when a thing or policy is attached to, or detached from, the certificate of
    /// a live connection, and cut the connection when it is no longer allowed. Default on: AWS re-evaluates
    /// within minutes; the local IoT Core does so at once.
    pub recheck_on_change: bool,
    /// Demand `iot:Receive` for the direct answers of Fleet Provisioning. Default on: AWS's example policies
    /// grant it, and it "is confirmed every time a message is delivered".
    pub receive_for_direct_answers: bool,
    /// Resume a persistent session when its client id connects with another certificate. Default on: the
    /// specification knows a session by its client id alone (MQTT 5 §4.1). What AWS does is unknown. Off, the
    /// CONNECT gets "no session present", and the subscriptions and messages of the old session are gone.
    pub session_survives_certificate_change: bool,
    /// How long a certificate is still refused at CONNECT after it became ACTIVE. Default zero. AWS names no
    /// bound for the time that an activation takes to spread; clients should bear minutes.
    pub activation_delay: Duration,
    /// How long a connection outlives its certificate's ACTIVE status. Default zero; AWS says "within a few minutes"
    /// (Developer Guide, "Activate or deactivate a client certificate").
    pub cut_delay: Duration,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            connack_on_refusal_v311: false,
            close_on_refused_subscribe_v311: false,
            require_sni: false,
            group_policies_by_exclusive_thing: false,
            recheck_on_change: true,
            receive_for_direct_answers: true,
            session_survives_certificate_change: true,
            activation_delay: Duration::ZERO,
            cut_delay: Duration::ZERO,
        }
    }
}

/// Counts events within the current second and says when there were too many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    start: tokio::time::Instant,
    count: u32,
}

impl Rate {
    /// A counter that has seen nothing at `now`.
    pub(crate) const fn new(now: tokio::time::Instant) -> Self {
        Self { start: now, count: 0 }
    }

    /// Whether one more event at `now` keeps within `limit` a second; counts it if so.
    pub(crate) fn admit(&mut self, now: tokio::time::Instant, limit: Option<u32>) -> bool {
        let Some(limit) = limit else { return true };
        if now.saturating_duration_since(self.start) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        let admitted = self.count < limit;
        if admitted {
            self.count += 1;
        }
        admitted
    }

    /// Whether the counter can be forgotten at `now` without admitting more than it would have.
    pub(crate) fn is_stale(&self, now: tokio::time::Instant) -> bool {
        now.saturating_duration_since(self.start) >= Duration::from_secs(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alive_is_clamped_as_aws_does() {
        let limits = Limits::default();
        for (asked, expected) in [(0, 1200), (1, 30), (30, 30), (60, 60), (1201, 1200), (u16::MAX, 1200)] {
            assert_eq!(limits.keep_alive(asked).as_secs(), expected, "{asked}");
        }
    }

    #[test]
    fn a_message_expiry_of_zero_counts_as_one() {
        let limits = Limits::default();
        assert_eq!(limits.message_expiry(0), 1);
        assert_eq!(limits.message_expiry(u32::MAX), 604_800);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_admits_its_number_each_second() {
        let start = tokio::time::Instant::now();
        let mut rate = Rate::new(start);
        assert!(rate.admit(start, Some(2)) && rate.admit(start, Some(2)) && !rate.admit(start, Some(2)));
        assert!(rate.admit(start + Duration::from_secs(1), Some(2)));
        assert!(rate.admit(start, None));
    }
}
