//! How a thing's certificates are, in the words of cert-manager: `Ready`, `Rotating`, `Degraded`, and `BackOff` where a
//! rotation was given up and the device waits before it tries again.
//!
//! Made of what the store knows, so that the command line and the controller say the same. That a certificate was never
//! used is concluded only where a controller has listened that long: the account does not tell.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;
use serde::Serialize;

use super::store::{Certificate, Store, Thing};

/// How long a newer certificate may stay unused before its rotation counts as given up: as long as the controller's sweep
/// waits for it.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum State {
    /// One certificate is ACTIVE, and it is the one in use.
    Ready,
    /// A newer one is registered, or an older one is not retired yet.
    Rotating,
    /// Somebody has to look at it.
    Degraded,
    /// A rotation was given up: what it has left behind was never used. The one in use serves on.
    BackOff,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ready, Self::Rotating, Self::Degraded, Self::BackOff];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Rotating => "Rotating",
            Self::Degraded => "Degraded",
            Self::BackOff => "BackOff",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    /// In any case, as `ready`, `rotating`, `degraded`, `backoff` or `back-off`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.replace('-', "");
        let found = Self::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(&plain));
        found.ok_or_else(|| "no state; there are ready, rotating, degraded, back-off".to_owned())
    }
}

/// A state, and what it is concluded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The state.
    pub state: State,
    /// What was seen; `None` where all is well.
    pub why: Option<&'static str>,
}

impl Condition {
    const READY: Self = Self { state: State::Ready, why: None };

    const fn of(state: State, why: &'static str) -> Self {
        Self { state, why: Some(why) }
    }
}

/// The certificate that counts as a thing's: the attested one; before any was, the newest that was registered, as the thing's
/// attribute says; and of a thing that others have provisioned, of which neither is told, the newest that is ACTIVE. Tables,
/// charts, findings and campaigns all go by this.
pub fn current(store: &Store, thing: &Thing) -> Option<CertificateId> {
    told(thing).or_else(|| newest_active(store, thing))
}

/// The one that the broker or the thing's attribute tells of.
fn told(thing: &Thing) -> Option<CertificateId> {
    thing.attested.map(|(witness, _)| witness).or(thing.newest)
}

/// The operator's own certificates are no device's.
fn newest_active(store: &Store, thing: &Thing) -> Option<CertificateId> {
    let rows = thing.certificates.iter().filter_map(|id| Some((store.certificate(id)?, *id)));
    let active = rows
        .filter(|(row, id)| row.status == Some(CertificateStatus::Active) && !store.own().contains_key(id));
    active.max_by_key(|(row, _)| row.created_at).map(|(_, id)| id)
}

/// Whether a thing is Ready whatever the time is: it has one ACTIVE certificate, which is its current one and ends as late
/// as AWS's do, and nothing speaks against it.
pub(super) fn is_settled(store: &Store, thing: &Thing) -> bool {
    let current = current(store, thing);
    let fits = |id: &CertificateId, row: &Certificate| match row.status {
        Some(CertificateStatus::Active) => {
            current.is_none_or(|current| current == *id)
                && row.not_after.is_none_or(|end| end >= Timestamp::AWS_CERTIFICATE_END)
        }
        Some(_) => row.open.is_empty(),
        None => false,
    };
    let rows = || thing.certificates.iter().filter_map(|id| Some((id, store.certificate(id)?)));
    let active = rows().filter(|(_, row)| row.status == Some(CertificateStatus::Active)).count();
    thing.certificates.is_empty()
        || (active == 1
            && thing.frozen.is_none()
            && thing.recovered.is_none()
            && rows().all(|(id, row)| fits(id, row)))
}

/// The state of a thing; `None` while the account has told of no certificate of it.
pub(super) fn condition(store: &Store, thing: &Thing, now: Timestamp) -> Option<Condition> {
    let rows = || thing.certificates.iter().filter_map(|id| Some((*id, store.certificate(id)?)));
    if !rows().any(|(_, row)| row.status.is_some()) {
        return None;
    }
    if thing.frozen.is_some() || thing.recovered.is_some() {
        return Some(Condition::of(
            State::Degraded,
            "frozen: nothing of it is retired until somebody decides",
        ));
    }
    // What only events have told of is newer than the account's last list, and was accepted.
    let serves = |row: &Certificate| {
        matches!(row.status, None | Some(CertificateStatus::Active))
            && row.not_after.is_none_or(|end| end > now)
    };
    let serving = || rows().filter(move |(_, row)| serves(row));
    if serving().next().is_none() {
        return Some(Condition::of(State::Degraded, "none of its certificates is ACTIVE and unexpired"));
    }
    let Some(current) = told(thing) else {
        let several = serving().nth(1).is_some();
        let rotating =
            Condition::of(State::Rotating, "several certificates are ACTIVE, none of them attested");
        return Some(if several { rotating } else { Condition::READY });
    };
    if thing.attested.is_none() && store.certificate(&current).is_none() {
        return Some(Condition::of(State::Rotating, "a newer certificate is registered and not listed yet"));
    }
    let Some(row) = store.certificate(&current).filter(|row| serves(row)) else {
        let why = "the certificate that counts as the one in use is not ACTIVE any more, or has ended";
        return Some(Condition::of(State::Degraded, why));
    };
    let others = || serving().filter(|(id, _)| *id != current);
    let is_newer = |other: &Certificate| other.created_at.is_none() || other.created_at > row.created_at;
    let others: Vec<_> = others().map(|(_, other)| (is_newer(other), other)).collect();
    Some(beside(store, thing, &others, now))
}

/// The state of a thing whose current certificate serves, by what else of it does, the newer ones marked.
fn beside(store: &Store, thing: &Thing, others: &[(bool, &Certificate)], now: Timestamp) -> Condition {
    let attested = thing.attested.map(|(_, at)| at);
    let used = |other: &Certificate| attested.is_some_and(|at| other.is_used_since(at));
    if others.iter().any(|(newer, other)| !newer && used(other)) {
        return Condition::of(
            State::Degraded,
            "an older certificate is in use although its successor was attested",
        );
    }
    let newer = || others.iter().filter(|(newer, _)| *newer).map(|(_, other)| *other);
    let is_under_way = |other: &Certificate| {
        let young = other.created_at.is_none_or(|created| now.since(created) < GIVEN_UP_AFTER);
        young || other.seen_at.is_some()
    };
    if newer().any(is_under_way) {
        return Condition::of(State::Rotating, "a newer certificate is registered and not attested yet");
    }
    let was_silent = |other: &Certificate| {
        other.created_at.is_some_and(|created| store.ages().listened_after(created) >= GIVEN_UP_AFTER)
    };
    if !newer().all(was_silent) {
        return Condition::of(
            State::Rotating,
            "a newer certificate is registered, and nobody has listened for a day whether it is used",
        );
    }
    if newer().next().is_some() {
        return Condition::of(
            State::BackOff,
            "a newer certificate was never used: its rotation was given up",
        );
    }
    if others.is_empty() {
        return Condition::READY;
    }
    Condition::of(State::Rotating, "an older certificate is not retired yet")
}

#[cfg(test)]
mod tests;
