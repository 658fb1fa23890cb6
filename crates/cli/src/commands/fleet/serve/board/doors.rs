//! How devices come in, and what set-up and clean-up would do: asked of the account when a page shows it, and kept for a
//! while. The controller itself needs none of it.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use fleetkey_aws::Aws;
use fleetkey_dashboard::fleet::{
    Act, Claim, Direction, Known, Plan, PlanStep, Provisioning, Recovery, Refused, Template,
};
use fleetkey_dashboard::hub::Hub;
use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::name::TemplateName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::cloud::{Cloud, Found, Key, Kind, Spec};
use fleetkey_operator::control_plane::ControlPlane;
use fleetkey_operator::inventory::Watch;
use fleetkey_operator::plan::{self, Action, Patience, State, scope_of};
use fleetkey_operator::recovery::Windows;

use super::super::super::{now, with_windows};
use super::reading::{LISTS_WITHIN, WITHIN};
use super::{Board, Office, removal};
use crate::windows::whom;

/// How long an answer is shown before the account is asked again.
const GOOD: Duration = Duration::from_secs(60);
/// The same of a refusal.
const AGAIN: Duration = Duration::from_secs(10);
/// The same of a plan that took a call or more for each device; and of one that took all pages of long lists, while the
/// inventory stands as it did.
const DEAR: Duration = Duration::from_secs(600);

/// What was asked, and what the account said.
#[derive(Debug, Clone, Default)]
pub(super) struct Doors {
    provisioning: Asked<Provisioning>,
    making: Asked<Arc<Plan>>,
    removal: Asked<Arc<Plan>>,
}

/// One question.
#[derive(Debug)]
pub(super) struct Asked<T>(Arc<Mutex<Slot<T>>>);

#[derive(Debug)]
struct Slot<T> {
    known: Known<T>,
    asking: bool,
    /// How often what was known has become another matter: an answer to a question from before says nothing any more.
    generation: u64,
    /// Until then what is known is good enough.
    until: Timestamp,
    /// Until then, too, while the inventory is as it was.
    unchanged_until: Timestamp,
    /// What the inventory was, where that matters.
    drawn_by: Option<Stand>,
}

/// How the inventory stands: as long as that is the same, a plan made of the account's lists hardly becomes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stand {
    things: usize,
    ages: [Option<Timestamp>; 3],
}

impl Stand {
    fn of(watch: &Watch) -> Self {
        watch.look(|store, _| {
            let ages = store.ages();
            Self { things: store.count_things(), ages: [ages.certificates, ages.things, ages.attachments] }
        })
    }
}

impl<T> Clone for Asked<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        let never = Timestamp::default();
        Self {
            known: Known::Asked,
            asking: false,
            generation: 0,
            until: never,
            unchanged_until: never,
            drawn_by: None,
        }
    }
}

impl<T> Default for Asked<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Slot::default())))
    }
}

