//! Walks over an account that is made up, in tokio's paused time.

use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

const SHALLOW: Course = Course { deep: false, anew: Duration::from_secs(3600) };
const DEEP: Course = Course { deep: true, ..SHALLOW };

/// An account of seven certificates, two a page, on three things; the newest of each thing in its attribute.
struct Account {
    certificates: AtomicU16,
    page: usize,
    calls: Mutex<Vec<&'static str>>,
    throttles: Mutex<u32>,
    /// What it refuses for good.
    refuses: Option<&'static str>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            certificates: 7.into(),
            page: 2,
            calls: Mutex::default(),
            throttles: Mutex::default(),
            refuses: None,
        }
    }
}

fn id(n: u16) -> CertificateId {
    CertificateId::of_der(&n.to_be_bytes())
}

fn thing(n: u16) -> ThingName {
    ThingName::new(format!("thing-{n}")).unwrap()
}

impl Account {
    fn called(&self, api: &'static str) -> Result<(), ApiError> {
        self.calls.lock().unwrap().push(api);
        if self.refuses == Some(api) {
            return Err(ApiError::Other("no".into()));
        }
        let mut throttles = self.throttles.lock().unwrap();
        if *throttles > 0 {
            *throttles -= 1;
            return Err(ApiError::Throttled);
        }
        Ok(())
    }

    fn page<T>(&self, next: Option<String>, items: Vec<T>) -> Page<T> {
        let from = next.map_or(0, |next| next.parse().unwrap());
        let (count, end) = (items.len(), from + self.page);
        let items = items.into_iter().skip(from).take(self.page).collect();
        Page { items, next: (end < count).then(|| end.to_string()) }
    }

    fn count(&self, api: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|called| **called == api).count()
    }
}

impl Census for Account {
    async fn list_certificates(&self, marker: Option<String>) -> Result<Page<ListedCertificate>, ApiError> {
        self.called("ListCertificates")?;
        let listed = |n| ListedCertificate {
            id: id(n),
            status: CertificateStatus::Active,
            created_at: Timestamp::from_secs(n.into()),
        };
        let count = self.certificates.load(Ordering::Relaxed);
        Ok(self.page(marker, (1..=count).map(listed).collect()))
    }

    async fn list_things(&self, token: Option<String>) -> Result<Page<ListedThing>, ApiError> {
        self.called("ListThings")?;
        let listed = |n| ListedThing { name: thing(n), newest: Some(id(n)), recovered: None };
        Ok(self.page(token, (1..=3).map(listed).collect()))
    }

