//! Carries campaigns out: takes what `fleetkey campaign` has left in the fleet directory, keeps every step before a device
//! hears of it, sends the commands, and keeps which of them the broker has: the others are sent again after a restart.
//! Of one that is rolled back, sends devices back and has superseded certificates kept, likewise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_api::feed::Feed;
use fleetkey_aws::Aws;
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::DeviceCommand;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::campaign::{self, By, Campaign, Left, Line, Log, Mode, Step, Way};
use fleetkey_operator::controller::Reception;
use fleetkey_operator::files::FileError;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::super::now;
use super::board::Board;
use pacer::Pacer;
use trouble::{Trouble, Troubled};

mod pacer;
mod trouble;

/// How often campaigns are looked after.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many devices may be on their way back at once: each takes a few calls, and of those that change something each waits
/// its turn, after which whoever orders something else waits, too.
const BACK_AT_ONCE: usize = 16;
/// How long the broker must have been heard: what it kept for us comes first, and may say that a device has rotated.
const HEARD_FOR: Duration = Duration::from_secs(3);

/// What a campaign needs of the controller.
pub(super) struct Tools {
    /// The operator's directory.
    pub(super) directory: PathBuf,
    pub(super) board: Arc<Board>,
    pub(super) reception: Reception,
    pub(super) feed: Arc<Feed>,
    /// Asked how fast devices may be told.
    pub(super) aws: Arc<Aws>,
}

impl Tools {
    /// Puts on record who has begun it, where that is owed.
    async fn begun(&self, name: &str, mut log: Log) -> Result<Log, Trouble> {
        let Some(by) = log.owed().cloned() else { return Ok(log) };
        self.enter("campaign start", name, by).await?;
        Ok(blocking(move || log.entered(now()).map(|()| log)).await?)
    }

    /// Takes what was ordered, one order after the other: on record first, then kept, then carried out. One that changes
    /// nothing is none.
    async fn obey(
        &self,
        name: &str,
        mut log: Log,
        mut campaign: Campaign,
    ) -> Result<(Log, Campaign), Trouble> {
        loop {
            let (directory, wanted) = (self.directory.clone(), name.to_owned());
            let taken = blocking(move || campaign::take_order(&directory, &wanted)).await?;
            let Some(taken) = taken else { return Ok((log, campaign)) };
            let Left { order, by } = taken.left.clone();
            let changes = campaign.set_mode(order.mode());
            if let Some(by) = by.filter(|_| changes) {
                self.enter(order.action(), name, by).await?;
            }
            let kept = blocking(move || {
                if changes {
                    log.append(&[Line::Mode { at: now(), mode: order.mode() }])?;
                }
                taken.forget().map(|()| log)
            });
            log = kept.await?;
        }
    }

    /// Enters into the journal what somebody has left here.
    async fn enter(&self, action: &'static str, name: &str, By { who, why, id }: By) -> Result<(), Trouble> {
        let said = format!("{why}, says {who} of fleetkey campaign, order {id}");
        let entered = self.reception.enter(action, format!("campaign {name}"), said).await;
        entered.map_err(|error| Trouble::Passing(format!("an order cannot be put on record: {error}")))
    }
}

/// The task.
pub(super) struct Campaigns {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Campaigns {
    /// Begins; campaigns that an earlier process has not ended go on.
    pub(super) fn start(tools: Tools) -> Self {
        let stop = CancellationToken::new();
        let running = Running {
            pacer: Pacer::new(tools.aws.clone(), tools.directory.clone()),
            first: 0,
            tools,
            known: BTreeMap::new(),
            closed: BTreeSet::new(),
            ordered: BTreeSet::new(),
            troubled: Troubled::default(),
            heard: None,
            on_their_way: JoinSet::new(),
            acknowledged: Vec::new(),
            keeping: JoinSet::new(),
            kept: Vec::new(),
            going_back: JoinSet::new(),
            unchanged: Vec::new(),
        };
        let task = tokio::spawn(running.run(stop.clone()));
        Self { stop, task }
    }

    /// Ends it after the step that it is in.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let _ended = self.task.await;
    }
}

struct Running {
    tools: Tools,
    /// All of them share it.
    pacer: Pacer,
    /// Whose turn it is first: another's each time, so that nobody has the pace alone.
    first: usize,
    known: BTreeMap<String, (Log, Campaign)>,
    /// Those that are over.
    closed: BTreeSet<String>,
    /// Those of which something is ordered.
    ordered: BTreeSet<String>,
    /// Those that cannot be carried out.
    troubled: Troubled,
    /// Since when the broker is heard.
    heard: Option<Timestamp>,
    /// Commands that the broker has not answered yet.
    on_their_way: JoinSet<(Told, Result<(), String>)>,
    /// Commands that the broker has, and of which that is not kept yet.
    acknowledged: Vec<Told>,
    /// Superseded certificates that are being kept.
    keeping: JoinSet<(Told, Result<Way, String>)>,
    /// What it came to, and is not kept yet.
    kept: Vec<(Told, Way)>,
    /// Devices that are being sent back; `false` where there was nothing to send them back from.
    going_back: JoinSet<(Told, Result<bool, String>)>,
    /// Those of the latter, and that is not kept yet.
    unchanged: Vec<Told>,
}

