//! Fleet Provisioning requests: carried out beside the connection, answered on it alone.
//!
//! Developer Guide, fleet-provision-api and reserved-topics: the answer goes "directly to the requesting client",
//! subscribed or not, and through no broker. Not here: the operations themselves (`provisioning`).

use std::sync::Arc;

use bytes::Bytes;
use fleetkey_model::name::ThingName;
use fleetkey_model::provisioning::Rejection;
use fleetkey_model::topic::{Leg, ReservedTopic};

use super::link::Link;
use super::message::Message;
use super::session::Session;
use super::table::ConnectionInfo;
use super::{Broker, Close};
use crate::faults::{Call, CallKind, Flow, Point};
use crate::provisioning::{Answer, Caller};

/// One request and whose it is.
pub(super) struct Request {
    pub(super) topic: ReservedTopic,
    pub(super) payload: Bytes,
    pub(super) info: Arc<ConnectionInfo>,
    pub(super) thing: Option<ThingName>,
    pub(super) session: Arc<Session>,
    pub(super) link: Arc<Link>,
    /// The batch that the PUBACKs ahead of the answer wait for.
    pub(super) after: Option<u64>,
}

impl Broker {
    /// Carries out a request and leaves its answer with its asker.
    pub(super) async fn provision(&self, request: Request) {
        let call = Call {
            kind: kind(&request.topic),
            client: &request.info.client_id,
            thing: request.thing.as_ref(),
        };
        let faults = &self.faults;
        let plan = faults.plan(&call).unwrap_or_default();
        if plan.at(Point::Request, faults).await == Flow::Cut {
            return request.link.close(Close::LOST);
        }
        if plan.lost {
            return;
        }
        let answer = match &plan.reject {
            Some(rejection) => rejected(&request.topic, rejection),
            None => self.carry_out(&request).await,
        };
        if plan.at(Point::Answer, faults).await == Flow::Cut {
            return request.link.close(Close::LOST);
        }
        self.durable(request.after).await;
        for _ in 0..plan.answers {
            let message = Message::internal(answer.topic.to_string(), answer.payload.clone());
            self.send_directly(&request.session, &request.link, message);
        }
    }

    async fn carry_out(&self, request: &Request) -> Answer {
        let caller =
            Caller { principal: request.info.certificate, client_id: request.info.client_id.clone() };
        let api = &self.provisioning;
        api.handle(caller, &request.topic, &request.payload).await
    }

    /// Tells a client that has too many requests under way.
    pub(super) fn reject_excess(&self, request: &Request) {
        let rejection = Rejection {
            status_code: 429,
            error_code: "ThrottlingException".into(),
            error_message: "Too many provisioning requests at once on this connection".into(),
        };
        let answer = rejected(&request.topic, &rejection);
        let message = Message::internal(answer.topic.to_string(), answer.payload);
        self.send_directly(&request.session, &request.link, message);
    }

    /// Waits until a batch of the sessions file is durable, or nothing will be any more.
    pub(super) async fn durable(&self, batch: Option<u64>) {
        let Some(batch) = batch else { return };
        let mut progress = self.sessions.progress();
        // An error means that the broker is shutting down.
        let _ = progress.wait_for(|progress| progress.durable >= batch || progress.failed).await;
    }
}

fn kind(topic: &ReservedTopic) -> CallKind<'static> {
    match topic {
        ReservedTopic::CreateKeys(..) => CallKind::CreateKeys,
        ReservedTopic::CreateFromCsr(..) => CallKind::CreateFromCsr,
        // The events are no requests and never come here.
        ReservedTopic::RegisterThing(..) | ReservedTopic::Presence(..) | ReservedTopic::Subscription(..) => {
            CallKind::RegisterThing
        }
    }
}

fn rejected(request: &ReservedTopic, rejection: &Rejection) -> Answer {
    let topic = match request.clone() {
        ReservedTopic::CreateKeys(format, _) => ReservedTopic::CreateKeys(format, Leg::Rejected),
        ReservedTopic::CreateFromCsr(format, _) => ReservedTopic::CreateFromCsr(format, Leg::Rejected),
        ReservedTopic::RegisterThing(template, format, _) => {
            ReservedTopic::RegisterThing(template, format, Leg::Rejected)
        }
        event @ (ReservedTopic::Presence(..) | ReservedTopic::Subscription(..)) => event,
    };
    let payload = serde_json::to_vec(rejection).unwrap_or_default();
    Answer { topic, payload: payload.into() }
}
