//! Campaigns as pages show them, and what is ordered of them there: by the files that `fleetkey campaign` leaves, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetkey_dashboard::fleet::{
    Campaign, CampaignCounts, CampaignDraft, CampaignMode, CampaignOrder, Done, Forecast, Omission, Pace,
    Refused, WayBack,
};
use fleetkey_model::name::{GroupName, ThingName};
use fleetkey_operator::campaign::{
    self, Baseline, Ceiling, Counts, Left, Log, LogError, Mode, Order, Plan, Turn,
};
use fleetkey_operator::controller::Stage;
use fleetkey_operator::inventory::Rule;

use super::super::super::now;
use super::super::super::selection::{self, Candidate, LeftOut, Selected, Selection};
use super::reading::LISTS_WITHIN;
use super::{Board, Office};

/// Failed devices that a page names.
const FAILED: usize = 200;
/// How long whoever has ordered something waits for it to be taken: it is looked at every second.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many devices the controller is asked about at once: meanwhile it hears nothing, and before the next it may take a step.
const RECORDS: usize = 5000;
/// How old the devices may be that a forecast counts; whoever begins a campaign has them counted anew.
const FORECAST: Duration = Duration::from_secs(300);

/// The campaigns by their names, as they stood last.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<BTreeMap<String, Campaign>>);

/// Among which devices those of a draft are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Among {
    /// All.
    All,
    /// These: who is in a group.
    Members(BTreeSet<ThingName>),
    /// These are all of them, whatever else the draft says.
    List(BTreeSet<ThingName>),
}

impl Standing {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Campaign>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// A campaign was looked after; `moved` when a device of it is at another place than before.
    pub(in super::super) fn campaign(&self, campaign: &campaign::Campaign, moved: bool) {
        let (name, mode) = (&campaign.plan().name, mode(campaign.mode()));
        // Adding a large one up takes a moment, so only where there is something new.
        if !moved && self.standing.lock().get(name).is_some_and(|known| known.mode == mode) {
            return;
        }
        let (name, shown) = (name.clone(), shown(campaign));
        self.standing.lock().insert(name, shown);
        self.hub.tell("campaign", None);
    }

    /// All of them, the newest first.
    pub(in super::super) fn all_campaigns(&self) -> Vec<Campaign> {
        let mut all: Vec<_> = self.standing.lock().values().cloned().collect();
        all.sort_by(|one, other| other.created.cmp(&one.created).then_with(|| one.name.cmp(&other.name)));
        all
    }

    /// How the campaign of this name stands.
    pub(in super::super) fn one_campaign(&self, name: &str) -> Option<Campaign> {
        self.standing.lock().get(name).cloned()
    }

    /// Among which devices those of a draft are, where it names a group.
    pub(in super::super) async fn among(&self, draft: &CampaignDraft) -> Result<Among, Refused> {
        if draft.group.is_empty() {
            return Ok(Among::All);
        }
        let group =
            GroupName::new(draft.group.as_str()).map_err(|error| Refused(format!("the group: {error}")))?;
        Ok(Among::Members(self.members(&group).await?))
    }

    /// What the rollback of a campaign would come to: by how it stands on the disk, and by the ledger.
    pub(super) async fn counted_back(&self, name: &str) -> Result<WayBack, Refused> {
        let reception =
            self.reception().ok_or_else(|| Refused("the controller is not ready yet".to_owned()))?;
        let (directory, wanted) = (self.office.directory.clone(), name.to_owned());
        let campaign = blocking(move || campaign::read(&directory, &wanted)).await?;
        let (mut found, mut rotated) = (WayBack::default(), Vec::new());
        for (thing, turn) in campaign.turns() {
            match turn {
                Turn::Waiting => found.untold += 1,
                Turn::Rotated { .. } => rotated.push(thing.clone()),
                Turn::Returned { .. } => {}
                _ => found.sent += 1,
            }
        }
        for page in rotated.chunks(RECORDS) {
            let records = reception.records_of(page.to_vec()).await;
            for record in records.ok_or_else(|| Refused("the controller was stopped".to_owned()))? {
                match self.superseded(&record).map(|(_, stage)| stage) {
                    Some(Stage::Soaking) => found.kept += 1,
                    Some(Stage::Inactive) => found.reactivated += 1,
                    Some(Stage::Revoked) | None => {}
                }
            }
        }
        found.past = rotated.len().saturating_sub(found.kept + found.reactivated);
        Ok(found)
    }

    /// Who is in a group or in one below it, asked of the account.
    pub(in super::super) async fn members(&self, group: &GroupName) -> Result<BTreeSet<ThingName>, Refused> {
        let group = group.clone();
        let ask = |office: Office| async move {
            let aws = office.account().await;
            selection::members(&aws, &group).await
        };
        self.office.read((&self.closed, LISTS_WITHIN), ask).await
    }

