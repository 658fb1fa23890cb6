//! What keeps the controller from hearing the fleet, from keeping what it hears, and the inventory from seeing the account.
//!
//! The first two are what `/readyz` says. While one of them stands, what pages show of the fleet may be old, so it comes
//! before all that the rules find.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetkey_dashboard::fleet::{Finding, Severity};
use fleetkey_dashboard::hub::Hub;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::controller::{Metrics, Reception};
use fleetkey_operator::inventory::{Census, Described, ListedCertificate, ListedThing, Page};

use super::super::super::now;

/// A service that does not answer for so long is no hindrance yet: it is asked again all the while.
const BRIEF: Duration = Duration::from_secs(10);

/// What stands in the way.
#[derive(Debug)]
pub(in super::super) struct Hindrances {
    hub: Arc<Hub>,
    stands: Mutex<Stands>,
}

#[derive(Debug, Default)]
struct Stands {
    /// There once the controller runs.
    post: Option<Post>,
    /// Since when nothing is heard.
    deaf: Option<Timestamp>,
    /// What the account does not tell the inventory, by operation.
    refused: BTreeMap<&'static str, Refusal>,
}

#[derive(Debug, Clone)]
struct Post {
    reception: Reception,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Refusal {
    error: ApiError,
    since: Timestamp,
}

impl Hindrances {
    /// None that is known; `hub` is told when one comes or goes.
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, stands: Mutex::default() }
    }

    /// The controller runs. To be spawned: it follows whether anything is heard, until the controller is stopped.
    pub(super) fn opened(
        self: Arc<Self>,
        mut reception: Reception,
        metrics: Arc<Metrics>,
    ) -> impl Future<Output = ()> + Send + 'static {
        {
            let mut stands = self.lock();
            stands.deaf = Some(now());
            stands.post = Some(Post { reception: reception.clone(), metrics });
        }
        async move {
            let mut hears = false;
            while let Some(turned) = reception.turns(hears).await {
                hears = turned;
                self.lock().deaf = (!hears).then(now);
                self.hub.tell("fleet", None);
            }
        }
    }

    /// Why the controller does not do its work, in words; `None` while it does.
    pub(in super::super) fn unready(&self) -> Option<&'static str> {
        self.lock().post.as_ref().and_then(unready)
    }

    /// All that stand now, the gravest first.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let stands = self.lock();
        let post = stands.post.as_ref().and_then(|post| of_post(post, stands.deaf));
        let at = now();
        let refused = stands.refused.iter().filter(|(_, refusal)| refusal.stands(at));
        post.into_iter().chain(refused.map(|(api, refusal)| refusal.finding(api))).collect()
    }

    /// The account has answered `api`, or it has not.
    fn note<T>(&self, api: &'static str, answer: &Result<T, ApiError>) {
        let mut stands = self.lock();
        let is_news = match answer {
            Ok(_) | Err(ApiError::NotFound(_)) => stands.refused.remove(api).is_some(),
            // That is our haste, and the budget sees to it.
            Err(ApiError::Throttled) => false,
            Err(error) => {
                let since = stands.refused.get(api).map_or_else(now, |refusal| refusal.since);
                let refusal = Refusal { error: error.clone(), since };
                stands.refused.insert(api, refusal).is_none()
            }
        };
        drop(stands);
        if is_news {
            self.hub.tell("fleet", None);
        }
    }

    /// The account was walked to its end: whatever it refused before, it is not asked for any more.
    pub(in super::super) fn walked(&self) {
        let before = std::mem::take(&mut self.lock().refused);
        if !before.is_empty() {
            self.hub.tell("fleet", None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stands> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unready(post: &Post) -> Option<&'static str> {
    if !post.reception.hears() {
        return Some("not connected to the broker: nothing is heard, and nothing new is retired");
    }
    let words = "the ledger cannot be written, see the log: nothing is retired until it can";
    (!post.metrics.is_durable()).then_some(words)
}

fn of_post(post: &Post, deaf: Option<Timestamp>) -> Option<Finding> {
    let seen = unready(post)?;
    let (matters, remedy, since) = if post.reception.hears() {
        (
            "what the controller cannot remember it does not do: old certificates stay good",
            "make room on the disk of the fleet directory, or mend it",
            None,
        )
    } else {
        (
            "who is connected and which rotations are done is not known: this page shows what was heard last",
            "see the log for what the broker says, and whether it can be reached from here; it is tried again all the while",
            deaf,
        )
    };
    Some(critical(seen.to_owned(), matters, remedy, since))
}

fn critical(seen: String, matters: &str, remedy: &str, since: Option<Timestamp>) -> Finding {
    Finding {
        severity: Severity::Critical,
        thing: None,
        seen,
        matters: matters.to_owned(),
        remedy: remedy.to_owned(),
        since,
    }
}

impl Refusal {
    fn stands(&self, at: Timestamp) -> bool {
        !self.error.retryable() || at.since(self.since) >= BRIEF
    }

    fn finding(&self, api: &str) -> Finding {
        let (does, remedy) = match self.error.retryable() {
            true => (
                "does not answer",
                "see whether the account can be reached from here; it is asked again all the while",
            ),
            false => (
                "refuses",
                "allow the controller what fleetkey serve --print-iam prints; it asks again within five minutes",
            ),
        };
        let matters = "what there is in the account is shown as it was before, or not at all";
        critical(format!("the account {does}: {api}: {}", self.error), matters, remedy, Some(self.since))
    }
}

/// An account whose every answer is noted.
#[derive(Debug)]
pub(in super::super) struct Noted<'a, C> {
    pub(in super::super) census: &'a C,
    pub(in super::super) hindrances: &'a Hindrances,
}

impl<C: Census> Noted<'_, C> {
    async fn asked<T>(
        &self,
        api: &'static str,
        call: impl Future<Output = Result<T, ApiError>> + Send,
    ) -> Result<T, ApiError> {
        let answer = call.await;
        self.hindrances.note(api, &answer);
        answer
    }
}

