//! The candidate up to its durable certificate: key, request, store.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::provisioning::{CertificateIssued, Rejection};
use fleetkey_model::time::Timestamp;

use super::verify::Purpose;
use super::{Awaiting, Machine, Step};
use crate::action::Action;
use crate::event::{Event, StorageFault};
use crate::record::{Authority, Phase, Rotation};
use crate::slot::{SlotCertificate, SlotFacts, SlotId};
use crate::status::Notice;

/// So often the disk may fail to give or take a key before another slot is tried.
pub(super) const MOST_MISREAD: u32 = 8;

/// A certificate that came and is not durable yet. A full disk is waited for with it in hand: asking again would
/// only leave one more certificate behind.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    slot: SlotId,
    issued: CertificateIssued,
    /// After this its token is not worth trying.
    until: Timestamp,
    /// Nothing is lost by storing it: what it replaces was refused just now.
    displaces_nothing: bool,
}

impl Machine {
    /// The next step of the rotation under way, if its wait is over and its connection is there.
    pub(super) fn advance_candidate(&mut self) -> Option<Step> {
        if !self.step_is_due() {
            return None;
        }
        self.issued = self.issued.take().filter(|fresh| self.now < fresh.until);
        if let Some(Fresh { slot, issued, displaces_nothing, .. }) = self.issued.clone() {
            if self.is_renewed(slot) && self.waits_for_the_ladder() {
                return None;
            }
            if !displaces_nothing && self.is_the_last(slot) {
                let thing = self.config.thing();
                return Some((Action::Verify { slot, thing }, Awaiting::Verify(Purpose::Displaced)));
            }
            return Some((Action::StoreCertificate { slot, issued }, Awaiting::Store));
        }
        let rotation = self.durable.rotation.clone()?;
        if self.waits_for_the_ladder() {
            return None;
        }
        let (slot, authority) = (rotation.slot, rotation.authority);
        match rotation.phase {
            Phase::Requested if self.is_recovering() && self.is_on_current() => {
                self.abandon("the committed identity is accepted again".to_string());
                None
            }
            Phase::MakingKey => Some((Action::MakeKey { slot }, Awaiting::MakeKey)),
            // What is asked is noted before it is asked: a crash then knows that it may have been.
            Phase::KeyReady if self.can_ask(authority) => {
                self.set_phase(Phase::Requested, None);
                None
            }
            Phase::Requested if self.can_ask(authority) => {
                Some((Action::RequestCertificate { slot, authority }, Awaiting::Request))
            }
            Phase::CertStored { certificate, token_until } => {
                self.set_phase(Phase::Registering { certificate, token_until }, None);
                None
            }
            Phase::Registering { token_until, .. } => self.advance_registration(slot, authority, token_until),
            Phase::Verifying { certificate, .. } if self.is_held() && self.config.stage_unverified => {
                self.wait_for_the_switch(certificate, None);
                None
            }
            Phase::Verifying { .. } => self.advance_verification(slot),
            Phase::Staged { .. } => {
                self.release_if_compromised();
                None
            }
            Phase::KeyReady | Phase::Requested => None,
        }
    }

    /// The ladder tries the candidate in its turn; everything else hangs on the identity in doubt.
    fn waits_for_the_ladder(&self) -> bool {
        self.doubt.is_some() && !self.is_recovering()
    }

    /// Whether the slot of the rotation under way holds a certificate that was given up, without proof, for a new one
    /// with the same key: it may be registered all the same.
    pub(super) fn is_renewed(&self, slot: SlotId) -> bool {
        let is_asked_for = |rotation: &Rotation| rotation.slot == slot && rotation.phase == Phase::Requested;
        self.durable.rotation.as_ref().is_some_and(is_asked_for)
            && self.slots.get(&slot).is_some_and(SlotFacts::is_complete)
    }

    /// Whether the slot holds a certificate that was given up for a new one, and no other identity is committed. An
    /// operator may have given it back since.
    fn is_the_last(&self, slot: SlotId) -> bool {
        self.durable.current.is_none() && self.slots.get(&slot).is_some_and(SlotFacts::is_complete)
    }

    /// What the new certificate was to replace is accepted after all: it is the candidate again.
    pub(super) fn on_displaced_accepted(&mut self) {
        if let Some(Fresh { slot, .. }) = self.issued.take() {
            self.take_back(slot);
        }
    }

    /// The certificate in this slot is the candidate again.
    pub(super) fn take_back(&mut self, slot: SlotId) {
        let certificate = self.slots.get(&slot).and_then(|slot| slot.certificate.as_ref());
        if let Some(certificate) = certificate.map(|certificate| certificate.id) {
            self.set_phase(Phase::Verifying { certificate, since: self.now }, None);
        }
    }

    pub(super) fn on_displaced_refused(&mut self) {
        self.issued.iter_mut().for_each(|fresh| fresh.displaces_nothing = true);
    }