    async fn things_of_certificate(&self, certificate: &CertificateId) -> Result<Vec<ThingName>, ApiError> {
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
    crawl(&account, &mut place, &mut budget, &clock, SHALLOW, |_| {}).await.unwrap();
    let Place(store, crawled) = &place;
    assert!(crawled.is_done());
    assert_eq!((store.certificates().count(), store.things().count()), (7, 3));
    let calls = account.calls.lock().unwrap().clone();
    let count = |api| calls.iter().filter(|called| **called == api).count();
    assert_eq!(count("ListCertificates"), 4 + 3, "three were throttled");
    assert_eq!((count("ListThings"), count("ListPrincipalThings")), (2, 4), "three things told of theirs");
    assert_eq!(count("DescribeCertificate"), 0);
    assert_eq!(store.certificate(&id(2)).unwrap().thing, Some(thing(2)));
    assert_eq!(store.certificate(&id(7)).unwrap().thing, None);
}

#[tokio::test(start_paused = true)]
async fn a_crawl_that_was_cut_short_goes_on_where_it_was() {
    let (account, clock) = (Account::default(), clock());
    let (mut store, mut crawled) = (Store::default(), Crawl::default());
    for _ in 0..5 {
        let ask = crawled.poll(clock(), &mut store, DEEP).unwrap();
        let told = answer(&account, ask).await.unwrap();
        crawled.handle(clock(), &mut store, told);
        // As it is kept.
        crawled = serde_json::from_str(&serde_json::to_string(&crawled).unwrap()).unwrap();
    }
    let mut place = Place(store, crawled);
    let mut told = Vec::new();
    let tell = |progress: &Progress| told.push((progress.stage, progress.thousandths));
    crawl(&account, &mut place, &mut Budget::of(1.0), &clock, DEEP, tell).await.unwrap();
    let calls = account.calls.lock().unwrap().clone();
    let part = told.iter().filter(|told| told.0 == "validity").map(|told| told.1);
    let part: Vec<_> = part.collect();
    assert!(part.iter().all(Option::is_some) && part.is_sorted() && part.len() == 7, "{told:?}");
    assert_eq!(told.first(), Some(&("attachments", None)), "it begins");
    assert_eq!(calls.len(), 4 + 2 + 4 + 7, "nothing was asked twice: {calls:?}");
    assert!(place.0.certificates().all(|(_, row)| row.not_after.is_some()));
}

/// At five calls a second asking for each takes more than six minutes, twice.
#[tokio::test(start_paused = true)]
async fn while_certificates_are_asked_about_one_by_one_the_lists_do_not_grow_old() {
    let account = Account { certificates: 2000.into(), page: 250, ..Account::default() };
    let (mut place, clock) = (Place::default(), clock());
    let course = Course { anew: Duration::from_secs(100), ..DEEP };
    let (mut listed, mut oldest, mut is_listed) = (None, Duration::ZERO, false);
    let tell = |progress: &Progress| {
        match progress.stage {
            "things" => listed = listed.max(Some(clock())),
            "attachments" | "validity" => {
                oldest = oldest.max(clock().since(listed.unwrap()));
                is_listed |= progress.certificates == 2001;
            }
            _ => {}
        }
        if account.count("DescribeCertificate") == 10 {
            // It is on no thing yet.
            account.certificates.store(2001, Ordering::Relaxed);
        }
    };
    crawl(&account, &mut place, &mut Budget::of(0.5), &clock, course, tell).await.unwrap();
    assert!(is_listed, "one that came meanwhile is there before everybody was asked");
    assert!(oldest < Duration::from_secs(110), "{oldest:?}");
    let lists = account.count("ListThings");
    assert!((8..=9).contains(&lists), "every 100 of 800 seconds: {lists}");
    assert_eq!(account.count("ListPrincipalThings"), 2001 - 3, "nobody twice, though it was interrupted");
    assert_eq!(account.count("DescribeCertificate"), 2001);
    assert!(place.1.is_done() && place.0.certificates().all(|(_, row)| row.not_after.is_some()));
}

#[tokio::test]
async fn a_crawl_that_was_cut_short_within_lists_that_are_walked_anew_goes_on_with_both() {
    let (account, mut now) = (Account::default(), Timestamp::from_secs(100));
    let (mut store, mut crawled) = (Store::default(), Crawl::default());
    let mut asked = Vec::new();
    while let Some(ask) = crawled.poll(now, &mut store, SHALLOW) {
        let told = answer(&account, ask.clone()).await.unwrap();
        crawled.handle(now, &mut store, told);
        if matches!(ask, Ask::ThingsOf(_)) && asked.is_empty() {
            now = now + SHALLOW.anew;
        }
        if let Ask::ThingsOf(id) = ask {
            asked.push(id);
        }
        // As it is kept.
        crawled = serde_json::from_str(&serde_json::to_string(&crawled).unwrap()).unwrap();
    }
    assert_eq!((account.count("ListCertificates"), account.count("ListThings")), (2 * 4, 2 * 2));
    assert!(asked.len() == 4 && asked.is_sorted_by(|one, other| one < other), "each once: {asked:?}");
    let ages = store.ages();
    assert_eq!(ages.attachments, Some(Timestamp::from_secs(100)), "what came since was not asked for");
    assert_eq!(ages.certificates, Some(now));
}

#[tokio::test(start_paused = true)]
async fn lists_are_walked_anew_though_the_account_does_not_describe_certificates() {
    let account = Account { refuses: Some("DescribeCertificate"), ..Account::default() };
    let (mut place, clock) = (Place::default(), clock());
    for lists in 1..=3 {
        let mut budget = Budget::of(1.0);
        let refused = crawl(&account, &mut place, &mut budget, &clock, DEEP, |_| {}).await;
        assert_eq!(refused.unwrap_err().what, "DescribeCertificate");
        assert_eq!(account.count("ListThings"), lists * 2);
        tokio::time::advance(DEEP.anew).await;
    }
}