    /// What a draft comes to.
    pub(in super::super) fn forecast(
        &self,
        draft: &CampaignDraft,
        among: &Among,
    ) -> Result<Forecast, Refused> {
        let (selection, now) = (self.selection(draft, among)?, now());
        let counted = selection.and_then(|selection| selection.count_of(&self.candidates(), now));
        let (devices, left_out) = match counted {
            Some(counted) => counted,
            None => {
                let Selected { things, left_out } = self.selected(draft, among)?;
                (things.len(), left_out)
            }
        };
        let waves = self.checked(&plan(draft, draft.why.clone())?, (devices, &left_out))?;
        let told = left_out.told().map(|(devices, why)| Omission { devices, why: why.to_owned() });
        let slower = self.ceiling().below(draft.pace.rate);
        Ok(Forecast { devices, waves, slower, left_out: told.collect() })
    }

    /// How fast all campaigns together are, as far as the account has told.
    pub(in super::super) fn ceiling(&self) -> Ceiling {
        Ceiling::read(&self.office.directory)
    }

    /// Who can be in a campaign: worked out from all rows, so that of a large fleet it may be some minutes old.
    fn candidates(&self) -> Arc<Vec<Candidate>> {
        let watch = self.watch.clone();
        self.candidates.recent(FORECAST, &self.hub, move || Arc::new(selection::candidates(&watch)))
    }

    /// Has that worked out anew, beside whoever asks.
    pub(super) fn count_candidates(&self) {
        let watch = self.watch.clone();
        self.candidates.look(&self.hub, move || Arc::new(selection::candidates(&watch)));
    }

    /// Carries an order out, in the name of `by`.
    pub(in super::super) async fn order_campaign(
        &self,
        order: CampaignOrder,
        by: &str,
    ) -> Result<Done, Refused> {
        let said = |why: &str| format!("{why}, says {by}");
        match order {
            CampaignOrder::Start(draft) => self.start(&draft, &self.among(&draft).await?, by).await,
            CampaignOrder::Pause { name, why } => {
                self.leave(name, Order::Pause { why: said(&why) }, said(&why)).await
            }
            CampaignOrder::Resume { name, why } => self.leave(name, Order::Resume, said(&why)).await,
            CampaignOrder::Abort { name, why } => {
                self.leave(name, Order::Abort { why: said(&why) }, said(&why)).await
            }
            CampaignOrder::Rollback { name, why } => {
                self.leave(name, Order::Rollback { why: said(&why) }, said(&why)).await
            }
        }
    }

    /// Begins a campaign, once that is on record.
    pub(in super::super) async fn start(
        &self,
        draft: &CampaignDraft,
        among: &Among,
        by: &str,
    ) -> Result<Done, Refused> {
        let why = format!("{}, says {by}", draft.why);
        let (plan, selected) = (plan(draft, why.clone())?, self.selected(draft, among)?);
        let Selected { things, left_out } = selected;
        self.checked(&plan, (things.len(), &left_out))?;
        self.enter("campaign start", &plan.name, why).await?;
        let begun = campaign::Campaign::new(plan.clone(), things.clone());
        let (directory, devices) = (self.office.directory.clone(), things.len());
        blocking(move || Log::create(&directory, plan, things.into_iter().collect(), None)).await?;
        self.campaign(&begun, true);
        Ok(Done { words: format!("{devices} devices are told to rotate, wave by wave.") })
    }

    /// The sizes of the waves of a plan for so many devices.
    fn checked(&self, plan: &Plan, (devices, left_out): (usize, &LeftOut)) -> Result<Vec<usize>, Refused> {
        if devices == 0 {
            return Err(Refused(format!("no device was selected{left_out}")));
        }
        plan.check(devices).map_err(|error| Refused(error.to_string()))?;
        if self.standing.lock().contains_key(&plan.name) {
            return Err(Refused(LogError::Taken(plan.name.clone()).to_string()));
        }
        Ok(sizes(&plan.waves(devices)))
    }

    /// Puts on record who orders what of a campaign.
    async fn enter(&self, action: &'static str, name: &str, why: String) -> Result<(), Refused> {
        let reception =
            self.reception().ok_or_else(|| Refused("the controller is not ready yet".to_owned()))?;
        let entered = reception.enter(action, format!("campaign {name}"), why).await;
        entered.map_err(|error| Refused(format!("the journal cannot be written: {error}")))
    }

    /// What the devices of a campaign that is about to begin have, as far as is known.
    pub(in super::super) fn baseline(&self, campaign: &campaign::Campaign) -> Baseline {
        // One by one: whoever looks holds the controller up.
        let of = |thing| self.watch.look(|store, _| store.certificates_of(thing));
        Baseline::new(campaign.plan().created_at, campaign.turns().flat_map(|(thing, _)| of(thing)))
    }

