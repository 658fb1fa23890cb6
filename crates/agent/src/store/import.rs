//! An identity that another program has got becomes the first slot of a state directory.
//!
//! Key, then certificate, then the record that names the slot: the order of every first identity. A crash between the
//! last two leaves a complete slot that was never registered by us and needs no token, which the next start of the
//! agent takes for the identity in use, as after the loss of a record; before that, a slot that nothing refers to.

use fleetkey_lifecycle::{Record, SlotFacts, SlotId};
use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::secret::PrivateKeyPem;

use super::Store;
use super::atomic::{self, PUBLIC, SECRET};
use super::fault::StoreFault;
use super::record::RecordError;
use super::scan::slot_number;
use super::slot::{CERTIFICATE, CertificateFile, KEY};
use crate::clock::BUILD_TIME;
use crate::keys::Fingerprint;

/// As many slots as the record can give to destruction.
const MOST_DOOMED: usize = 16;

/// What is to be taken up: a certificate and the key that it is for.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// The private key, PEM.
    pub(crate) key: PrivateKeyPem,
    /// The certificate, PEM.
    pub(crate) pem: String,
    /// Its facts.
    pub(crate) facts: CertificateFacts,
}

/// Where it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Adopted {
    /// The slot.
    pub(crate) slot: SlotId,
    /// It was there already; nothing was done.
    pub(crate) already: bool,
}

/// Why a directory takes no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// It has another one; its certificate, where that reads.
    #[error("it has an identity")]
    Taken(Option<CertificateId>),
    /// A first identity is under way by claim.
    #[error("an identity is on its way")]
    UnderWay,
    /// There is a record that does not tell.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The disk refuses.
    #[error(transparent)]
    Fault(#[from] StoreFault),
}

impl Store {
    /// Makes `foreign` the committed identity of a directory that has none; the same one again changes nothing.
    pub(crate) fn adopt(&self, foreign: &Foreign) -> Result<Adopted, Unfit> {
        let record = self.read_record()?;
        let slots = self.scan()?.slots;
        let is_ours = |slot: &SlotFacts| {
            slot.is_complete() && slot.certificate.as_ref().is_some_and(|found| found.id == foreign.facts.id)
        };
        if let Some(current) = record.as_ref().and_then(|record| record.current) {
            let known = slots.iter().find(|slot| slot.id == current);
            return match known.is_some_and(is_ours) {
                true => Ok(Adopted { slot: current, already: true }),
                false => Err(Unfit::Taken(known.and_then(certificate))),
            };
        }
        if record.as_ref().is_some_and(|record| record.rotation.is_some()) {
            return Err(Unfit::UnderWay);
        }
        if let Some(other) = slots.iter().find(|slot| slot.is_complete() && !is_ours(slot)) {
            return Err(Unfit::Taken(certificate(other)));
        }
        let slot = self.slot_for(foreign, record.as_ref())?;
        self.fill(slot, foreign)?;
        self.write_record(&self.adopted(slot, foreign, record)?)?;
        Ok(Adopted { slot, already: false })
    }

    /// The slot in which an attempt that was interrupted has put this very key, or no key yet; else a new one.
    fn slot_for(&self, foreign: &Foreign, record: Option<&Record>) -> Result<SlotId, StoreFault> {
        let mut next = record.map_or(1, |record| record.next_slot);
        for id in self.numbers()? {
            let is_doomed = record.is_some_and(|record| record.doomed.contains(&id));
            if !is_doomed && self.key(id)?.is_none_or(|key| key == foreign.key) {
                return Ok(id);
            }
            next = next.max(id.0.saturating_add(1));
        }
        Ok(SlotId(next))
    }

    fn fill(&self, slot: SlotId, foreign: &Foreign) -> Result<(), StoreFault> {
        let dir = self.ensure_slot(slot)?;
        atomic::replace(&*self.fs, &dir, KEY, SECRET, foreign.key.expose().as_bytes())?;
        let file = CertificateFile {
            v: 1,
            certificate_id: foreign.facts.id,
            public_key_sha256: Fingerprint::of_certificate(&foreign.facts).to_string(),
            chain: foreign.pem.clone(),
        };
        self.write_json(&dir, CERTIFICATE, PUBLIC, &file)?;
        // What is there now reads back and belongs together, or it is not named by any record.
        self.identity(slot).map(|_| ())
    }

    /// Its age counts from the certificate's own start: how long the key has been about nobody here knows better.
    fn adopted(&self, slot: SlotId, foreign: &Foreign, record: Option<Record>) -> Result<Record, StoreFault> {
        let mut record = record.unwrap_or_else(|| Record::fresh(BUILD_TIME));
        let leftovers = self.numbers()?.into_iter().filter(|&id| id != slot && !record.doomed.contains(&id));
        let leftovers: Vec<SlotId> =
            leftovers.take(MOST_DOOMED.saturating_sub(record.doomed.len())).collect();
        record.doomed.extend(leftovers);
        record.next_slot = record.next_slot.max(slot.0.saturating_add(1));
        record.current = Some(slot);
        record.current_since = foreign.facts.not_before;
        record.failures = 0;
        record.not_before = None;
        Ok(record)
    }