impl<C: Census> Census for Noted<'_, C> {
    async fn list_certificates(&self, marker: Option<String>) -> Result<Page<ListedCertificate>, ApiError> {
        self.asked("ListCertificates", self.census.list_certificates(marker)).await
    }

    async fn list_things(&self, token: Option<String>) -> Result<Page<ListedThing>, ApiError> {
        self.asked("ListThings", self.census.list_things(token)).await
    }

    async fn things_of_certificate(&self, certificate: &CertificateId) -> Result<Vec<ThingName>, ApiError> {
        self.asked("ListPrincipalThings", self.census.things_of_certificate(certificate)).await
    }

    async fn validity_of(&self, certificate: &CertificateId) -> Result<Described, ApiError> {
        self.asked("DescribeCertificate", self.census.validity_of(certificate)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> Result<(), ApiError> {
        Err(ApiError::Other("AccessDeniedException: no".to_owned()))
    }

    fn seen(hindrances: &Hindrances) -> Vec<String> {
        hindrances.findings().into_iter().map(|found| found.seen).collect()
    }

    #[test]
    fn what_the_account_refuses_stands_until_it_answers_that_or_was_walked_to_its_end() {
        let hub = Arc::new(Hub::new());
        let hindrances = Hindrances::new(hub.clone());
        hindrances.note("ListThings", &refusal());
        let since = hindrances.findings()[0].since.unwrap();
        hindrances.note("ListThings", &refusal());
        hindrances.note("ListCertificates", &Ok(()));
        assert_eq!(seen(&hindrances), ["the account refuses: ListThings: AccessDeniedException: no"]);
        assert_eq!((hindrances.findings()[0].since, hub.last()), (Some(since), 1), "told once");
        hindrances.note("ListThings", &Ok(()));
        assert_eq!((seen(&hindrances), hub.last()), (vec![], 2));
        hindrances.note("DescribeCertificate", &refusal());
        hindrances.walked();
        assert_eq!((seen(&hindrances), hub.last()), (vec![], 4));
    }

    #[test]
    fn an_account_that_does_not_answer_is_told_of_once_that_is_not_brief_any_more_and_our_haste_is_none() {
        let hindrances = Hindrances::new(Arc::new(Hub::new()));
        hindrances.note::<()>("ListThings", &Err(ApiError::Throttled));
        hindrances.note::<()>("ListThings", &Err(ApiError::Unavailable("no route".to_owned())));
        assert!(seen(&hindrances).is_empty());
        let long_ago = Timestamp::from_secs(1);
        hindrances.lock().refused.get_mut("ListThings").unwrap().since = long_ago;
        let found = hindrances.findings().remove(0);
        assert!(found.seen.starts_with("the account does not answer: ListThings: "), "{}", found.seen);
        assert_eq!(found.since, Some(long_ago));
    }
}
