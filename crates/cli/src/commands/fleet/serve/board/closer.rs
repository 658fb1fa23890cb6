//! A closer look at single certificates, asked of the account when a page shows them: the PEM, the validity, the
//! policies. A million of them would fill the memory, so the inventory does not keep them; those that were looked at are kept
//! for a while ([`looks`]).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetkey_aws::Aws;
use fleetkey_dashboard::hub::Hub;
use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::control_plane::{ApiError, ControlPlane};
use fleetkey_operator::inventory::{Described, Ledgered, Watch};
use fleetkey_operator::plan::Patience;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::super::super::now;
use super::office::hinted;

pub(super) use looks::{Look, Seen};

use looks::Looks;

mod looks;

/// How many are asked for at once.
const AT_ONCE: usize = 4;

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closely {
    pub(super) pem: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) policies: BTreeSet<String>,
}

/// Asks, and remembers.
pub(super) struct Closer {
    aws: Arc<Aws>,
    watch: Watch,
    hub: Arc<Hub>,
    closed: CancellationToken,
    room: Arc<Semaphore>,
    looks: Arc<Mutex<Looks>>,
}

impl Closer {
    pub(super) fn new(aws: Arc<Aws>, watch: Watch, hub: Arc<Hub>, closed: CancellationToken) -> Self {
        Self { aws, watch, hub, closed, room: Arc::new(Semaphore::new(AT_ONCE)), looks: Arc::default() }
    }

    /// What is known. If that is nothing, or old, or of a certificate that the inventory has `seen` otherwise since, it is
    /// asked for, and open pages are told of the answer.
    pub(super) fn look(&self, thing: &ThingName, id: CertificateId, seen: &Seen) -> Look {
        let (look, to_ask) = lock(&self.looks).look(id, seen, now());
        if to_ask {
            self.ask(thing.clone(), id);
        }
        look
    }

    /// What was known of a certificate may have changed.
    pub(super) fn forget(&self, id: &CertificateId) {
        lock(&self.looks).forget(id);
    }

    fn ask(&self, thing: ThingName, id: CertificateId) {
        let (aws, room, closed) = (self.aws.clone(), self.room.clone(), self.closed.clone());
        let mut watch = self.watch.clone();
        let question = Question { looks: self.looks.clone(), hub: self.hub.clone(), thing, id, answer: None };
        let asking = async move {
            let _room = room.acquire().await;
            let answer = described(&aws, &id).await.map_err(|error| error.to_string());
            match &answer {
                Ok(found) => {
                    let told = Described { not_after: found.not_after };
                    watch.with(|store, _| store.described(id, &told));
                }
                Err(error) => {
                    tracing::warn!(certificate = id.short(), error, "a certificate cannot be looked at");
                }
            }
            question.end(answer);
        };
        tokio::spawn(async move { closed.run_until_cancelled(asking).await });
    }
}

/// A question that is under way. However it ends, it has an answer then: one that never came must not be waited for.
struct Question {
    looks: Arc<Mutex<Looks>>,
    hub: Arc<Hub>,
    thing: ThingName,
    id: CertificateId,
    answer: Option<Result<Closely, String>>,
}

impl Question {
    fn end(mut self, answer: Result<Closely, String>) {
        self.answer = Some(answer);
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let answer = self.answer.take().unwrap_or_else(|| Err("the question was broken off".to_owned()));
        lock(&self.looks).answered(&self.id, answer.map_err(|words| hinted(&words)), now());
        self.hub.tell("certificate", Some(self.thing.clone()));
    }
}

async fn described(aws: &Aws, id: &CertificateId) -> Result<Closely, ApiError> {
    let (pem, modified) = Patience::ASKING.call(|_| {}, || aws.certificate_text(id)).await?;
    let facts = CertificateFacts::from_pem(&pem).map_err(|error| ApiError::Other(error.to_string()))?;
    let policies = Patience::ASKING.call(|_| {}, || aws.attached_policies(id)).await?;
    Ok(Closely {
        pem,
        not_before: facts.not_before,
        not_after: facts.not_after,
        modified,
        policies: policies.iter().map(ToString::to_string).collect(),
    })
}

fn lock(looks: &Mutex<Looks>) -> MutexGuard<'_, Looks> {
    looks.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Seen = Seen { status: None, since: Timestamp::from_secs(0) };

    #[test]
    fn an_answer_ends_a_question() {
        let (looks, hub) = (Arc::<Mutex<Looks>>::default(), Arc::new(Hub::new()));
        let (thing, id) = (ThingName::new("press-1").unwrap(), CertificateId::of_der(b"one"));
        assert!(lock(&looks).look(id, &SEEN, now()).1, "it is asked for");
        let question = Question { looks: looks.clone(), hub: hub.clone(), thing, id, answer: None };
        question.end(Err("AccessDenied".to_owned()));
        let (look, _) = lock(&looks).look(id, &SEEN, now());
        assert!(look.told.refused.unwrap().contains("--print-iam"), "with what to do about it");
        assert_eq!(hub.last(), 1);
    }

    #[test]
    fn a_question_that_is_broken_off_is_told_as_such_and_not_waited_for() {
        let (looks, hub) = (Arc::<Mutex<Looks>>::default(), Arc::new(Hub::new()));
        let (thing, id) = (ThingName::new("press-1").unwrap(), CertificateId::of_der(b"one"));
        assert!(lock(&looks).look(id, &SEEN, now()).1, "it is asked for");
        let question = Question { looks: looks.clone(), hub: hub.clone(), thing, id, answer: None };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _question = question;
            panic!("no answer comes");
        }));
        assert!(outcome.is_err());
        let (look, _) = lock(&looks).look(id, &SEEN, now());
        assert!(look.told.refused.unwrap().contains("broken off"));
        assert_eq!(hub.last(), 1, "open pages read again");
    }
}
