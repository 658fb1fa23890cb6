//! Set-up and clean-up that a page has ordered, by the very functions of the commands, on a thread of their own; and the hook,
//! asked about requests that nobody has made.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use fleetkey_aws::Aws;
use fleetkey_dashboard::fleet::{Direction, Done, HookTest, Plan, Probe, Refused};
use fleetkey_model::arn::Scope;
use fleetkey_operator::cloud::{Cloud, Found, Key, Kind, Spec};
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::hook_probe;
use fleetkey_operator::plan::{Applied, Event, Patience, Progress, scope_of};
use serde_json::Value;
use tokio::time::Instant;

use super::super::super::{cleanup, panic, setup};
use super::super::super::{now, with_windows};
use super::office::Manner;
use super::reading::WITHIN;
use super::{Board, Office, doors, removal};
use crate::works::Works;

/// The account is not as the plan found it that somebody has agreed to.
const CHANGED: &str =
    "the account has changed since the plan was made, so nothing was done; look at the plan again";
/// What a controller is without its own identity.
const ALONE: &str =
    "This controller has no identity of its own any more: stop it, or set the fleet up again from here";
const RENEWED: &str = "the controller takes up its new identity by itself";

/// How often it is told how far a look at every device has come.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What came of carrying a plan out.
enum Built {
    /// It was; in words.
    Done(String),
    /// Nothing was done: this is what would be removed, and more than was agreed to.
    Otherwise(Plan),
}

impl Board {
    /// Begins to carry a plan out.
    pub(super) fn build(
        &self,
        direction: Direction,
        seen: Arc<Plan>,
        (by, why): (&str, &str),
    ) -> Result<Done, Refused> {
        self.works.begin(direction, by)?;
        let order = format!("{why}, says {by}");
        let (office, closed, works) = (self.office.clone(), self.closed.clone(), self.works.clone());
        let (doors, policies, watch) = (self.doors.clone(), self.policies.clone(), self.watch.clone());
        tokio::spawn(async move {
            let progress = works.clone();
            let work = move |office: Office| office.build(direction, seen, order, progress);
            let outcome = office.work(&closed, work).await;
            doors.forget();
            policies.forget();
            works.end(match outcome {
                Ok(Built::Done(words)) => Ok(words),
                Ok(Built::Otherwise(plan)) => {
                    doors.found(plan, &watch);
                    Err(CHANGED.to_owned())
                }
                Err(refused) => Err(refused.to_string()),
            });
        });
        Ok(Done { words: format!("the {} has begun", direction.word()) })
    }

    /// Asks the hook, and keeps what it said for the page.
    pub(super) async fn test_hook(&self) -> Result<Done, Refused> {
        self.works.expect_rest()?;
        let probes = self.office.read((&self.closed, WITHIN), Office::ask_hook).await?;
        let words = format!("{} requests were made up and judged", probes.len());
        *self.tested.lock().unwrap_or_else(PoisonError::into_inner) = Some(HookTest { at: now(), probes });
        self.hub.tell("account", None);
        Ok(Done { words })
    }

