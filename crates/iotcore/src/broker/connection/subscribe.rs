//! SUBSCRIBE and UNSUBSCRIBE: each filter is decided by itself; the SUBACK of a persistent session waits until
//! the session's new shape is durable.

use fleetkey_mqtt::{
    Packet, QoS, ReasonCode, SubAck, Subscribe, SubscribeFilter, UnsubAck, Unsubscribe, Version,
};
use fleetkey_policy::Action;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::broker::session::Options;
use crate::broker::share::Wanted;
use crate::broker::{Close, lock};
use crate::events::Event;

/// A filter that was granted.
struct Granted {
    filter: String,
    qos: QoS,
    /// Whether the retained message is due (MQTT 5 §3.8.3.1, Retain Handling).
    retained: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn on_subscribe(&mut self, subscribe: &Subscribe) -> Result<(), Close> {
        if subscribe.properties.subscription_identifier().is_some() {
            return Err(Close::violation(ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED));
        }
        let asks_qos_2 = |filter: &SubscribeFilter| filter.qos == QoS::ExactlyOnce;
        if self.version == Version::V311 && subscribe.filters.iter().any(asks_qos_2) {
            // Developer Guide, mqtt: a subscription at QoS 2 gets no SUBACK.
            tracing::info!(client = %self.info.client_id, "SUBSCRIBE with QoS 2 is met with silence");
            return Ok(());
        }
        let mut reasons = Vec::new();
        let mut granted = Vec::new();
        let too_many = subscribe.filters.len() > self.broker.limits.filters_per_subscribe;
        if too_many {
            tracing::info!(client = %self.info.client_id, filters = subscribe.filters.len(), "too many filters at once");
        }
        for wish in &subscribe.filters {
            if too_many {
                reasons.push(self.suback_code(ReasonCode::QUOTA_EXCEEDED));
                continue;
            }
            let reason = match self.grant(wish) {
                Ok(grant) => {
                    let reason = ReasonCode(grant.qos.bits());
                    granted.push(grant);
                    reason
                }
                Err(reason) => self.refused(reason, &wish.filter)?,
            };
            reasons.push(reason);
        }
        let after = self.remember(!granted.is_empty());
        let packet = Packet::SubAck(SubAck {
            packet_id: subscribe.packet_id,
            reasons,
            properties: Default::default(),
        });
        self.answer(packet, after);
        self.after_subscribing(&granted);
        Ok(())
    }

    fn refused(&self, reason: ReasonCode, filter: &str) -> Result<ReasonCode, Close> {
        tracing::info!(client = %self.info.client_id, filter, %reason, "subscription refused");
        let closes = self.broker.switches().close_on_refused_subscribe_v311;
        if closes && self.version == Version::V311 && reason == ReasonCode::NOT_AUTHORIZED {
            return Err(Close::NOT_AUTHORIZED);
        }
        Ok(self.suback_code(reason))
    }

    fn grant(&mut self, wish: &SubscribeFilter) -> Result<Granted, ReasonCode> {
        let filter = wish.filter.as_str();
        let wanted = Wanted::parse(filter).ok_or(ReasonCode::TOPIC_FILTER_INVALID)?;
        if !self.rights.allow(Action::Subscribe, filter) {
            return Err(ReasonCode::NOT_AUTHORIZED);
        }
        let options =
            Options { qos: wish.qos.min(QoS::AtLeastOnce), retain_as_published: wish.retain_as_published };
        let limits = &self.broker.limits;
        let mut state = self.session.lock();
        if !state.belongs_to(&self.link) {
            return Err(ReasonCode::UNSPECIFIED_ERROR);
        }
        let new = state.subscribe(filter, options, limits.subscriptions).ok_or(ReasonCode::QUOTA_EXCEEDED)?;
        if let Some(share) = wanted.share.as_ref().filter(|_| new)
            && !lock(&self.broker.shares).join(share, limits)
        {
            state.unsubscribe(filter);
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        let alone = wanted.share.is_none();
        self.broker.plant(&self.session, wanted, options);
        // Retained messages are for those who subscribe alone (Developer Guide, mqtt).
        let retained = alone && (wish.retain_handling == 0 || (wish.retain_handling == 1 && new));
        Ok(Granted { filter: filter.to_owned(), qos: options.qos, retained })
    }

    /// Writes the session's new shape; the batch to wait for, if the session is persistent.
    fn remember(&self, changed: bool) -> Option<u64> {
        let state = self.session.lock();
        (changed && state.is_persistent() && state.belongs_to(&self.link))
            .then(|| self.broker.sessions.put_session(&self.session.key, state.record()))
    }

    fn after_subscribing(&mut self, granted: &[Granted]) {
        for grant in granted.iter().filter(|grant| grant.retained) {
            if let Some(message) = self.broker.retained_for(&grant.filter) {
                self.broker.offer_retained(&self.session, &message, grant.qos);
            }
        }
        let topics: Vec<String> = granted.iter().map(|grant| grant.filter.clone()).collect();
        if !topics.is_empty() {
            self.announce(Event::Subscribed { topics: &topics });
        }
    }

    pub(super) fn on_unsubscribe(&mut self, unsubscribe: &Unsubscribe) {
        let mut topics = Vec::new();
        for filter in &unsubscribe.filters {
            let mut state = self.session.lock();
            if state.belongs_to(&self.link) && state.unsubscribe(filter) {
                self.broker.uproot(&self.session, filter);
                topics.push(filter.to_string());
            }
        }
        let after = self.remember(!topics.is_empty());
        // AWS lists success and failures only, no "no subscription existed" (Developer Guide, mqtt).
        let packet = Packet::UnsubAck(UnsubAck {
            packet_id: unsubscribe.packet_id,
            reasons: vec![ReasonCode::SUCCESS; unsubscribe.filters.len()],
            properties: Default::default(),
        });
        self.answer(packet, after);
        if !topics.is_empty() {
            self.announce(Event::Unsubscribed { topics: &topics });
        }
    }
}
