//! Carries campaigns out: takes what `fleetkey campaign` has left in the fleet directory, keeps every step before a device
//! hears of it, sends the commands, and keeps which of them the broker has: the others are sent again after a restart.
//! Of one that is rolled back, sends devices back and has superseded certificates kept, likewise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_api::feed::Feed;
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::DeviceCommand;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::campaign::{self, By, Campaign, Left, Line, Log, LogError, Mode, Step, Way};
use fleetkey_operator::controller::Reception;
use fleetkey_operator::files::FileError;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::super::now;
use super::board::Board;

/// How often everybody is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the broker must have been heard: what it kept for us comes first, and may say that a device has rotated.
const HEARD_FOR: Duration = Duration::from_secs(3);

/// What a campaign needs of the controller.
pub(super) struct Tools {
    /// The operator's directory.
    pub(super) directory: PathBuf,
    pub(super) board: Arc<Board>,
    pub(super) reception: Reception,
    pub(super) feed: Arc<Feed>,
}

impl Tools {
    /// Puts on record who has begun it, where that is owed.
    async fn begun(&self, name: &str, mut log: Log) -> Option<Log> {
        let Some(by) = log.owed().cloned() else { return Some(log) };
        self.enter("campaign start", name, by).await?;
        let written = blocking(move || log.entered(now()).map(|()| log)).await;
        or_logged(name, written.map_err(LogError::from))
    }

    /// Takes what was ordered: on record first, then kept, then carried out. One that changes nothing is none.
    async fn obey(&self, name: &str, log: Log, campaign: Campaign) -> Option<(Log, Campaign)> {
        let (directory, wanted) = (self.directory.clone(), name.to_owned());
        let taken = blocking(move || campaign::take_order(&directory, &wanted)).await;
        let Some(Left { order, by }) = or_logged(name, taken)? else {
            return Some((log, campaign));
        };
        let mut wanted = campaign.clone();
        let changes = wanted.set_mode(order.mode());
        if let Some(by) = by.filter(|_| changes) {
            self.enter(order.action(), name, by).await?;
        }
        let (directory, known, mut log) = (self.directory.clone(), name.to_owned(), log);
        let kept = blocking(move || {
            if changes {
                log.append(&[Line::Mode { at: now(), mode: order.mode() }])?;
            }
            campaign::forget(&directory, &known)?;
            Ok((log, wanted))
        });
        let kept = kept.await;
        or_logged(name, kept)
    }

    /// Enters into the journal what somebody has left here.
    async fn enter(&self, action: &'static str, name: &str, By { who, why, id }: By) -> Option<()> {
        let said = format!("{why}, says {who} of fleetkey campaign, order {id}");
        let entered = self.reception.enter(action, format!("campaign {name}"), said).await;
        let logged = |error: &String| {
            tracing::error!(campaign = name, error, "an order cannot be put on record: nothing is done");
        };
        entered.inspect_err(logged).ok()
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
            tools,
            known: BTreeMap::new(),
            closed: BTreeSet::new(),
            unreadable: BTreeSet::new(),
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
    known: BTreeMap<String, (Log, Campaign)>,
    /// Those that are over.
    closed: BTreeSet<String>,
    /// Those that cannot be read, which is said once.
    unreadable: BTreeSet<String>,
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
            for name in self.known.keys().cloned().collect::<Vec<_>>() {
                // Taken out while the disk is waited for; one that cannot be kept is opened anew.
                if let Some((log, campaign)) = self.known.remove(&name)
                    && let Some(open) = self.look_after(&name, log, campaign).await
                {
                    match open.1.is_over() {
                        true => drop(self.closed.insert(name)),
                        false => drop(self.known.insert(name, open)),
                    }
                }
            }
        }
    }

    /// Opens those that are new.
    async fn discover(&mut self) -> Result<(), FileError> {
        let directory = self.tools.directory.clone();
        let names = blocking(move || campaign::names(&directory)).await?;
        for name in names {
            // Of one that is over a rollback may be ordered.
            let rests = self.closed.contains(&name) && !campaign::has_order(&self.tools.directory, &name);
            if rests || self.known.contains_key(&name) || self.unreadable.contains(&name) {
                continue;
            }
            self.closed.remove(&name);
            let (directory, wanted) = (self.tools.directory.clone(), name.clone());
            match blocking(move || Log::open(&directory, &wanted)).await {
                Ok(open) => drop(self.known.insert(name, open)),
                Err(error) => {
                    tracing::error!(campaign = name, %error, "a campaign cannot be carried out");
                    self.unreadable.insert(name);
                }
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
    async fn look_after(&mut self, name: &str, log: Log, campaign: Campaign) -> Option<(Log, Campaign)> {
        let log = self.tools.begun(name, log).await?;
        let (mut log, mut campaign) = self.tools.obey(name, log, campaign).await?;
        let mut lines = self.acknowledged(&mut campaign);
        lines.extend(self.kept(&mut campaign));
        let is_heard = self.heard.is_some_and(|since| now().since(since) >= HEARD_FOR);
        // What a way back changes waits while set-up or clean-up works on the account; a try is not lost by that.
        let waits = matches!(campaign.mode(), Mode::RolledBack { .. }) && self.tools.board.is_worked_on();
        let step = match is_heard && !waits {
            true => campaign.step(now(), |thing| self.tools.board.standing(thing)),
            false => Step::default(),
        };
        lines.extend(lines_of(&step));
        let moved = !lines.is_empty();
        if moved {
            let written = blocking(move || log.append(&lines).map(|()| log)).await;
            log = or_logged(name, written.map_err(LogError::from))?;
        }
        self.tell(&campaign, &step).await;
        self.take_back(&campaign, &step).await;
        self.tools.board.campaign(&campaign, moved);
        Some((log, campaign))
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
        let Mode::RolledBack { why } = campaign.mode() else { return };
        let why = format!("campaign {} is rolled back: {why}", plan.name);
        let made = plan.created_at;
        for thing in &step.send_back {
            let told = Told { campaign: plan.name.clone(), thing: thing.clone() };
            let (board, why) = (self.tools.board.clone(), why.clone());
            self.going_back.spawn(async move {
                let sent = board.send_back(&told.thing, made, &why).await;
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

fn or_logged<T>(name: &str, outcome: Result<T, LogError>) -> Option<T> {
    let logged =
        |error| tracing::error!(campaign = name, %error, "a campaign cannot be kept: nobody is told");
    outcome.map_err(logged).ok()
}

/// How it stands first: of lines that a power cut has torn, the next process finds the devices' places out by itself, but
/// not that somebody was to look.
fn lines_of(step: &Step) -> Vec<Line> {
    let turns = step
        .turns
        .iter()
        .map(|(thing, turn): &(ThingName, _)| Line::Turn { thing: thing.clone(), turn: *turn });
    let mode = step.mode.iter().map(|mode| Line::Mode { at: now(), mode: mode.clone() });
    mode.chain(turns).collect()
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