impl<T: Clone + Send + 'static> Asked<T> {
    /// Asks anew at the next look. What is being asked for meanwhile is not shown.
    pub(super) fn forget(&self) {
        lock(&self.0).supersede(Known::Asked, Timestamp::default());
    }

    /// Somebody has found out otherwise, by a dear look while the inventory stood so.
    fn told(&self, told: T, stand: Stand) {
        let (now, mut slot) = (now(), lock(&self.0));
        slot.supersede(Known::Told(told), now + GOOD);
        (slot.drawn_by, slot.unchanged_until) = (Some(stand), now + DEAR);
    }

    /// What is known.
    fn known(&self) -> Known<T> {
        lock(&self.0).known.clone()
    }

    /// What is known; if that is nothing, or old, it is asked for, and open pages are told of the answer.
    pub(super) fn look(
        &self,
        hub: &Arc<Hub>,
        ask: impl Future<Output = Result<T, Refused>> + Send + 'static,
    ) -> Known<T> {
        self.look_by(None, hub, ask)
    }

    /// The same of an answer that is dear, and good for longer while the inventory stands as it did.
    fn look_by(
        &self,
        stand: Option<Stand>,
        hub: &Arc<Hub>,
        ask: impl Future<Output = Result<T, Refused>> + Send + 'static,
    ) -> Known<T> {
        let mut slot = lock(&self.0);
        if !slot.asking && slot.is_old(stand, now()) {
            slot.asking = true;
            let generation = slot.generation;
            let (cell, hub) = (self.0.clone(), hub.clone());
            tokio::spawn(async move {
                let (known, good, unchanged) = match ask.await {
                    Ok(told) => (Known::Told(told), GOOD, DEAR),
                    Err(refused) => (Known::Refused(refused.to_string()), AGAIN, AGAIN),
                };
                let (now, mut slot) = (now(), lock(&cell));
                if slot.answered(generation, known, now + good) {
                    (slot.drawn_by, slot.unchanged_until) = (stand, now + unchanged);
                }
                drop(slot);
                hub.tell("account", None);
            });
        }
        slot.known.clone()
    }

    /// Somebody wants to see it anew: the inventory need not have changed for that.
    fn distrust(&self) {
        lock(&self.0).unchanged_until = Timestamp::default();
    }
}

impl<T> Slot<T> {
    /// Whoever asks is not waited for any more.
    fn supersede(&mut self, known: Known<T>, until: Timestamp) {
        let generation = self.generation.wrapping_add(1);
        *self = Self { known, generation, until, ..Self::default() };
    }

    /// Whether it was taken.
    fn answered(&mut self, generation: u64, known: Known<T>, until: Timestamp) -> bool {
        let fits = self.generation == generation;
        if fits {
            (self.known, self.until, self.asking) = (known, until, false);
        }
        fits
    }

    fn is_old(&self, stand: Option<Stand>, now: Timestamp) -> bool {
        let is_unchanged = stand.is_some() && self.drawn_by == stand && now < self.unchanged_until;
        now >= self.until && !is_unchanged
    }
}

impl Doors {
    /// The account is another now.
    pub(super) fn forget(&self) {
        self.provisioning.forget();
        self.making.forget();
        self.removal.forget();
    }

    /// This is what a clean-up would remove, by a look at each device.
    pub(super) fn found(&self, removal: Plan, watch: &Watch) {
        self.removal.told(Arc::new(removal), Stand::of(watch));
    }
}

impl Board {
    /// Templates, claims and the recovery window. While set-up or clean-up is under way nothing further is asked.
    pub(super) fn doors(&self) -> Known<Provisioning> {
        if self.works.is_under_way() {
            return self.doors.provisioning.known();
        }
        let (office, closed) = (self.office.clone(), self.closed.clone());
        let ask = async move { office.read((&closed, WITHIN), Office::provisioning).await };
        self.doors.provisioning.look(&self.hub, ask)
    }

    /// What would be done.
    pub(super) fn planned(&self, direction: Direction) -> Known<Arc<Plan>> {
        let (office, closed, watch) = (self.office.clone(), self.closed.clone(), self.watch.clone());
        let (asked, within, stand) = match direction {
            Direction::SetUp => (&self.doors.making, WITHIN, None),
            Direction::CleanUp => (&self.doors.removal, LISTS_WITHIN, Some(Stand::of(&self.watch))),
        };
        let plan = move |office: Office| office.plan(direction, watch);
        let ask = async move { office.read((&closed, within), plan).await.map(Arc::new) };
        if self.works.is_under_way() { asked.known() } else { asked.look_by(stand, &self.hub, ask) }
    }

    /// Has a plan made anew at the next look, if it is not of just now.
    pub(super) fn plan_anew(&self, direction: Direction) {
        match direction {
            Direction::SetUp => self.doors.making.distrust(),
            Direction::CleanUp => self.doors.removal.distrust(),
        }
    }
}