    pub(super) fn tested(&self) -> Option<HookTest> {
        self.tested.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Office {
    async fn build(
        self,
        direction: Direction,
        seen: Arc<Plan>,
        order: String,
        progress: Arc<Works>,
    ) -> Result<Built> {
        let aws = self.account().await;
        let manner = Manner {
            force: false,
            progress: &*progress,
            making: Patience::MAKING,
            deleting: Patience::DELETING,
        };
        let mut operator = self.operator(&aws, manner).await?.on_order(order);
        let wanted = with_windows(self.settings.wanted(operator.scope())?, &self.directory)?;
        match direction {
            Direction::SetUp => {
                panic::none(&self.directory)?;
                let plan = operator.plan(&wanted).await?;
                ensure!(doors::making(&plan).steps == seen.steps, CHANGED);
                let plan = (&wanted, plan);
                let applied =
                    setup::carry_out(&mut operator, plan, &self.settings, &self.ground, &self.directory);
                Ok(Built::Done(made(&applied.await?)))
            }
            Direction::CleanUp => {
                let before = operator.members(&wanted).await?;
                let mut doomed = told_of(&aws, &progress, operator.doomed(&wanted)).await?;
                // The look takes long: whoever has come in meanwhile would go, too.
                let members = operator.members(&wanted).await?;
                doomed.things.extend(members.difference(&before).cloned());
                let plan = removal::exact(doomed);
                if !removal::is_within(&plan, &seen) {
                    return Ok(Built::Otherwise(plan));
                }
                let removed = cleanup::carry_out(&mut operator, &wanted, &self.directory).await?;
                let words = cleanup::words(&removed);
                ensure!(removed.remains.found.is_empty(), "{words}");
                Ok(Built::Done(format!("{words}. {ALONE}")))
            }
        }
    }

    async fn ask_hook(self) -> Result<Vec<Probe>> {
        let aws = self.account().await;
        let who = Patience::ASKING.call(|_| {}, || aws.identity()).await?;
        let scope = scope_of(&who);
        let wanted = with_windows(self.settings.wanted(scope.clone())?, &self.directory)?;
        let mut probes = Vec::new();
        for probe in hook_probe::probes(&wanted.fleet.names, &wanted.serials) {
            let (answer, took) = ask(&aws, &probe, &scope).await;
            probes.push(Probe {
                template: probe.template.to_string(),
                asked: probe.words,
                expected: probe.expected,
                answer: answer.map_err(|error| super::office::hinted(&format!("{error:#}"))),
                took,
            });
        }
        Ok(probes)
    }
}

/// Tells meanwhile how many calls a look at every device has taken: of a large fleet it takes long.
async fn told_of<T>(aws: &Aws, progress: &Works, look: impl Future<Output = T>) -> T {
    let (mut look, mut tick) = (pin!(look), tokio::time::interval(TOLD_EVERY));
    loop {
        tokio::select! {
            found = &mut look => return found,
            _ = tick.tick() => {
                let calls: u64 = aws.tallies().values().sum();
                let what = format!("at each device, a few calls for each: {calls} so far");
                progress.tell(Event::Start { action: "look", what: &what });
            }
        }
    }
}

/// What the template's function says to a request, and how long it took for that.
async fn ask(aws: &Aws, probe: &hook_probe::Probe, scope: &Scope) -> (Result<bool>, Duration) {
    let function = match function(aws, probe).await {
        Ok(function) => function,
        Err(error) => return (Err(error), Duration::ZERO),
    };
    let begun = Instant::now();
    let answer = aws.invoke(&function, &probe.event(scope)).await;
    (answer.map_err(Into::into).and_then(|answer| verdict(&answer)), begun.elapsed())
}

/// The function that decides on requests to a template.
async fn function(aws: &Aws, probe: &hook_probe::Probe) -> Result<String> {
    let key = Key::new(Kind::Template, probe.template.as_str());
    match Patience::ASKING.call(|_| {}, || aws.look(&key)).await? {
        Some(Found { spec: Spec::Template { hook: Some(arn), .. }, .. }) => {
            Ok(arn.rsplit_once("function:").map_or(arn.as_str(), |(_, name)| name).to_owned())
        }
        Some(_) => bail!("nobody decides: the template names no function"),
        None => Err(ApiError::NotFound(format!("template {}", probe.template)).into()),
    }
}

fn verdict(answer: &Value) -> Result<bool> {
    match answer.get("allowProvisioning").and_then(Value::as_bool) {
        Some(allowed) => Ok(allowed),
        None => bail!("its answer has no allowProvisioning, which AWS IoT takes for a refusal"),
    }
}

fn made(applied: &Applied) -> String {
    let changed = applied.steps.iter().filter(|(action, _)| *action != "keep").count();
    let renewed =
        applied.steps.iter().any(|(action, what)| *action == "create" && what == "controller certificate");
    let words = format!("{changed} made or changed; devices dial {}", applied.endpoint);
    if renewed { format!("{words}; {RENEWED}") } else { words }
}
