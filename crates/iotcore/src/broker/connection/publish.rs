//! PUBLISH: limits, rights, faults, then into the broker; PUBACK when what it promises is durable.
//!
//! How refusals are told follows the Developer Guide (mqtt) and, where it is silent, what clients have observed:
//! version 5 with QoS 1 gets a PUBACK with the reason and stays; version 5 with QoS 0 gets a DISCONNECT; MQTT 3.1.1
//! has no words and is closed.

use fleetkey_model::provisioning::Rejection;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::{Leg, ReservedTopic, TopicName};
use fleetkey_mqtt::{Packet, PacketId, PubAck, Publish, QoS, ReasonCode, Version};
use fleetkey_policy::Action;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::Connection;
use crate::broker::link::Answer;
use crate::broker::message::Message;
use crate::broker::{Broker, Close};
use crate::faults::{Call, CallKind, Flow, Plan, Point};

impl Broker {
    /// The moment at which a message with this expiry ends.
    pub(in crate::broker) fn expiry_from_now(&self, seconds: u32) -> Timestamp {
        let seconds = self.limits.message_expiry(seconds);
        self.now() + std::time::Duration::from_secs(u64::from(seconds))
    }
}

/// What a topic is to the broker.
enum Target {
    /// An ordinary topic, fanned out.
    Subscribers,
    /// A request to Fleet Provisioning.
    Provisioning(ReservedTopic),
    /// Basic Ingest: for one rule alone, which takes it for a message on this topic.
    Rule(String, String),
    /// A service of AWS that takes the message and tells nobody (shadows, jobs …); not imitated yet.
    Silent,
    /// Reserved, and nothing that a client may publish to.
    Forbidden,
}