/// Which device was told, in which campaign.
#[derive(Debug)]
struct Told {
    campaign: String,
    thing: ThingName,
}

impl Running {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            self.heard = self.tools.reception.hears().then(|| self.heard.unwrap_or_else(now));
            if let Err(error) = self.discover().await {
                tracing::error!(%error, "campaigns cannot be looked for");
            }
            self.collect();
            for name in self.by_turns() {
                // Taken out while the disk is waited for; one that cannot be kept is opened anew.
                let Some((log, campaign)) = self.known.remove(&name) else { continue };
                match self.look_after(&name, log, campaign).await {
                    Ok((_, campaign)) if campaign.is_over() => drop(self.closed.insert(name)),
                    Ok(open) => {
                        self.troubled.goes_on(&name);
                        self.known.insert(name, open);
                    }
                    Err(trouble) => self.troubled.stops(&name, now(), trouble),
                }
            }
        }
    }

    /// Those that are open, another one first each time.
    fn by_turns(&mut self) -> Vec<String> {
        let mut names: Vec<_> = self.known.keys().cloned().collect();
        if !names.is_empty() {
            self.pacer.keep(now());
            self.first = (self.first + 1) % names.len();
            names.rotate_left(self.first);
        }
        names
    }

    /// Opens those that are new.
    async fn discover(&mut self) -> Result<(), FileError> {
        let directory = self.tools.directory.clone();
        let found = blocking(move || {
            let ordered = campaign::ordered(&directory)?;
            campaign::names(&directory).map(|names| (names, ordered))
        });
        let (names, ordered) = found.await?;
        self.ordered = ordered;
        for name in names {
            // Of one that is over a rollback may be ordered.
            let rests = self.closed.contains(&name) && !self.ordered.contains(&name);
            if rests || self.known.contains_key(&name) || self.troubled.rests(&name, now()) {
                continue;
            }
            self.closed.remove(&name);
            let (directory, wanted) = (self.tools.directory.clone(), name.clone());
            match blocking(move || Log::open(&directory, &wanted)).await {
                Ok(open) => drop(self.known.insert(name, open)),
                Err(error) => self.troubled.stops(&name, now(), error.into()),
            }
        }
        Ok(())
    }

    /// What the broker has said of commands.
    fn collect(&mut self) {
        while let Some(Ok((told, answer))) = self.on_their_way.try_join_next() {
            match answer {
                // Of one that is over nothing more is kept.
                Ok(()) if !self.known.contains_key(&told.campaign) => {}
                Ok(()) => self.acknowledged.push(told),
                Err(error) => tracing::error!(thing = %told.thing, error, "a device was not told to rotate"),
            }
        }
        while let Some(Ok((told, outcome))) = self.going_back.try_join_next() {
            match outcome {
                Ok(true) => {}
                Ok(false) => self.unchanged.push(told),
                Err(why) => tracing::error!(thing = %told.thing, why, "a device was not told to return"),
            }
        }
        while let Some(Ok((told, outcome))) = self.keeping.try_join_next() {
            match outcome {
                Ok(way) => self.kept.push((told, way)),
                Err(why) => {
                    tracing::error!(thing = %told.thing, why, "what a device's rotation superseded is not kept yet");
                }
            }
        }
    }

    /// One campaign: what is ordered of it, then its next step.
    async fn look_after(
        &mut self,
        name: &str,
        log: Log,
        mut campaign: Campaign,
    ) -> Result<(Log, Campaign), Trouble> {
        let mut log = self.tools.begun(name, log).await?;
        if self.ordered.contains(name) {
            (log, campaign) = self.tools.obey(name, log, campaign).await?;
        }
        let mut lines = self.acknowledged(&mut campaign);
        lines.extend(self.kept(&mut campaign));
        let is_heard = self.heard.is_some_and(|since| now().since(since) >= HEARD_FOR);
        if is_heard && campaign.baseline().is_none() {
            let baseline = self.tools.board.baseline(&campaign);
            lines.push(Line::Baseline { known: baseline.known().collect() });
            campaign.set_baseline(baseline);
        }
        // What a way back changes waits while set-up or clean-up works on the account; a try is not lost by that.
        let waits = matches!(campaign.mode(), Mode::RolledBack { .. }) && self.tools.board.is_worked_on();
        let step = match is_heard && !waits {
            true => {
                let (room, asks) =
                    (self.room(campaign.mode()), !matches!(campaign.mode(), Mode::RolledBack { .. }));
                campaign.step_within(now(), room, |thing| self.tools.board.standing(thing, asks))
            }
            false => Step::default(),
        };
        self.pacer.pace.took(now(), step.devices());
        lines.extend(step.lines(now()));
        let moved = !lines.is_empty();
        if moved {
            log = blocking(move || log.append(&lines).map(|()| log)).await?;
        }
        self.tell(&campaign, &step).await;
        self.take_back(&campaign, &step).await;
        self.tools.board.campaign(&campaign, moved);
        Ok((log, campaign))
    }

    /// How many devices a campaign may do something for in its next step.
    fn room(&self, mode: &Mode) -> usize {
        let room = self.pacer.pace.room(now());
        match mode {
            Mode::RolledBack { .. } => room.min(room_back(self.keeping.len() + self.going_back.len())),
            _ => room,
        }
    }

    /// The devices of a campaign whose command the broker has.
    fn acknowledged(&mut self, campaign: &mut Campaign) -> Vec<Line> {
        let name = campaign.plan().name.clone();
        let of_it = self.acknowledged.extract_if(.., |told| told.campaign == name);
        let news = of_it.filter_map(|told| {
            let turn = campaign.acknowledge(&told.thing)?;
            Some(Line::Turn { thing: told.thing, turn })
        });
        news.collect()
    }

    /// The devices of a campaign for whom the rollback has done what it can.
    fn kept(&mut self, campaign: &mut Campaign) -> Vec<Line> {
        let name = campaign.plan().name.clone();
        let of_it = self.kept.extract_if(.., |(told, _)| told.campaign == name);
        let news = of_it.filter_map(|(told, how)| {
            let turn = campaign.returned(&told.thing, now(), how)?;
            Some(Line::Turn { thing: told.thing, turn })
        });
        let mut lines: Vec<_> = news.collect();
        let of_it = self.unchanged.extract_if(.., |told| told.campaign == name);
        lines.extend(of_it.filter_map(|told| {
            let turn = campaign.has_nothing_new(&told.thing, now())?;
            Some(Line::Turn { thing: told.thing, turn })
        }));
        lines
    }

    /// Of a campaign that is rolled back: those who can are told to return, of the others what they superseded is kept.
    async fn take_back(&mut self, campaign: &Campaign, step: &Step) {
        let plan = campaign.plan();
        let (Mode::RolledBack { why }, Some(before)) = (campaign.mode(), campaign.baseline()) else { return };
        let why = format!("campaign {} is rolled back: {why}", plan.name);
        for thing in &step.send_back {
            let told = Told { campaign: plan.name.clone(), thing: thing.clone() };
            let (board, why, before) = (self.tools.board.clone(), why.clone(), before.clone());
            self.going_back.spawn(async move {
                let sent = board.send_back(&told.thing, &before, &why).await;
                (told, sent.map_err(|refused| refused.to_string()))
            });
        }
        for thing in &step.keep {
            let told = Told { campaign: plan.name.clone(), thing: thing.clone() };
            let (board, why) = (self.tools.board.clone(), why.clone());
            self.keeping.spawn(async move {
                let way = board.keep_superseded(&told.thing, &why).await;
                (told, way.map_err(|refused| refused.to_string()))
            });
        }
    }

    /// Whoever is not told although it is kept that they were is told again: by the next process at once, by this one
    /// when their time is over.
    async fn tell(&mut self, campaign: &Campaign, step: &Step) {
        let plan = campaign.plan();
        for thing in &step.tell {
            let command = DeviceCommand::Rotate { id: plan.name.clone() };
            let why = format!("campaign {}: {}", plan.name, plan.why);
            match self.tools.reception.command(thing.clone(), command, why).await {
                Ok(on_its_way) => {
                    self.tools.board.ordered(thing, &format!("campaign {}", plan.name));
                    let told = Told { campaign: plan.name.clone(), thing: thing.clone() };
                    self.on_their_way.spawn(async move { (told, on_its_way.acknowledged().await) });
                }
                Err(error) => tracing::error!(%thing, error, "a device cannot be told to rotate"),
            }
        }
        if let Some(mode) = &step.mode {
            let counts = campaign.counts();
            tracing::info!(campaign = plan.name, ?mode, ?counts, "a campaign stands otherwise");
            let told = json!({ "campaign": plan.name, "mode": mode, "counts": counts, "at": now() });
            self.tools.feed.push("campaign", told);
        }
    }
}

/// How many more devices may go back while so many are at it.
const fn room_back(at_it: usize) -> usize {
    BACK_AT_ONCE.saturating_sub(at_it)
}

/// Off the runtime's threads: it waits for the disk.
async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        // The work does not panic, and a runtime that ends takes everything along.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_so_many_devices_are_on_their_way_back() {
        assert_eq!(
            [0, 1, BACK_AT_ONCE, BACK_AT_ONCE + 1].map(room_back),
            [BACK_AT_ONCE, BACK_AT_ONCE - 1, 0, 0]
        );
    }
}