    fn numbers(&self) -> Result<Vec<SlotId>, StoreFault> {
        let entries = self.entries(&self.slots())?;
        Ok(entries.iter().filter_map(|entry| slot_number(&entry.name)).collect())
    }
}

fn certificate(slot: &SlotFacts) -> Option<CertificateId> {
    slot.certificate.as_ref().map(|certificate| certificate.id)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::keys::testing::certificate_for;
    use crate::keys::{Keys, P256Keys};
    use crate::store::testing::{Disk, store};

    fn foreign() -> Foreign {
        let key = P256Keys.generate().unwrap();
        let (_, pem) = certificate_for(&P256Keys.public_key(&key).unwrap());
        let facts = CertificateFacts::from_pem(&pem).unwrap();
        Foreign { key, pem, facts }
    }

    #[test]
    fn it_becomes_the_first_slot_and_the_same_again_changes_nothing() {
        let disk = Disk::new();
        let (store, foreign) = (store(&disk), foreign());
        let adopted = store.adopt(&foreign).unwrap();
        assert_eq!(adopted, Adopted { slot: SlotId(1), already: false });
        let record = store.read_record().unwrap().unwrap();
        assert_eq!((record.current, record.next_slot), (Some(SlotId(1)), 2));
        assert_eq!(record.current_since, foreign.facts.not_before);
        assert_eq!(store.identity(SlotId(1)).unwrap().certificate, foreign.facts);
        disk.calls();
        assert_eq!(store.adopt(&foreign).unwrap(), Adopted { slot: SlotId(1), already: true });
        assert_eq!(disk.calls(), Vec::<String>::new());
    }

    #[test]
    fn a_directory_that_is_somebody_elses_is_refused_by_name() {
        let disk = Disk::new();
        let (store, first) = (store(&disk), foreign());
        store.adopt(&first).unwrap();
        let refused = store.adopt(&foreign()).unwrap_err();
        assert!(matches!(refused, Unfit::Taken(Some(id)) if id == first.facts.id), "{refused:?}");
        std::fs::remove_file(disk.root().join("state.json")).unwrap();
        let refused = store.adopt(&foreign()).unwrap_err();
        assert!(matches!(refused, Unfit::Taken(Some(_))), "its record is lost, its slot is not: {refused:?}");
    }

    #[test]
    fn a_claim_under_way_is_not_disturbed() {
        let disk = Disk::new();
        let store = store(&disk);
        let mut record = Record::fresh(BUILD_TIME);
        record.rotation = Some(fleetkey_lifecycle::record::Rotation {
            id: "r".into(),
            reason: fleetkey_lifecycle::record::Reason::Provision,
            slot: SlotId(1),
            authority: fleetkey_lifecycle::record::Authority::Claim,
            started_at: BUILD_TIME,
            hold: fleetkey_lifecycle::record::Hold::Never,
            phase: fleetkey_lifecycle::record::Phase::MakingKey,
        });
        store.write_record(&record).unwrap();
        assert!(matches!(store.adopt(&foreign()), Err(Unfit::UnderWay)));
    }

    #[test]
    fn whichever_call_fails_the_next_attempt_completes_it_with_the_same_slot() {
        let foreign = foreign();
        let calls = {
            let disk = Disk::new();
            let store = store(&disk);
            disk.calls();
            store.adopt(&foreign).unwrap();
            disk.calls()
        };
        assert!(calls.len() > 10, "{calls:?}");
        for (index, call) in calls.iter().enumerate() {
            let nth = calls.iter().take(index + 1).filter(|other| *other == call).count();
            let disk = Disk::new();
            let store = store(&disk);
            disk.fail_nth(call, nth, io::ErrorKind::Other);
            let _ = store.adopt(&foreign);
            let adopted = store.adopt(&foreign).unwrap();
            assert_eq!(adopted.slot, SlotId(1), "after {call}");
            assert_eq!(store.read_record().unwrap().unwrap().current, Some(SlotId(1)), "after {call}");
        }
    }

    #[test]
    fn what_an_attempt_with_another_key_left_is_given_to_destruction() {
        let disk = Disk::new();
        let store = store(&disk);
        disk.fail("create 644 slots/1/.tmp-cert.json", io::ErrorKind::Other);
        assert!(store.adopt(&foreign()).is_err());
        assert_eq!(store.adopt(&foreign()).unwrap().slot, SlotId(2));
        assert_eq!(store.read_record().unwrap().unwrap().doomed, [SlotId(1)]);
    }
}
