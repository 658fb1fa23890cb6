//! A walk over the whole account within a budget, which can stop anywhere and go on from there.
//!
//! Certificates, then things (whose attribute names their newest certificate, which saves a call each), then the thing of
//! every certificate that no list has told, then what certificates say of themselves, once each. The lists take minutes, and
//! asking certificate by certificate takes hours or days of a large fleet: so whenever the lists have become too old, they are
//! walked anew in between. [`Crawl`] decides what to ask next and does no I/O; [`crawl()`] asks.

use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::census::{Census, Described, ListedCertificate, ListedThing, Page};
use super::store::Store;
use crate::control_plane::ApiError;

/// How long one certificate's thing, once asked for, is good.
const ATTACHMENT_GOOD: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long the lists are good at least: between two walks over them certificates are asked about.
const LISTS_GOOD: Duration = Duration::from_secs(60);

/// How far it is. Kept with the inventory, so that the next run goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crawl {
    stage: Stage,
    /// When the present stage began, by our clock.
    begun: Option<Timestamp>,
    /// The next page.
    next: Option<String>,
    /// The last certificate that was asked about.
    after: Option<CertificateId>,
    /// When the list of certificates was begun by which things are asked for: those that came later may be missing.
    #[serde(default)]
    listed: Option<Timestamp>,
    /// Where asking for things goes on after the lists.
    #[serde(default)]
    asking: Option<Place>,
}

/// How far asking for the things of certificates has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    listed: Option<Timestamp>,
    after: Option<CertificateId>,
}

/// How a walk goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// Ask what each certificate says of itself, too.
    pub deep: bool,
    /// How old the lists may become while certificates are asked about one by one; at least a minute.
    pub anew: Duration,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    #[default]
    Certificates,
    Things,
    Attachments,
    Validity,
    Done,
}

/// What to ask the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A page of certificates.
    Certificates(Option<String>),
    /// A page of things.
    Things(Option<String>),
    /// The things of a certificate.
    ThingsOf(CertificateId),
    /// A certificate's validity.
    ValidityOf(CertificateId),
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// To [`Ask::Certificates`].
    Certificates(Page<ListedCertificate>),
    /// To [`Ask::Things`].
    Things(Page<ListedThing>),
    /// To [`Ask::ThingsOf`]; none for a certificate that is gone.
    ThingsOf(CertificateId, Vec<ThingName>),
    /// To [`Ask::ValidityOf`]; `None` for a certificate that is gone.
    ValidityOf(CertificateId, Option<Described>),
}

/// How far a crawl is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is being asked for.
    pub stage: &'static str,
    /// How many certificates are known.
    pub certificates: usize,
    /// How many things.
    pub things: usize,
    /// How many thousandths of this stage are done, where that can be told: a list's length is not known before its end.
    pub thousandths: Option<u64>,
}

/// Why a crawl stopped before its end. What was learned is learned; the next one goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {error}")]
pub struct CrawlError {
    /// The call.
    pub what: &'static str,
    /// What the account says.
    pub error: ApiError,
}

impl Ask {
    /// The operation that answers it.
    pub const fn api(&self) -> &'static str {
        match self {
            Self::Certificates(_) => "ListCertificates",
            Self::Things(_) => "ListThings",
            Self::ThingsOf(_) => "ListPrincipalThings",
            Self::ValidityOf(_) => "DescribeCertificate",
        }
    }
}

impl Crawl {
    /// Whether it has come to its end; a new one begins at the beginning.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// How far it is.
    pub fn progress(&self, store: &Store) -> Progress {
        let stage = match self.stage {
            Stage::Certificates => "certificates",
            Stage::Things => "things",
            Stage::Attachments => "attachments",
            Stage::Validity => "validity",
            Stage::Done => "done",
        };
        Progress {
            stage,
            certificates: store.certificates.len(),
            things: store.things.len(),
            thousandths: self.thousandths(),
        }
    }

    /// Certificates are asked about in the order of their ids, which are digests: how far it is is what they begin with.
    fn thousandths(&self) -> Option<u64> {
        let begins = u64::from_str_radix(&self.after.filter(|_| self.is_by_one())?.short(), 16).ok()?;
        Some((begins * 1000) >> 32)
    }

    const fn is_by_one(&self) -> bool {
        matches!(self.stage, Stage::Attachments | Stage::Validity)
    }

    /// What to ask next; `None` at the end.
    pub fn poll(&mut self, now: Timestamp, store: &mut Store, course: Course) -> Option<Ask> {
        loop {
            let good = course.anew.max(LISTS_GOOD);
            if self.is_by_one() && store.ages.things.is_none_or(|at| now.since(at) >= good) {
                self.list_anew();
            }
            self.begun.get_or_insert(now);
            match self.stage {
                Stage::Certificates => return Some(Ask::Certificates(self.next.clone())),
                Stage::Things => return Some(Ask::Things(self.next.clone())),
                Stage::Attachments => match self.unattached(now, store) {
                    Some(id) => return Some(Ask::ThingsOf(id)),
                    None => {
                        store.joined(self.listed.unwrap_or(now));
                        self.enter(Stage::Validity);
                    }
                },
                Stage::Validity => match course.deep.then(|| self.undescribed(store)).flatten() {
                    Some(id) => return Some(Ask::ValidityOf(id)),
                    None => self.enter(Stage::Done),
                },
                Stage::Done => return None,
            }
        }
    }