impl Office {
    async fn plan(self, direction: Direction, watch: Watch) -> Result<Plan> {
        let aws = self.account().await;
        // What somebody else has made is to be shown, not refused: nothing is touched. Clean-up leaves it alone.
        let onlooker = self.onlooker(&aws, direction == Direction::SetUp).await?;
        let wanted = with_windows(self.settings.wanted(onlooker.scope())?, &self.directory)?;
        match direction {
            Direction::SetUp => Ok(making(&onlooker.plan(&wanted).await?)),
            Direction::CleanUp => removal::drawn(&onlooker, &wanted, &watch).await,
        }
    }

    async fn provisioning(self) -> Result<Provisioning> {
        let aws = self.account().await;
        let who = Patience::ASKING.call(|_| {}, || aws.identity()).await?;
        let wanted = self.settings.wanted(scope_of(&who))?;
        let names = &wanted.fleet.names;
        let first = format!("serials that match {}", wanted.serials.join(", "));
        let mut templates = Vec::new();
        for (name, purpose, whom) in [
            (&names.claim_template, "first provisioning", first.as_str()),
            (&names.rotation_template, "rotation", "whoever holds the thing already"),
            (&names.recovery_template, "recovery", "serials that a recovery window names"),
        ] {
            templates.extend(template(&aws, name, purpose, whom).await?);
        }
        let opened = templates.iter().any(|template| template.enabled && template.purpose == "recovery");
        let recovery = if opened { opening(&self.directory)? } else { Recovery::Closed };
        let claim = State::read(&self.directory)?.and_then(|state| state.certificates.get("claim")?.id);
        let claims = match claim {
            Some(id) => vec![self::claim(&aws, id, names.claim_policy.as_str()).await?],
            None => Vec::new(),
        };
        Ok(Provisioning { templates, claims, recovery: Some(recovery) })
    }
}

/// Whom the recovery windows name; an enabled template without one lets in whom its function does.
fn opening(directory: &Path) -> Result<Recovery> {
    let windows = Windows::read(directory)?.open_at(now());
    let until = windows.iter().map(|window| window.until).max();
    let whom = match whom(&windows) {
        Some(whom) => whom,
        None => "nobody: its windows are over, fleetkey recovery close disables it".to_owned(),
    };
    Ok(Recovery::Open { whom, until })
}

async fn template(aws: &Aws, name: &TemplateName, purpose: &str, whom: &str) -> Result<Option<Template>> {
    let key = Key::new(Kind::Template, name.as_str());
    let found = Patience::ASKING.call(|_| {}, || aws.look(&key)).await?;
    let Some(Found { spec: Spec::Template { enabled, hook, .. }, .. }) = found else {
        return Ok(None);
    };
    let hook = hook.map(|arn| {
        let function = arn.rsplit(':').next().unwrap_or_default().to_owned();
        format!("the function {function}: {whom}")
    });
    let (name, purpose) = (name.to_string(), purpose.to_owned());
    Ok(Some(Template { name, purpose, enabled, hook, version: None, modified: None }))
}

async fn claim(aws: &Aws, id: CertificateId, policy: &str) -> Result<Claim> {
    let found = Patience::ASKING.call(|_| {}, || aws.describe_certificate(&id)).await?;
    let (pem, _) = Patience::ASKING.call(|_| {}, || aws.certificate_text(&id)).await?;
    Ok(Claim {
        certificate: id,
        status: found.status,
        created: found.created_at,
        not_after: CertificateFacts::from_pem(&pem)?.not_after,
        may: format!("what {policy} allows"),
    })
}

pub(super) fn making(plan: &plan::Plan) -> Plan {
    let resources = plan.steps.iter().map(|step| (step.key.to_string(), &step.action));
    let certificates = plan.certificates.iter().map(|(role, action)| (format!("{role} certificate"), action));
    Plan {
        steps: resources.chain(certificates).map(|(what, action)| step(what, action)).collect(),
        command: "fleetkey setup".to_owned(),
        note: String::new(),
    }
}

