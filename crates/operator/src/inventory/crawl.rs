//! A walk over the whole account within a budget, which can stop anywhere and go on from there.
//!
//! Certificates, then things (whose attribute names their newest certificate, which saves a call each), then the thing of
//! every certificate that no list has told, then what certificates say of themselves, once each. [`Crawl`] decides what to
//! ask next and does no I/O; [`crawl()`] asks.

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
        let is_by_one = matches!(self.stage, Stage::Attachments | Stage::Validity);
        let begins = u64::from_str_radix(&self.after.filter(|_| is_by_one)?.short(), 16).ok()?;
        Some((begins * 1000) >> 32)
    }

    /// What to ask next; `None` at the end. `deep` asks what each certificate says of itself, too.
    pub fn poll(&mut self, now: Timestamp, store: &mut Store, deep: bool) -> Option<Ask> {
        loop {
            self.begun.get_or_insert(now);
            match self.stage {
                Stage::Certificates => return Some(Ask::Certificates(self.next.clone())),
                Stage::Things => return Some(Ask::Things(self.next.clone())),
                Stage::Attachments => match self.unattached(now, store) {
                    Some(id) => return Some(Ask::ThingsOf(id)),
                    None => {
                        store.joined(now);
                        self.enter(if deep { Stage::Validity } else { Stage::Done });
                    }
                },
                Stage::Validity => match self.undescribed(store) {
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
                }
            }
            Told::Things(page) => {
                store.listed_things(now, &page.items);
                self.next = page.next;
                if self.next.is_none() {
                    store.swept_things(begun, now);
                    self.enter(Stage::Attachments);
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

    /// A page token that the account does not take any more: the stage begins again.
    pub fn restart_stage(&mut self) {
        self.enter(self.stage);
    }

    fn enter(&mut self, stage: Stage) {
        *self = Self { stage, ..Self::default() };
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
        store.certificates.range((from, Unbounded))
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
    deep: bool,
    mut told: impl FnMut(&Progress) + Send,
) -> Result<(), CrawlError> {
    let mut failures = 0u32;
    while let Some(ask) = place.with(|store, crawl| crawl.poll(clock(), store, deep)) {
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
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// An account of seven certificates, two a page, on three things; the newest of each thing in its attribute.
    #[derive(Default)]
    struct Account {
        calls: Mutex<Vec<&'static str>>,
        throttles: Mutex<u32>,
    }

    fn id(n: u8) -> CertificateId {
        CertificateId::of_der(&[n])
    }

    fn thing(n: u8) -> ThingName {
        ThingName::new(format!("thing-{n}")).unwrap()
    }

    impl Account {
        fn called(&self, api: &'static str) -> Result<(), ApiError> {
            self.calls.lock().unwrap().push(api);
            let mut throttles = self.throttles.lock().unwrap();
            if *throttles > 0 {
                *throttles -= 1;
                return Err(ApiError::Throttled);
            }
            Ok(())
        }

        fn page<T>(next: Option<String>, items: Vec<T>) -> Page<T> {
            let from = next.map_or(0, |next| next.parse().unwrap());
            let count = items.len();
            let items = items.into_iter().skip(from).take(2).collect();
            Page { items, next: (from + 2 < count).then(|| (from + 2).to_string()) }
        }
    }

    impl Census for Account {
        async fn list_certificates(
            &self,
            marker: Option<String>,
        ) -> Result<Page<ListedCertificate>, ApiError> {
            self.called("ListCertificates")?;
            let listed = |n| ListedCertificate {
                id: id(n),
                status: CertificateStatus::Active,
                created_at: Timestamp::from_secs(n.into()),
            };
            Ok(Self::page(marker, (1..=7).map(listed).collect()))
        }

        async fn list_things(&self, token: Option<String>) -> Result<Page<ListedThing>, ApiError> {
            self.called("ListThings")?;
            let listed = |n| ListedThing { name: thing(n), newest: Some(id(n)), recovered: None };
            Ok(Self::page(token, (1..=3).map(listed).collect()))
        }

        async fn things_of_certificate(
            &self,
            certificate: &CertificateId,
        ) -> Result<Vec<ThingName>, ApiError> {
            self.called("ListPrincipalThings")?;
            Ok(if *certificate == id(7) { Vec::new() } else { vec![thing(1)] })
        }

        async fn validity_of(&self, _: &CertificateId) -> Result<Described, ApiError> {
            self.called("DescribeCertificate")?;
            Ok(Described { not_after: Timestamp::from_secs(1000) })
        }
    }

    #[derive(Default)]
    struct Place(Store, Crawl);

    impl Ledgered for Place {
        fn with<T>(&mut self, act: impl FnOnce(&mut Store, &mut Crawl) -> T) -> T {
            act(&mut self.0, &mut self.1)
        }
    }

    /// The clock of tokio's paused time.
    fn clock() -> impl Fn() -> Timestamp + Send + Sync {
        let start = tokio::time::Instant::now();
        move || Timestamp::from_secs(100) + start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn everything_is_listed_and_only_what_no_list_tells_is_asked_for() {
        let (account, mut place, clock) = (Account::default(), Place::default(), clock());
        *account.throttles.lock().unwrap() = 3;
        let mut budget = Budget::of(0.5);
        crawl(&account, &mut place, &mut budget, &clock, false, |_| {}).await.unwrap();
        let Place(store, crawled) = &place;
        assert!(crawled.is_done());
        assert_eq!((store.certificates().count(), store.things().count()), (7, 3));
        let calls = account.calls.lock().unwrap().clone();
        let count = |api| calls.iter().filter(|called| **called == api).count();
        assert_eq!(count("ListCertificates"), 4 + 3, "three were throttled");
        assert_eq!(
            (count("ListThings"), count("ListPrincipalThings")),
            (2, 4),
            "three things told of theirs"
        );
        assert_eq!(count("DescribeCertificate"), 0);
        assert_eq!(store.certificate(&id(2)).unwrap().thing, Some(thing(2)));
        assert_eq!(store.certificate(&id(7)).unwrap().thing, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crawl_that_was_cut_short_goes_on_where_it_was() {
        let (account, clock) = (Account::default(), clock());
        let (mut store, mut crawled) = (Store::default(), Crawl::default());
        for _ in 0..5 {
            let ask = crawled.poll(clock(), &mut store, true).unwrap();
            let told = answer(&account, ask).await.unwrap();
            crawled.handle(clock(), &mut store, told);
            // As it is kept.
            crawled = serde_json::from_str(&serde_json::to_string(&crawled).unwrap()).unwrap();
        }
        let mut place = Place(store, crawled);
        let mut told = Vec::new();
        let tell = |progress: &Progress| told.push((progress.stage, progress.thousandths));
        crawl(&account, &mut place, &mut Budget::of(1.0), &clock, true, tell).await.unwrap();
        let calls = account.calls.lock().unwrap().clone();
        let part = told.iter().filter(|told| told.0 == "validity").map(|told| told.1);
        let part: Vec<_> = part.collect();
        assert!(part.iter().all(Option::is_some) && part.is_sorted() && part.len() == 7, "{told:?}");
        assert_eq!(told.first(), Some(&("attachments", None)), "it begins");
        assert_eq!(calls.len(), 4 + 2 + 4 + 7, "nothing was asked twice: {calls:?}");
        assert!(place.0.certificates().all(|(_, row)| row.not_after.is_some()));
    }
}
