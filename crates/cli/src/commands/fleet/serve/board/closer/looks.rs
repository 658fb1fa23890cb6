//! The certificates that were looked at: what the account told of each, when, and when it is to be asked again.
//!
//! It asks nothing and reads no clock.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetkey_dashboard::fleet::Told;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::Certificate;

use super::Closely;

/// How many are kept.
const KEPT: usize = 512;
/// How long an answer is shown before the account is asked again: what somebody else changes of a certificate's policies is
/// in no list and no event.
const GOOD: Duration = Duration::from_secs(300);
/// The same for a refusal.
const REFUSED: Duration = Duration::from_secs(30);

/// How the inventory sees a certificate: once it sees it otherwise, what was told before may not hold any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Seen {
    pub(super) status: Option<CertificateStatus>,
    pub(super) since: Timestamp,
}

impl Seen {
    pub(in super::super) const fn of(row: &Certificate) -> Self {
        Self { status: row.status, since: row.status_since }
    }
}

/// What is known of a certificate.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Look {
    /// What it says of itself, as it was told last.
    pub(in super::super) closely: Option<Closely>,
    /// When that was, and why nothing was told since.
    pub(in super::super) told: Told,
}

#[derive(Debug, Default)]
struct Slot {
    look: Look,
    /// How the inventory saw it when it was asked for last; nothing once that is forgotten.
    seen: Option<Seen>,
    /// Somebody asks for it already.
    asking: bool,
    /// Until then the answer is good enough.
    until: Timestamp,
    /// When a page showed it last.
    shown: Timestamp,
}

/// All of them, at most [`KEPT`].
#[derive(Debug, Default)]
pub(super) struct Looks(BTreeMap<CertificateId, Slot>);

impl Looks {
    /// What is known, and whether whoever looks is to ask for it now.
    pub(super) fn look(&mut self, id: CertificateId, seen: &Seen, now: Timestamp) -> (Look, bool) {
        if !self.has_room_for(&id) {
            let refused = format!("{KEPT} certificates are being asked for: load the page again in a moment");
            return (Look { closely: None, told: Told { at: None, refused: Some(refused) } }, false);
        }
        let slot = self.0.entry(id).or_default();
        slot.shown = now;
        let is_good = now < slot.until && slot.seen == Some(*seen);
        let to_ask = !slot.asking && !is_good;
        if to_ask {
            slot.asking = true;
            slot.seen = Some(*seen);
        }
        (slot.look.clone(), to_ask)
    }

    /// The account has told, or has not, in its words.
    pub(super) fn answered(&mut self, id: &CertificateId, answer: Result<Closely, String>, now: Timestamp) {
        let Some(slot) = self.0.get_mut(id) else { return };
        slot.asking = false;
        match answer {
            Ok(closely) => {
                slot.look = Look { closely: Some(closely), told: Told { at: Some(now), refused: None } };
                slot.until = now + GOOD;
            }
            Err(words) => {
                slot.look.told.refused = Some(words);
                slot.until = now + REFUSED;
            }
        }
    }

    /// It is asked for anew at the next look; meanwhile it is shown with its age. An answer that is under way may be of before.
    pub(super) fn forget(&mut self, id: &CertificateId) {
        if let Some(slot) = self.0.get_mut(id) {
            slot.seen = None;
        }
    }