    /// Leaves an order, and waits until the campaign stands as it says.
    async fn leave(&self, name: String, order: Order, why: String) -> Result<Done, Refused> {
        if !self.standing.lock().contains_key(&name) {
            return Err(Refused(LogError::Missing(name).to_string()));
        }
        let (directory, known, wanted) = (self.office.directory.clone(), name.clone(), order.clone());
        // What is refused is not put on record.
        let order =
            blocking(move || campaign::may_order(&directory, &known, &wanted).map(|_| wanted)).await?;
        self.enter(order.action(), &name, why).await?;
        let word = match order {
            Order::Pause { .. } => "paused",
            Order::Resume => "running",
            Order::Abort { .. } => "aborted",
            Order::Rollback { .. } => "rolled back",
        };
        let (directory, wanted) = (self.office.directory.clone(), name.clone());
        // On record already, above.
        let left = Left { order, by: None };
        blocking(move || campaign::order(&directory, &wanted, &left)).await?;
        let taken = async {
            while self.standing.lock().get(&name).is_some_and(|known| known.mode.word() != word) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        Ok(match tokio::time::timeout(TAKEN_WITHIN, taken).await {
            Ok(()) => Done { words: format!("The campaign {name} is {word}.") },
            Err(_) => Done { words: format!("The campaign {name} is {word} as soon as its order is taken.") },
        })
    }

    /// The devices of a draft.
    fn selected(&self, draft: &CampaignDraft, among: &Among) -> Result<Selected, Refused> {
        Ok(match (self.selection(draft, among)?, among) {
            (Some(selection), _) => selection.of(&self.watch, now()),
            (None, Among::List(things)) => Selected { things: things.clone(), ..Selected::default() },
            (None, _) => Selected::default(),
        })
    }

    /// What a device of a draft has to be; `None` where the draft lists them all by name.
    fn selection(&self, draft: &CampaignDraft, among: &Among) -> Result<Option<Selection>, Refused> {
        let members = match among {
            Among::All => None,
            Among::Members(members) => Some(members.clone()),
            Among::List(things) => {
                let unknown = |thing: &&ThingName| self.watch.look(|store, _| store.thing(thing).is_none());
                return match things.iter().find(unknown) {
                    Some(thing) => Err(Refused(format!("the inventory knows no thing {thing}"))),
                    None => Ok(None),
                };
            }
        };
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let rule = some(&draft.rule).map(|rule| rule.parse::<Rule>()).transpose().map_err(Refused)?;
        let among = rule.map(|rule| self.watch.found_by(rule, now(), &self.thresholds()));
        Ok(Some(Selection { thing: some(&draft.things), older_than: draft.older_than, among, members }))
    }
}

fn plan(draft: &CampaignDraft, why: String) -> Result<Plan, Refused> {
    let Pace { canary, growth, rate, at_once, patience, tries, threshold, .. } = draft.pace;
    let window = Some(draft.pace.window.as_str()).filter(|window| !window.is_empty());
    let window = window.map(str::parse).transpose().map_err(Refused)?;
    let (name, created_at) = (draft.name.clone(), now());
    Ok(Plan { name, why, created_at, canary, growth, rate, at_once, window, patience, tries, threshold })
}

/// The size of each wave, from where each ends.
fn sizes(ends: &[usize]) -> Vec<usize> {
    let begins = std::iter::once(0).chain(ends.iter().copied());
    ends.iter().zip(begins).map(|(end, begin)| end - begin).collect()
}

fn shown(campaign: &campaign::Campaign) -> Campaign {
    let plan = campaign.plan();
    Campaign {
        name: plan.name.clone(),
        why: plan.why.clone(),
        created: plan.created_at,
        mode: mode(campaign.mode()),
        pace: Pace {
            canary: plan.canary,
            growth: plan.growth,
            rate: plan.rate,
            at_once: plan.at_once,
            window: plan.window.map(|window| window.to_string()).unwrap_or_default(),
            patience: plan.patience,
            tries: plan.tries,
            threshold: plan.threshold,
        },
        waves: campaign.waves().into_iter().map(counts).collect(),
        wave: campaign.wave().0,
        failed: campaign.failed(FAILED),
    }
}

fn mode(mode: &Mode) -> CampaignMode {
    match mode {
        Mode::Running => CampaignMode::Running,
        Mode::Paused { why } => CampaignMode::Paused(why.clone()),
        Mode::Aborted { why } => CampaignMode::Aborted(why.clone()),
        Mode::Done => CampaignMode::Done,
        Mode::RolledBack { why } => CampaignMode::RolledBack(why.clone()),
    }
}

const fn counts(counts: Counts) -> CampaignCounts {
    let Counts { waiting, told, soaking, rotated, failed, left, returning, returned } = counts;
    CampaignCounts { waiting, told, soaking, rotated, failed, left, returning, returned }
}

/// Off the runtime's threads: it waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, Refused> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|error| Refused(error.to_string())),
        Err(error) => Err(Refused(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_as_large_as_what_is_between_two_ends() {
        assert_eq!(sizes(&[1, 5, 21]), [1, 4, 16]);
        assert_eq!(sizes(&[]), [0; 0]);
    }

    #[test]
    fn a_window_that_is_none_and_a_rule_that_is_none_are_refused_in_words() {
        let pace = Pace { window: "noon".into(), ..Pace::default() };
        let refused = plan(&CampaignDraft { pace, ..CampaignDraft::default() }, String::new()).unwrap_err();
        assert!(refused.to_string().contains("22:00-04:30"), "{refused}");
        let usual = plan(&CampaignDraft::default(), "rain".into()).unwrap();
        assert_eq!((usual.why.as_str(), usual.window, usual.canary), ("rain", None, 5));
    }
}