    /// Takes an answer in.
    pub fn handle(&mut self, now: Timestamp, store: &mut Store, told: Told) {
        let begun = self.begun.unwrap_or(now);
        match told {
            Told::Certificates(page) => {
                store.listed_certificates(now, &page.items);
                self.next = page.next;
                if self.next.is_none() {
                    store.swept_certificates(begun, now);
                    self.enter(Stage::Things);
                    self.listed = Some(begun);
                }
            }
            Told::Things(page) => {
                store.listed_things(now, &page.items);
                self.next = page.next;
                if self.next.is_none() {
                    store.swept_things(begun, now);
                    self.enter(Stage::Attachments);
                    if let Some(Place { listed, after }) = self.asking.take() {
                        (self.listed, self.after) = (listed, after);
                    }
                }
            }
            Told::ThingsOf(id, things) => {
                store.attachments(id, &things);
                self.after = Some(id);
            }
            Told::ValidityOf(id, found) => {
                found.into_iter().for_each(|found| store.described(id, &found));
                self.after = Some(id);
            }
        }
    }

    /// The account has refused. It may be the page token that it does not take any more: a list begins again.
    pub fn restart_stage(&mut self) {
        (self.begun, self.next) = (None, None);
    }

    fn enter(&mut self, stage: Stage) {
        (self.stage, self.begun, self.next, self.after) = (stage, None, None, None);
    }

    /// The lists first; then things are asked for where that was left, or of those that have come. Who was asked for their
    /// end needs no place: they are not asked again.
    fn list_anew(&mut self) {
        if self.stage == Stage::Attachments {
            self.asking = Some(Place { listed: self.listed, after: self.after });
        }
        self.enter(Stage::Certificates);
    }

    /// The next certificate whose thing nobody has told; those that may connect, and a week ago is long enough ago.
    fn unattached(&self, now: Timestamp, store: &Store) -> Option<CertificateId> {
        let recently = store.ages.attachments.is_some_and(|at| now.since(at) < ATTACHMENT_GOOD);
        self.rest(store)
            .find(|(id, row)| {
                let asked = recently && row.created_at < store.ages.attachments;
                row.thing.is_none() && !asked && row.status.is_some() && !store.own.contains_key(*id)
            })
            .map(|(id, _)| *id)
    }

    fn undescribed(&self, store: &Store) -> Option<CertificateId> {
        let active = Some(CertificateStatus::Active);
        self.rest(store).find(|(_, row)| row.status == active && row.not_after.is_none()).map(|(id, _)| *id)
    }

    fn rest<'s>(
        &self,
        store: &'s Store,
    ) -> impl Iterator<Item = (&'s CertificateId, &'s super::store::Certificate)> + use<'s> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = self.after.map_or(Unbounded, Excluded);
        store.certificates.range((from, Unbounded)).map(|(id, row)| (id, row.as_ref()))
    }
}

/// Where a crawl reads and writes: the binary shares its store with the controller's events.
pub trait Ledgered: Send {
    /// Gives the store and the crawl to `act`.
    fn with<T>(&mut self, act: impl FnOnce(&mut Store, &mut Crawl) -> T) -> T;
}

/// Walks on to the end, within the budget; `told` is called after every answer.
///
/// # Errors
/// When the account refuses for good. Throttles and silence are waited for, as long as it takes.
pub async fn crawl<C: Census>(
    census: &C,
    place: &mut impl Ledgered,
    budget: &mut Budget,
    clock: &(dyn Fn() -> Timestamp + Send + Sync),
    course: Course,
    mut told: impl FnMut(&Progress) + Send,
) -> Result<(), CrawlError> {
    let mut failures = 0u32;
    while let Some(ask) = place.with(|store, crawl| crawl.poll(clock(), store, course)) {
        let api = ask.api();
        tokio::time::sleep(budget.take(clock(), api)).await;
        match answer(census, ask).await {
            Ok(answer) => {
                failures = 0;
                budget.answered(api);
                let progress = place.with(|store, crawl| {
                    crawl.handle(clock(), store, answer);
                    crawl.progress(store)
                });
                told(&progress);
            }
            Err(ApiError::Throttled) => budget.throttled(clock(), api),
            Err(error) if error.retryable() => {
                failures = failures.saturating_add(1);
                let pause = Duration::from_millis(250).saturating_mul(1 << failures.min(8));
                tracing::warn!(api, %error, again_in = ?pause, "the account does not answer");
                tokio::time::sleep(pause).await;
            }
            Err(error) => {
                place.with(|_, crawl| crawl.restart_stage());
                return Err(CrawlError { what: api, error });
            }
        }
    }
    Ok(())
}

async fn answer<C: Census>(census: &C, ask: Ask) -> Result<Told, ApiError> {
    match ask {
        Ask::Certificates(next) => census.list_certificates(next).await.map(Told::Certificates),
        Ask::Things(next) => census.list_things(next).await.map(Told::Things),
        Ask::ThingsOf(id) => match census.things_of_certificate(&id).await {
            Err(ApiError::NotFound(_)) => Ok(Told::ThingsOf(id, Vec::new())),
            found => Ok(Told::ThingsOf(id, found?)),
        },
        Ask::ValidityOf(id) => match census.validity_of(&id).await {
            Err(ApiError::NotFound(_)) => Ok(Told::ValidityOf(id, None)),
            found => Ok(Told::ValidityOf(id, Some(found?))),
        },
    }
}

#[cfg(test)]
mod tests;