    /// Makes room by leaving out what was not shown for longest. What is being asked for stays.
    fn has_room_for(&mut self, id: &CertificateId) -> bool {
        if self.0.len() < KEPT || self.0.contains_key(id) {
            return true;
        }
        let settled = self.0.iter().filter(|(_, slot)| !slot.asking);
        let oldest = settled.min_by_key(|(_, slot)| slot.shown).map(|(id, _)| *id);
        oldest.is_some_and(|oldest| self.0.remove(&oldest).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const ACTIVE: Seen = Seen { status: Some(CertificateStatus::Active), since: NOW };
    const REVOKED: Seen = Seen { status: Some(CertificateStatus::Revoked), since: NOW };

    fn id(n: usize) -> CertificateId {
        CertificateId::of_der(&n.to_be_bytes())
    }

    fn closely(policy: &str) -> Closely {
        let policies = [policy.to_owned()].into();
        Closely { pem: "PEM".to_owned(), not_before: NOW, not_after: NOW, modified: NOW, policies }
    }

    /// Of one certificate that was told of at [`NOW`].
    fn told() -> Looks {
        let mut looks = Looks::default();
        let (look, to_ask) = looks.look(id(1), &ACTIVE, NOW);
        assert!(to_ask && look.closely.is_none() && look.told == Told::default());
        assert!(!looks.look(id(1), &ACTIVE, NOW).1, "one asks, however many look");
        looks.answered(&id(1), Ok(closely("before")), NOW);
        looks
    }

    #[test]
    fn an_answer_is_shown_with_its_age_and_asked_for_anew_when_it_is_old() {
        let mut looks = told();
        let last = NOW + GOOD - Duration::from_secs(1);
        let (look, to_ask) = looks.look(id(1), &ACTIVE, last);
        assert!(!to_ask);
        assert_eq!((look.closely, look.told.at), (Some(closely("before")), Some(NOW)));
        let (look, to_ask) = looks.look(id(1), &ACTIVE, NOW + GOOD);
        assert!(to_ask && look.closely.is_some(), "it is shown as it was meanwhile");
        looks.answered(&id(1), Ok(closely("after")), NOW + GOOD);
        let (look, to_ask) = looks.look(id(1), &ACTIVE, NOW + GOOD);
        assert!(!to_ask);
        assert_eq!((look.closely, look.told.at), (Some(closely("after")), Some(NOW + GOOD)));
    }

    #[test]
    fn what_the_inventory_sees_otherwise_is_asked_for_at_once() {
        let mut looks = told();
        assert!(looks.look(id(1), &REVOKED, NOW).1);
        assert!(!looks.look(id(1), &REVOKED, NOW).1, "once");
        // Seen otherwise again before the answer, which may be of before.
        assert!(!looks.look(id(1), &ACTIVE, NOW).1);
        looks.answered(&id(1), Ok(closely("between")), NOW);
        assert!(looks.look(id(1), &ACTIVE, NOW).1);
    }

    #[test]
    fn what_is_forgotten_while_it_is_asked_for_is_asked_for_again() {
        let mut looks = told();
        looks.forget(&id(1));
        assert!(looks.look(id(1), &ACTIVE, NOW).1);
        looks.forget(&id(1));
        looks.answered(&id(1), Ok(closely("of before")), NOW);
        assert!(looks.look(id(1), &ACTIVE, NOW).1);
    }

    #[test]
    fn a_refusal_is_told_beside_what_was_known_and_asked_about_again_soon() {
        let mut looks = told();
        assert!(looks.look(id(1), &REVOKED, NOW).1);
        looks.answered(&id(1), Err("AccessDenied".to_owned()), NOW);
        let (look, to_ask) = looks.look(id(1), &REVOKED, NOW);
        assert!(!to_ask, "a page that is read again does not ask again and again");
        assert_eq!(look.closely, Some(closely("before")));
        assert_eq!(look.told, Told { at: Some(NOW), refused: Some("AccessDenied".to_owned()) });
        assert!(looks.look(id(1), &REVOKED, NOW + REFUSED).1);
        looks.answered(&id(1), Ok(closely("after")), NOW + REFUSED);
        assert_eq!(looks.look(id(1), &REVOKED, NOW + REFUSED).0.told.refused, None);
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for_and_the_longest_unseen_goes_first() {
        let mut looks = Looks::default();
        for n in 0..KEPT {
            assert!(looks.look(id(n), &ACTIVE, NOW).1);
        }
        let (look, to_ask) = looks.look(id(KEPT), &ACTIVE, NOW);
        assert!(!to_ask && look.told.refused.unwrap().contains("in a moment"), "all are being asked for");
        for n in 0..KEPT {
            looks.answered(&id(n), Ok(closely("policy")), NOW);
        }
        let later = NOW + Duration::from_secs(1);
        (1..KEPT).for_each(|n| drop(looks.look(id(n), &ACTIVE, later)));
        assert!(looks.look(id(KEPT), &ACTIVE, later).1);
        assert_eq!(looks.0.len(), KEPT);
        assert!(!looks.0.contains_key(&id(0)) && looks.0.contains_key(&id(1)));
    }
}
