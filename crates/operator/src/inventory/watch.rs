//! The store that the controller's events keep up to date, shared with whoever asks and with the crawl.

use std::sync::{Arc, Mutex, PoisonError};

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::PresenceKind;

use super::crawl::{Crawl, Ledgered};
use super::store::Store;
use crate::control_plane::ApiError;
use crate::controller::{Change, Event, Observer, Record, Report};

/// A store and how far its crawl is. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<(Store, Crawl)>>);

impl Watch {
    /// Goes on from what was kept.
    pub fn new(store: Store, crawl: Crawl) -> Self {
        Self(Arc::new(Mutex::new((store, crawl))))
    }

    /// The record, the text of its thing's name shared with the row of that.
    pub fn named(&self, mut record: Record) -> Record {
        record.thing = self.look(|store, _| store.known(record.thing));
        record
    }

    /// Goes on from what the ledger knows for good.
    pub fn recall<'a>(&self, records: impl IntoIterator<Item = &'a Record>) {
        self.change(|store, _| {
            for record in records {
                let witness = &record.witness;
                store.witnessed(&record.thing, witness.certificate, witness.at);
                store.frozen(&record.thing, record.frozen.map(|freeze| freeze.reason.to_string()));
            }
        });
    }

    /// Looks at the store. Whoever looks holds the controller up meanwhile.
    pub fn look<T>(&self, at: impl FnOnce(&Store, &Crawl) -> T) -> T {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at(&guard.0, &guard.1)
    }

    /// Events are heard, though there may be none: only whoever listens may conclude something from silence.
    pub fn listening(&self, now: Timestamp) {
        self.change(|store, _| store.listening(now));
    }

    fn change<T>(&self, act: impl FnOnce(&mut Store, &mut Crawl) -> T) -> T {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, crawl) = &mut *guard;
        act(store, crawl)
    }
}

impl Ledgered for Watch {
    fn with<T>(&mut self, act: impl FnOnce(&mut Store, &mut Crawl) -> T) -> T {
        self.change(act)
    }
}

impl Observer for Watch {
    fn heard(&self, now: Timestamp, event: &Event) {
        self.change(|store, _| match event {
            Event::Attested { topic, attested } if attested.thing == *topic => {
                store.attested(now, topic, attested.principal, attested.at);
            }
            Event::Presence { kind: PresenceKind::Connected, client, event } => {
                store.connected(now, client, event);
            }
            Event::Presence { kind: PresenceKind::Disconnected, client, event } => {
                store.disconnected(now, client, event);
            }
            Event::PresenceMissed => store.presence_missed(now),
            Event::Listed { thing, answer: Ok(certificates) } => store.listed(now, thing, certificates),
            // The thing is gone, and with it what was attached.
            Event::Listed { thing, answer: Err(ApiError::NotFound(_)) } => store.listed(now, thing, &[]),
            Event::Release(thing) => store.frozen(thing, None),
            Event::Recovered { thing, certificate } => store.recovered(thing, *certificate),
            _ => {}
        });
    }

    fn told(&self, now: Timestamp, report: &Report) {
        self.change(|store, _| match report {
            Report::Witnessed { thing, certificate } => store.witnessed(thing, *certificate, now),
            Report::Frozen { thing, reason } => store.frozen(thing, Some(reason.to_string())),
            Report::Changed { certificate, change, .. }
            | Report::LeftoverChanged { certificate, change, .. } => {
                let status = match change {
                    Change::Deactivate => Some(CertificateStatus::Inactive),
                    Change::Revoke => Some(CertificateStatus::Revoked),
                    Change::Delete => None,
                };
                store.changed(now, *certificate, status);
            }
            _ => {}
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane::CertificateSummary;
    use crate::controller::FreezeReason;
    use fleetkey_model::certificate::CertificateId;
    use fleetkey_model::name::ThingName;
    use serde_json::json;

    /// As the journal has it.
    fn record(thing: &str, frozen: Option<FreezeReason>) -> Record {
        let certificate = CertificateId::of_der(thing.as_bytes());
        let text = json!({
            "thing": thing, "witness": { "certificate": certificate, "created_at": 1000, "at": 2000 }, "request": "r",
            "older": {}, "frozen": frozen.map(|reason| json!({ "reason": reason, "at": 3000 })), "seen": null,
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_the_ledger_knows_is_recalled_and_has_the_names_of_the_rows_that_there_are() {
        let names = ["press-1", "press-2"].map(|name| ThingName::new(name).unwrap());
        let mut store = Store::default();
        store.listed(Timestamp::from_secs(1), &names[0], &[]);
        store.frozen(&names[0], Some("as it was".to_owned()));
        let watch = Watch::new(store, Crawl::default());
        let reasons = [None, Some(FreezeReason::TakingTurns)];
        let records = ["press-1", "press-2"].into_iter().zip(reasons).map(|(name, why)| record(name, why));
        let records: Vec<_> = records.map(|record| watch.named(record)).collect();
        watch.recall(&records);
        watch.look(|store, _| {
            for ((record, name), reason) in records.iter().zip(&names).zip(reasons) {
                let row = store.thing(name).unwrap();
                assert_eq!(row.attested, Some((record.witness.certificate, record.witness.at)));
                assert_eq!(row.frozen, reason.map(|reason| reason.to_string()));
                let (known, _) = store.things.get_key_value(name).unwrap();
                assert!(std::ptr::eq(known.as_str(), record.thing.as_str()), "one text of {name}");
            }
        });
    }

    #[test]
    fn what_the_controller_learns_and_does_is_in_the_store() {
        let (watch, thing) = (Watch::default(), ThingName::new("press-1").unwrap());
        let at = Timestamp::from_secs;
        let [old, new] = [b"old", b"new"].map(|der| CertificateId::of_der(der));
        let summary = |id, seconds| CertificateSummary {
            id,
            status: CertificateStatus::Active,
            created_at: at(seconds),
        };
        let certificates = vec![summary(old, 1), summary(new, 2)];
        watch.heard(at(10), &Event::Listed { thing: thing.clone(), answer: Ok(certificates) });
        watch.told(at(11), &Report::Witnessed { thing: thing.clone(), certificate: new });
        let changed = |change| Report::Changed { thing: thing.clone(), certificate: old, change };
        watch.told(at(12), &changed(Change::Deactivate));
        watch.look(|store, _| {
            assert_eq!(store.certificate(&old).unwrap().status, Some(CertificateStatus::Inactive));
            assert_eq!(store.thing(&thing).unwrap().attested, Some((new, at(11))));
        });
        watch.told(at(13), &changed(Change::Delete));
        watch.heard(at(14), &Event::Listed { thing: thing.clone(), answer: Ok(vec![summary(new, 2)]) });
        watch.look(|store, _| {
            assert!(store.certificate(&old).is_none());
            assert_eq!(store.thing(&thing).unwrap().certificates.len(), 1);
        });
    }
}