impl Target {
    fn of(topic: &TopicName) -> Self {
        if !topic.is_reserved() {
            return Self::Subscribers;
        }
        match ReservedTopic::parse(topic.as_str()) {
            Some(
                request @ (ReservedTopic::CreateKeys(_, Leg::Request)
                | ReservedTopic::CreateFromCsr(_, Leg::Request)
                | ReservedTopic::RegisterThing(_, _, Leg::Request)),
            ) => Self::Provisioning(request),
            Some(_) => Self::Forbidden,
            None if let Some((rule, topic)) = ReservedTopic::basic_ingest(topic.as_str()) => {
                Self::Rule(rule.to_owned(), topic.to_owned())
            }
            None if ReservedTopic::is_other_service(topic.as_str()) => Self::Silent,
            None => Self::Forbidden,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn on_publish(&mut self, mut publish: Publish) -> Result<(), Close> {
        if publish.qos == QoS::ExactlyOnce {
            return self.on_qos_2();
        }
        if publish.properties.subscription_identifier().is_some() {
            // MQTT 5 §3.3.4: only the server sends one.
            return Err(Close::violation(ReasonCode::PROTOCOL_ERROR));
        }
        self.resolve_alias(&mut publish)?;
        if publish.payload.len() > self.broker.limits.payload_bytes {
            tracing::info!(client = %self.info.client_id, bytes = publish.payload.len(), "payload over the limit");
            return Err(Close::violation(ReasonCode::QUOTA_EXCEEDED));
        }
        if !self.broker.limits.admit_properties(&publish.properties) {
            tracing::info!(client = %self.info.client_id, "properties over the limit");
            return Err(Close::violation(ReasonCode::QUOTA_EXCEEDED));
        }
        let topic = match TopicName::new(publish.topic.as_str()) {
            Ok(topic) => topic,
            Err(error) => {
                tracing::info!(client = %self.info.client_id, %error, "topic refused");
                return Err(Close::violation(ReasonCode::TOPIC_NAME_INVALID));
            }
        };
        let limit = self.broker.limits.publishes_per_second;
        if !self.publishes.admit(Instant::now(), limit) {
            return self.discard(&publish);
        }
        if !self.may_publish(&publish) {
            return self.refuse(publish.packet_id, ReasonCode::NOT_AUTHORIZED);
        }
        match Target::of(&topic) {
            Target::Forbidden => self.refuse(publish.packet_id, ReasonCode::TOPIC_NAME_INVALID),
            _ if topic.is_reserved() && publish.retain => {
                self.refuse(publish.packet_id, ReasonCode::TOPIC_NAME_INVALID)
            }
            Target::Provisioning(request) => {
                self.acknowledge(publish.packet_id, None);
                self.provision(request, publish.payload);
                Ok(())
            }
            Target::Rule(rule, topic) => {
                let after = self.broker.ingest(&rule, &topic, &publish, self.info.sender());
                self.acknowledge(publish.packet_id, after);
                Ok(())
            }
            Target::Silent => {
                self.acknowledge(publish.packet_id, None);
                Ok(())
            }
            Target::Subscribers => {
                self.take_in(publish);
                Ok(())
            }
        }
    }

    /// AWS has no QoS 2: version 5 says so, MQTT 3.1.1 is met with silence (Developer Guide, mqtt).
    fn on_qos_2(&self) -> Result<(), Close> {
        tracing::info!(client = %self.info.client_id, "QoS 2 is not supported");
        match self.version {
            Version::V5 => Err(Close::violation(ReasonCode::QOS_NOT_SUPPORTED)),
            Version::V311 => Ok(()),
        }
    }

    /// Puts the topic in place of its alias, and remembers a new alias (MQTT 5 §3.3.2.3.4).
    fn resolve_alias(&mut self, publish: &mut Publish) -> Result<(), Close> {
        let Some(alias) = publish.properties.topic_alias() else {
            return Ok(());
        };
        let invalid = Close::violation(ReasonCode::TOPIC_ALIAS_INVALID);
        if alias > self.broker.limits.topic_aliases {
            return Err(invalid);
        }
        let known = self.aliases.iter_mut().find(|(own, _)| *own == alias);
        match (publish.topic.bytes().is_empty(), known) {
            (true, Some((_, topic))) => publish.topic = topic.clone(),
            (true, None) => return Err(Close::violation(ReasonCode::PROTOCOL_ERROR)),
            (false, Some((_, topic))) => *topic = publish.topic.detach(),
            (false, None) => self.aliases.push((alias, publish.topic.detach())),
        }
        Ok(())
    }

    fn may_publish(&mut self, publish: &Publish) -> bool {
        self.rights.allow(Action::Publish, &publish.topic)
            && (!publish.retain || self.rights.allow(Action::RetainPublish, &publish.topic))
    }

    /// The excess over the rate is thrown away (quota "Publish requests per second per connection").
    fn discard(&mut self, publish: &Publish) -> Result<(), Close> {
        tracing::debug!(client = %self.info.client_id, topic = %publish.topic, "publish over the rate discarded");
        if let (Version::V5, Some(id)) = (self.version, publish.packet_id) {
            self.answer(puback(id, ReasonCode::QUOTA_EXCEEDED), None);
        }
        Ok(())
    }

    fn refuse(&mut self, id: Option<PacketId>, code: ReasonCode) -> Result<(), Close> {
        match (self.version, id) {
            (Version::V5, Some(id)) => {
                self.answer(puback(id, code), None);
                Ok(())
            }
            _ if code == ReasonCode::NOT_AUTHORIZED => Err(Close::NOT_AUTHORIZED),
            _ => Err(Close::violation(code)),
        }
    }

    fn acknowledge(&mut self, id: Option<PacketId>, after: Option<u64>) {
        if let Some(id) = id {
            self.answer(puback(id, ReasonCode::SUCCESS), after);
        }
    }

    /// An ordinary message whose publisher may publish it.
    fn take_in(&mut self, publish: Publish) {
        let info = self.info.clone();
        let call = Call {
            kind: CallKind::Publish(&publish.topic),
            client: &info.client_id,
            thing: self.rights.thing(),
        };
        if let Some(plan) = self.broker.faults.plan(&call) {
            return self.take_in_with_faults(publish, plan);
        }
        let id = publish.packet_id;
        let message = self.message(publish);
        let after = self.broker.accept(message, &self.info);
        self.acknowledge(id, after);
    }

    /// The same beside the connection's task, which goes on meanwhile.
    fn take_in_with_faults(&self, publish: Publish, plan: Plan) {
        let (broker, link, info) = (self.broker.clone(), self.link.clone(), self.info.clone());
        let version = self.version;
        let id = publish.packet_id;
        let message = self.message(publish);
        tokio::spawn(async move {
            let faults = &broker.faults;
            if plan.at(Point::Request, faults).await == Flow::Cut {
                return link.close(Close::LOST);
            }
            if plan.lost {
                return;
            }
            let (reason, after) = match &plan.reject {
                Some(rejection) => (reason_of(rejection), None),
                None => {
                    let after = broker.accept(message, &info);
                    broker.durable(after).await;
                    (ReasonCode::SUCCESS, after)
                }
            };
            if plan.at(Point::Answer, faults).await == Flow::Cut {
                return link.close(Close::LOST);
            }
            match id {
                _ if reason.is_error() && version == Version::V311 => link.close(Close::violation(reason)),
                Some(id) => link.answer(Answer { packet: puback(id, reason), after, copies: plan.answers }),
                None => {}
            }
        });
    }

    fn message(&self, publish: Publish) -> Message {
        let expires_at =
            publish.properties.message_expiry().map(|seconds| self.broker.expiry_from_now(seconds));
        Message::new(publish, expires_at)
    }
}

fn puback(id: PacketId, reason: ReasonCode) -> Packet {
    Packet::PubAck(PubAck::with_reason(id, reason))
}

/// The MQTT reason nearest to the status of a rejection that a fault rule names.
pub(super) const fn reason_of(rejection: &Rejection) -> ReasonCode {
    match rejection.status_code {
        401 | 403 => ReasonCode::NOT_AUTHORIZED,
        429 => ReasonCode::QUOTA_EXCEEDED,
        _ => ReasonCode::UNSPECIFIED_ERROR,
    }
}
