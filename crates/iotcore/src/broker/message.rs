//! A message on its way through the broker: immutable, shared by all its receivers, encoded once for all that
//! want it alike.

use std::fmt;
use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use fleetkey_model::time::Timestamp;
use fleetkey_mqtt::{
    EncodedPublish, Limits, Packet, PacketId, Properties, Property, Publish, QoS, Text, Version, decode,
    encode,
};

/// What one publisher sent, or the broker itself.
pub(crate) struct Message {
    pub(crate) topic: Text,
    pub(crate) payload: Bytes,
    /// The publisher's quality of service: nobody receives the message at a higher one.
    pub(crate) qos: QoS,
    /// The RETAIN flag as the publisher set it.
    pub(crate) retain: bool,
    /// Properties of MQTT 5 that travel with the message, without the expiry.
    pub(crate) properties: Properties,
    /// From when on nobody receives it any more.
    pub(crate) expires_at: Option<Timestamp>,
    /// By version, quality and flag; filled by the first receiver that wants it so.
    encoded: [OnceLock<Box<EncodedPublish>>; 8],
}

/// Without the payload: private keys travel in payloads.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("topic", &self.topic).field("qos", &self.qos).finish_non_exhaustive()
    }
}

/// How one receiver wants a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    pub(crate) version: Version,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl Form {
    const fn index(self) -> usize {
        let version = matches!(self.version, Version::V5) as usize;
        let qos = !matches!(self.qos, QoS::AtMostOnce) as usize;
        version | qos << 1 | (self.retain as usize) << 2
    }
}

impl Message {
    /// A message as `publish` has it, its properties cut down to those that travel.
    pub(crate) fn new(publish: Publish, expires_at: Option<Timestamp>) -> Self {
        let mut properties = publish.properties;
        properties.retain(|property| {
            !matches!(
                property,
                Property::TopicAlias(_) | Property::MessageExpiryInterval(_) | Property::WillDelayInterval(_)
            )
        });
        Self {
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            properties,
            expires_at,
            encoded: Default::default(),
        }
    }

    /// A message of the broker itself.
    pub(crate) fn internal(topic: String, payload: impl Into<Bytes>) -> Self {
        let mut publish = Publish::new(topic, payload);
        publish.qos = QoS::AtLeastOnce;
        Self::new(publish, None)
    }

    /// A copy that does not keep the packet it came in alive, for what stays long.
    pub(crate) fn detached(&self) -> Self {
        let mut publish = self.publish(self.qos, self.retain);
        publish.topic = self.topic.detach();
        publish.payload = Bytes::copy_from_slice(&self.payload);
        publish.properties = self.properties.iter().map(detached).collect();
        Self::new(publish, self.expires_at)
    }

    /// Bytes that it occupies while it waits, near enough to bound memory by.
    pub(crate) fn weight(&self) -> usize {
        const OVERHEAD: usize = 320;
        let properties: usize = self.properties.iter().map(weight_of).sum();
        self.topic.bytes().len() + self.payload.len() + properties + OVERHEAD
    }

    /// Whether its time has passed at `now`.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Appends it to `out` in the form that a receiver wants. `None`, and nothing appended, when it is larger
    /// than `max` bytes or cannot be encoded.
    pub(crate) fn write(
        &self,
        form: Form,
        id: Option<PacketId>,
        now: Timestamp,
        max: usize,
        out: &mut BytesMut,
    ) -> Option<()> {
        let dated;
        let encoded = match (form.version, self.expires_at) {
            (Version::V5, Some(end)) => {
                dated = self.dated(form, end, now)?;
                &dated
            }
            _ => self.encoded(form)?,
        };
        if encoded.len() > max {
            return None;
        }
        match id {
            Some(id) => encoded.write_with_id(id, false, out),
            None => encoded.write(out).ok()?,
        }
        Some(())
    }

    fn encoded(&self, form: Form) -> Option<&EncodedPublish> {
        let slot = self.encoded.get(form.index())?;
        if let Some(encoded) = slot.get() {
            return Some(encoded);
        }
        let publish = self.publish(form.qos, form.retain);
        let encoded = EncodedPublish::new(&publish, form.version).ok()?;
        Some(slot.get_or_init(|| Box::new(encoded)))
    }

    /// A version 5 receiver is told how many seconds are left (MQTT 5 §3.3.2.3.3).
    fn dated(&self, form: Form, end: Timestamp, now: Timestamp) -> Option<EncodedPublish> {
        let left = end.since(now).as_millis().div_ceil(1000);
        let mut publish = self.publish(form.qos, form.retain);
        publish.properties.push(Property::MessageExpiryInterval(u32::try_from(left).unwrap_or(u32::MAX)));
        EncodedPublish::new(&publish, form.version).ok()
    }

    fn publish(&self, qos: QoS, retain: bool) -> Publish {
        Publish {
            dup: false,
            qos,
            retain,
            topic: self.topic.clone(),
            packet_id: None,
            payload: self.payload.clone(),
            properties: self.properties.clone(),
        }
    }

    /// The form in which it stands in the sessions file: the end of its life in milliseconds (0: none), then a
    /// version 5 PUBLISH with the RETAIN flag that the receiver is to see.
    pub(crate) fn to_stored(&self, retain: bool) -> Option<Bytes> {
        let form = Form { version: Version::V5, qos: QoS::AtLeastOnce, retain };
        let mut out = BytesMut::new();
        out.put_u64(self.expires_at.map_or(0, Timestamp::as_millis));
        self.encoded(form)?.write_with_id(PacketId::FIRST, false, &mut out);
        Some(out.freeze())
    }