fn step(what: String, action: &Action) -> PlanStep {
    let fields = action.fields().join(", ");
    let (act, words) = match action {
        Action::Create => (Act::Create, "it is missing".to_owned()),
        Action::Keep => (Act::Keep, String::new()),
        Action::Change(_) => (Act::Change, format!("it differs in {fields}")),
        Action::Adopt(_) => (Act::Keep, "somebody else has made it; --force takes it over".to_owned()),
        Action::Delete => (Act::Delete, "an earlier set-up made it, and it is wanted no more".to_owned()),
    };
    PlanStep { act, what, words }
}

fn lock<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    type Answer = oneshot::Sender<Result<&'static str, Refused>>;

    /// Looks, and gives what answers the question, if one is asked.
    fn look(asked: &Asked<&'static str>, hub: &Arc<Hub>) -> (Known<&'static str>, Answer) {
        let (answer, answered) = oneshot::channel();
        let ask = async { answered.await.unwrap_or_else(|_| Err(Refused("nobody answers".to_owned()))) };
        (asked.look(hub, ask), answer)
    }

    /// Answers, and waits until open pages were told so.
    async fn answer(hub: &Hub, answer: Answer, words: &'static str) {
        let before = hub.last();
        answer.send(Ok(words)).unwrap();
        while hub.last() == before {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_was_asked_before_a_change_of_the_account_does_not_stand_for_what_it_is_after() {
        let (asked, hub) = (Asked::default(), Arc::new(Hub::new()));
        let (known, before) = look(&asked, &hub);
        assert_eq!(known, Known::Asked);
        asked.forget();
        let (known, after) = look(&asked, &hub);
        assert_eq!(known, Known::Asked);
        answer(&hub, before, "before").await;
        assert_eq!(asked.known(), Known::Asked, "not what was asked for before");
        answer(&hub, after, "after").await;
        assert_eq!(look(&asked, &hub).0, Known::Told("after"));
        asked.forget();
        let (_, late) = look(&asked, &hub);
        asked.told("found out", Stand { things: 0, ages: [None; 3] });
        answer(&hub, late, "late").await;
        assert_eq!(asked.known(), Known::Told("found out"));
    }

    /// How old the answer is by which it goes, and the inventory as it was then.
    fn aged(asked: &Asked<&'static str>, age: Duration) {
        let mut slot = lock(&asked.0);
        let earlier = |moment: Timestamp| moment - age;
        (slot.until, slot.unchanged_until) = (earlier(slot.until), earlier(slot.unchanged_until));
    }

    #[tokio::test]
    async fn a_dear_answer_is_good_until_the_inventory_changes_somebody_asks_or_it_is_old() {
        let (asked, hub) = (Asked::default(), Arc::new(Hub::new()));
        let stand = |things| Some(Stand { things, ages: [None; 3] });
        let look = |stand| {
            let (answer, answered) = oneshot::channel();
            let ask = async { answered.await.unwrap_or_else(|_| Err(Refused("nobody answers".to_owned()))) };
            let known: Known<&str> = asked.look_by(stand, &hub, ask);
            (known, answer)
        };
        let is_asked = || lock(&asked.0).asking;
        answer(&hub, look(stand(1)).1, "one").await;
        look(stand(2));
        assert!(!is_asked(), "a crowd that comes in does not have it asked for at each step");
        aged(&asked, GOOD);
        assert_eq!(look(stand(1)).0, Known::Told("one"));
        assert!(!is_asked(), "nothing has changed");
        let (known, two) = look(stand(2));
        assert_eq!(
            (known, is_asked()),
            (Known::Told("one"), true),
            "it is shown until the next one is there"
        );
        answer(&hub, two, "two").await;
        aged(&asked, GOOD);
        assert_eq!((look(stand(2)).0, is_asked()), (Known::Told("two"), false));
        asked.distrust();
        let (_, three) = look(stand(2));
        assert!(is_asked(), "somebody wants to see it anew");
        answer(&hub, three, "three").await;
        aged(&asked, DEAR);
        look(stand(2));
        assert!(is_asked(), "in the end it is old");
    }
}
