//! A publish to Fleet Provisioning, handed over to a task of its own: a hook may take seconds.

use std::sync::Arc;

use bytes::Bytes;
use fleetkey_model::topic::ReservedTopic;
use tokio::sync::Semaphore;

use super::Connection;
use crate::broker::provision::Request;

impl<S> Connection<S> {
    /// Starts a request; its answer comes through the session's queue, after the PUBACKs that are due before it.
    pub(super) fn provision(&mut self, topic: ReservedTopic, payload: Bytes) {
        let broker = self.broker.clone();
        let request = Request {
            topic,
            payload,
            info: self.info.clone(),
            thing: self.rights.thing().cloned(),
            session: self.session.clone(),
            link: self.link.clone(),
            after: self.answers.iter().filter_map(|answer| answer.after).max(),
        };
        let limit = broker.limits.provisioning_in_flight;
        let places = self.provisioning.get_or_insert_with(|| Arc::new(Semaphore::new(limit)));
        let Ok(place) = places.clone().try_acquire_owned() else {
            return broker.reject_excess(&request);
        };
        tokio::spawn(async move {
            broker.provision(request).await;
            drop(place);
        });
    }
}