    /// Reads what [`Message::to_stored`] wrote; `None` when it is damaged.
    pub(crate) fn from_stored(stored: &[u8]) -> Option<Self> {
        let (end, packet) = stored.split_first_chunk::<8>()?;
        let end = u64::from_be_bytes(*end);
        let limits = Limits { max_packet: packet.len() };
        let packet = decode(&mut BytesMut::from(packet), Version::V5, &limits);
        let Ok(Some(Packet::Publish(publish))) = packet else {
            return None;
        };
        Some(Self::new(publish, (end > 0).then(|| Timestamp::from_millis(end))))
    }
}

/// A copy of a property that shares no memory with it.
fn detached(property: &Property) -> Property {
    match property {
        Property::ContentType(text) => Property::ContentType(text.detach()),
        Property::ResponseTopic(topic) => Property::ResponseTopic(topic.detach()),
        Property::CorrelationData(data) => Property::CorrelationData(Bytes::copy_from_slice(data)),
        Property::UserProperty(name, value) => Property::UserProperty(name.detach(), value.detach()),
        // No other property of a message has a text or bytes.
        other => other.clone(),
    }
}

/// Bytes that a property of a message occupies.
fn weight_of(property: &Property) -> usize {
    let data = match property {
        Property::ContentType(text) | Property::ResponseTopic(text) => text.bytes().len(),
        Property::CorrelationData(data) => data.len(),
        Property::UserProperty(name, value) => name.bytes().len() + value.bytes().len(),
        _ => 0,
    };
    size_of::<Property>() + data
}

/// Encodes a packet that the broker made itself; one that it could not encode would be a bug and is logged.
pub(crate) fn encode_own(packet: &Packet, version: Version, out: &mut BytesMut) {
    if let Err(error) = encode(packet, version, out) {
        tracing::error!(%error, "a packet of our own cannot be encoded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sample() -> Message {
        let mut publish = Publish::new("a/b", "payload");
        publish.qos = QoS::AtLeastOnce;
        publish.properties.push(Property::UserProperty("k".into(), "v".into()));
        publish.properties.push(Property::TopicAlias(3));
        Message::new(publish, Some(Timestamp::from_secs(100)))
    }

    #[test]
    fn a_stored_message_reads_back() {
        let message = sample();
        let read = Message::from_stored(&message.to_stored(true).unwrap()).unwrap();
        assert_eq!((&read.topic, &read.payload), (&message.topic, &message.payload));
        assert_eq!(read.expires_at, Some(Timestamp::from_secs(100)));
        assert_eq!(read.properties, message.properties);
        assert!(read.retain && read.properties.topic_alias().is_none());
        assert!(Message::from_stored(&[0; 9]).is_none());
    }

    #[test]
    fn a_version_5_receiver_is_told_how_long_the_message_lives() {
        let form = Form { version: Version::V5, qos: QoS::AtMostOnce, retain: false };
        let mut out = BytesMut::new();
        let now = Timestamp::from_secs(90) + Duration::from_millis(1);
        sample().write(form, None, now, usize::MAX, &mut out).unwrap();
        let Some(Packet::Publish(publish)) = decode(&mut out, Version::V5, &Limits::default()).unwrap()
        else {
            panic!("no PUBLISH");
        };
        assert_eq!(publish.properties.message_expiry(), Some(10));
    }

    #[test]
    fn properties_weigh_as_much_as_a_payload_does() {
        let mut publish = Publish::new("a/b", "");
        publish.properties.push(Property::UserProperty("k".into(), "v".repeat(5000).into()));
        publish.properties.push(Property::CorrelationData(Bytes::from(vec![0; 4000])));
        assert!(Message::new(publish, None).weight() > 9000);
    }

    #[test]
    fn a_detached_message_shares_nothing_with_the_packet_it_came_in() {
        let mut publish = Publish::new("a/b", "payload");
        publish.properties.push(Property::UserProperty("k".into(), "v".into()));
        publish.properties.push(Property::ContentType("text".into()));
        publish.properties.push(Property::ResponseTopic("answers".into()));
        publish.properties.push(Property::CorrelationData("data".into()));
        let mut packet = BytesMut::new();
        encode(&Packet::Publish(publish), Version::V5, &mut packet).unwrap();
        let start = packet.as_ptr() as usize;
        let memory = start..start + packet.len();
        let Some(Packet::Publish(publish)) = decode(&mut packet, Version::V5, &Limits::default()).unwrap()
        else {
            panic!("no PUBLISH");
        };
        let message = Message::new(publish, None);
        let shares = |bytes: &[u8]| memory.contains(&(bytes.as_ptr() as usize));
        let in_memory = |message: &Message| {
            message.properties.iter().any(|property| match property {
                Property::UserProperty(name, value) => shares(name.bytes()) || shares(value.bytes()),
                Property::ContentType(text) | Property::ResponseTopic(text) => shares(text.bytes()),
                Property::CorrelationData(data) => shares(data),
                other => panic!("{other:?}"),
            }) || shares(message.topic.bytes())
                || shares(&message.payload)
        };
        let detached = message.detached();
        assert!(in_memory(&message) && !in_memory(&detached));
        assert_eq!(detached.properties, message.properties);
    }

    #[test]
    fn what_is_larger_than_the_receiver_takes_is_not_written() {
        let form = Form { version: Version::V311, qos: QoS::AtLeastOnce, retain: false };
        let mut out = BytesMut::new();
        let id = PacketId::new(7);
        assert!(sample().write(form, id, Timestamp::default(), 10, &mut out).is_none());
        assert!(out.is_empty());
        assert!(sample().write(form, id, Timestamp::default(), 20, &mut out).is_some());
    }
}
