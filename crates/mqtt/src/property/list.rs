//! A list of properties: reading, writing, the rules that concern more than one, and typed getters.

use bytes::Bytes;

use super::{Place, Property, PropertyFault};
use crate::codec::{DecodeError, EncodeError};
use crate::text::Text;
use crate::types::Version;
use crate::wire::{Count, MAX_VARINT, Reader, Sink};

/// The most properties taken from one packet: a user property of five bytes becomes some eighty in memory.
const MAX_PROPERTIES: usize = 1024;

/// The properties of one packet, in their order. Always empty in MQTT 3.1.1; empty, it allocates nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties(Vec<Property>);

macro_rules! getters {
    ($($(#[$doc:meta])* $getter:ident $name:ident $type:ty;)+) => {
        impl Properties {
            $($(#[$doc])*
            pub fn $getter(&self) -> Option<$type> {
                self.0.iter().find_map(|property| match property {
                    Property::$name(value) => Some(value.clone()),
                    _ => None,
                })
            })+
        }
    };
}

getters! {
    /// Payload Format Indicator: 1 is UTF-8.
    payload_format PayloadFormatIndicator u8;
    /// Message Expiry Interval in seconds.
    message_expiry MessageExpiryInterval u32;
    /// Content Type.
    content_type ContentType Text;
    /// Response Topic.
    response_topic ResponseTopic Text;
    /// Correlation Data.
    correlation_data CorrelationData Bytes;
    /// The first Subscription Identifier.
    subscription_identifier SubscriptionIdentifier u32;
    /// Session Expiry Interval in seconds.
    session_expiry SessionExpiryInterval u32;
    /// Assigned Client Identifier.
    assigned_client_id AssignedClientIdentifier Text;
    /// Server Keep Alive in seconds.
    server_keep_alive ServerKeepAlive u16;
    /// Authentication Method.
    authentication_method AuthenticationMethod Text;
    /// Request Problem Information.
    request_problem_information RequestProblemInformation u8;
    /// Will Delay Interval in seconds.
    will_delay WillDelayInterval u32;
    /// Reason String.
    reason_string ReasonString Text;
    /// Receive Maximum.
    receive_maximum ReceiveMaximum u16;
    /// Topic Alias Maximum.
    topic_alias_maximum TopicAliasMaximum u16;
    /// Topic Alias.
    topic_alias TopicAlias u16;
    /// Maximum QoS.
    maximum_qos MaximumQoS u8;
    /// Retain Available.
    retain_available RetainAvailable u8;
    /// Maximum Packet Size in bytes.
    maximum_packet_size MaximumPacketSize u32;
}

impl Properties {
    /// No properties.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one at the end. What may not stand where the list will stand is refused when it is encoded.
    pub fn push(&mut self, property: Property) {
        self.0.push(property);
    }

    /// The list with one more at its end.
    #[must_use]
    pub fn with(mut self, property: Property) -> Self {
        self.push(property);
        self
    }

    /// All of them, in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Property> {
        self.0.iter()
    }

    /// Keeps those that the predicate accepts.
    pub fn retain(&mut self, keep: impl FnMut(&Property) -> bool) {
        self.0.retain(keep);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The names and values of the user properties, in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&Text, &Text)> {
        self.0.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// Reads the length and the properties; nothing in MQTT 3.1.1.
    pub(crate) fn read(reader: &mut Reader, version: Version, place: Place) -> Result<Self, DecodeError> {
        if version == Version::V311 {
            return Ok(Self::new());
        }
        let length = reader.varint()?;
        // What does not fit an address space does not fit the packet either.
        let mut section = reader.section(usize::try_from(length).unwrap_or(usize::MAX))?;
        let mut list = Self::new();
        let mut seen = 0;
        while !section.is_empty() {
            let property = Property::read(&mut section, place)?;
            property.check(place).and_then(|()| note(&mut seen, &property, place)).map_err(|fault| {
                DecodeError::Property { packet: place.packet(), id: u32::from(property.id()), fault }
            })?;
            if list.0.len() == MAX_PROPERTIES {
                return Err(DecodeError::TooManyProperties(place.packet()));
            }
            list.0.push(property);
        }
        list.check_authentication().map_err(|(id, fault)| DecodeError::Property {
            packet: place.packet(),
            id: u32::from(id),
            fault,
        })?;
        Ok(list)
    }

    /// Writes the length and the properties; nothing in MQTT 3.1.1.
    pub(crate) fn write<S: Sink>(
        &self,
        sink: &mut S,
        version: Version,
        place: Place,
    ) -> Result<(), EncodeError> {
        if version == Version::V311 {
            return Ok(());
        }
        if self.is_empty() {
            sink.byte(0);
            return Ok(());
        }
        if S::CHECKS {
            self.check(place)?;
        }
        let mut count = Count::default();
        self.write_each(&mut count)?;
        let length = u32::try_from(count.0).ok().filter(|length| *length <= MAX_VARINT);
        sink.varint(length.ok_or(EncodeError::TooLarge { size: count.0 })?);
        self.write_each(sink)
    }

    fn write_each<S: Sink>(&self, sink: &mut S) -> Result<(), EncodeError> {
        self.0.iter().try_for_each(|property| property.write(sink))
    }

    fn check(&self, place: Place) -> Result<(), EncodeError> {
        let error = |id, fault| EncodeError::Property { packet: place.packet(), id, fault };
        let mut seen = 0;
        for property in &self.0 {
            property
                .check(place)
                .and_then(|()| note(&mut seen, property, place))
                .map_err(|fault| error(property.id(), fault))?;
        }
        self.check_authentication().map_err(|(id, fault)| error(id, fault))
    }

    fn check_authentication(&self) -> Result<(), (u8, PropertyFault)> {
        let data = self.0.iter().find(|property| matches!(property, Property::AuthenticationData(_)));
        match data {
            Some(data) if self.authentication_method().is_none() => Err((data.id(), PropertyFault::NoMethod)),
            _ => Ok(()),
        }
    }
}

/// Notes the property in the set of those seen, by identifier (all are below 64).
fn note(seen: &mut u64, property: &Property, place: Place) -> Result<(), PropertyFault> {
    let bit = 1 << property.id();
    if *seen & bit != 0 && !property.may_repeat(place) {
        return Err(PropertyFault::Duplicate);
    }
    *seen |= bit;
    Ok(())
}

impl FromIterator<Property> for Properties {
    fn from_iter<I: IntoIterator<Item = Property>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = &'a Property;
    type IntoIter = std::slice::Iter<'a, Property>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