    /// A claim makes its own connection; an identity asks over its live session, which must be up.
    pub(super) fn can_ask(&self, authority: Authority) -> bool {
        match authority {
            Authority::Claim | Authority::Recovery => true,
            Authority::Current(slot) => self.link == Some(slot),
        }
    }

    pub(super) fn set_phase(&mut self, phase: Phase, notice: Option<Notice>) {
        self.stage(notice.into_iter().collect(), |record| {
            if let Some(rotation) = &mut record.rotation {
                rotation.phase = phase;
            }
        });
    }

    /// A key that the disk refuses again and again lies on a bad block: another slot has another place. Whatever was
    /// asked for with it was never stored.
    pub(super) fn on_no_key(&mut self, fault: StorageFault) {
        if fault == StorageFault::Io && self.upkeep.failures >= MOST_MISREAD {
            return self.abandon("the disk does not give the key".to_string());
        }
        self.wait_for_disk(fault);
    }

    pub(super) fn on_key_made(&mut self, slot: SlotId, public_key: Vec<u8>) {
        let facts = SlotFacts { public_key: Some(public_key), ..SlotFacts::empty(slot) };
        self.slots.insert(slot, facts);
        self.set_phase(Phase::KeyReady, None);
    }

    pub(super) fn on_request(&mut self, outcome: Event) {
        match outcome {
            Event::Issued { slot, issued } => self.on_issued(slot, issued),
            Event::Rejected(rejection) if self.is_passing(&rejection) => self.wait_passing(&rejection),
            Event::Rejected(rejection) => self.abandon(describe(&rejection)),
            Event::NoAnswer { why } => self.wait_for_answer(format!("no certificate yet: {why}")),
            _ => {}
        }
    }

    /// Takes a certificate only if it is for our key: a late answer to somebody else's request is no answer.
    fn on_issued(&mut self, slot: SlotId, issued: CertificateIssued) {
        match CertificateFacts::from_pem(&issued.certificate_pem) {
            Ok(facts) if self.is_for_our_key(slot, &facts, &issued) => {
                let until = self.now + self.config.token_worth;
                self.issued = Some(Fresh { slot, issued, until, displaces_nothing: false });
            }
            Ok(_) => self.wait_step("the certificate that came is for another key".to_string()),
            Err(error) => self.wait_step(format!("what came is no certificate: {error}")),
        }
    }

    fn is_for_our_key(&self, slot: SlotId, facts: &CertificateFacts, issued: &CertificateIssued) -> bool {
        let Some(key) = self.slots.get(&slot).and_then(|slot| slot.public_key.as_ref()) else {
            // Of a slot that did not read at the start only the driver, which has read it since, knows the key.
            return self.unread.contains(&slot) && facts.id == issued.certificate_id;
        };
        // A key that comes along takes the slot's place; the store proves that the two belong together.
        let made_by_the_service = issued.private_key.is_some();
        facts.id == issued.certificate_id && (made_by_the_service || *key == facts.public_key)
    }

    /// What does not fit for want of room will fit later; anything else may be the certificate's own fault.
    pub(super) fn on_store_failed(&mut self, fault: StorageFault) {
        if fault == StorageFault::Io {
            self.issued = None;
        }
        self.wait_for_disk(fault);
    }

    pub(super) fn on_stored(&mut self, slot: SlotId, certificate: SlotCertificate) {
        let token_until = self.issued.as_ref().map_or(self.now, |fresh| fresh.until);
        let (id, not_before) = (certificate.id, certificate.not_before);
        let facts = SlotFacts {
            id: slot,
            public_key: Some(certificate.public_key.clone()),
            certificate: Some(certificate),
            has_token: true,
        };
        self.slots.insert(slot, facts);
        let rotation = self.durable.rotation.as_ref().map(|rotation| rotation.id.clone());
        let notice = rotation.map(|rotation| Notice::CertificateStored { id: rotation, certificate: id });
        self.stage(notice.into_iter().collect(), |record| {
            // NotBefore came over a validated link: time was at least that.
            record.time_floor = record.time_floor.max(not_before);
            if let Some(rotation) = &mut record.rotation {
                rotation.phase = Phase::CertStored { certificate: id, token_until };
            }
        });
    }
}

impl Machine {
    /// Whether a refusal may pass by itself: throttled, a server's trouble, or a hook that said no for now. A
    /// recovery does not insist on the hook: its window is closed, and the next try is a day away.
    pub(super) fn is_passing(&self, rejection: &Rejection) -> bool {
        match rejection.status_code {
            403 => !self.is_recovering(),
            429 | 500..=599 => true,
            _ => false,
        }
    }

    /// What a hook forbids it will most likely forbid again a moment later.
    pub(super) fn wait_passing(&mut self, rejection: &Rejection) {
        match rejection.status_code {
            403 => self.wait_out(describe(rejection)),
            _ => self.wait_step(describe(rejection)),
        }
    }
}

pub(super) fn describe(rejection: &Rejection) -> String {
    format!("{} {}: {}", rejection.status_code, rejection.error_code, rejection.error_message)
}
