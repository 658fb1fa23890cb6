//! The one loop of an agent: poll an action, execute it to its end, hand its outcome to the machine.
//!
//! Events from outside (the link, commands, answers, orders) are handed over as they come, also while an action
//! runs; the machine gives no second action meanwhile. Not here: what to do when (`fleetkey-lifecycle`) and how
//! an action is done ([`execute`]).

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use fleetkey_lifecycle::event::Offline;
use fleetkey_lifecycle::record::Reason;
use fleetkey_lifecycle::status::StateName;
use fleetkey_lifecycle::{Action, Event, Machine, Notice, Status};
use fleetkey_model::retirement::{ControllerAnswer, DeviceCommand, RetireStatus};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::clock::{Clock, FlooredClock};
use crate::event::AgentEvent;
use crate::live::LiveEvent;
use crate::watch::{Sighting, may_rotate};

pub(crate) use claim::ClaimDesk;
pub(crate) use execute::Executor;
use receipts::Receipt;
pub(crate) use receipts::Receipts;

mod claim;
mod execute;
mod receipts;

/// The longest sleep: a clock that was set, or a machine that slept, is noticed within this.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Why a device whose live session is another program's is never done with a rotation.
pub(crate) const NOT_OUR_SESSION: &str = "the previous identity waits to be retired: the controller takes the word of \
    the thing's own session alone, which `[session] live = false` leaves to another program; no rotation follows that \
    only age or a command asks for";

/// What the agent's owner, or the status socket, orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Rotate,
    Compromised,
    /// The watched log tells of trouble.
    Sighted(Sighting),
    Hold(bool),
    Offline(Offline),
    Stop,
}

/// An order, and who waits to hear that it is noted.
#[derive(Debug)]
pub(crate) struct Ordered {
    pub(crate) order: Order,
    /// Told once a restart would not forget the order, or why it makes no sense; dropped without a word if neither
    /// comes.
    pub(crate) noted: Option<oneshot::Sender<Result<(), String>>>,
}

impl From<Order> for Ordered {
    fn from(order: Order) -> Self {
        Self { order, noted: None }
    }
}

/// The action that runs.
struct Running {
    action: Action,
    outcome: Pin<Box<dyn Future<Output = Event> + Send>>,
}

/// The loop and what it owns.
pub(crate) struct Driver {
    pub(crate) machine: Machine,
    pub(crate) executor: Executor,
    pub(crate) clock: FlooredClock,
    pub(crate) live: mpsc::Receiver<LiveEvent>,
    pub(crate) orders: mpsc::Receiver<Ordered>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) events: broadcast::Sender<AgentEvent>,
    pub(crate) receipts: Receipts,
    /// Why this device can do no more than serve the identity that it has, if that is so.
    pub(crate) frozen: Option<String>,
}

/// What woke the loop.
enum Woken {
    Outcome(Event),
    Live(LiveEvent),
    Order(Ordered),
    Time,
}

impl Driver {
    /// Runs until it is ordered to stop, or nobody is left who could order anything. A write that has begun is
    /// brought to its end by the disk thread; any other action is taken up again by the next start.
    pub(crate) async fn run(mut self) {
        let mut running: Option<Running> = None;
        self.clock.raise(self.machine.record().time_floor);
        while self.turn(&mut running).await {}
    }

    /// One thing that happened, and what follows from it; `false` when that is the end.
    async fn turn(&mut self, running: &mut Option<Running>) -> bool {
        if running.is_none() {
            *running = self.machine.poll().map(|action| self.begin(action));
        }
        self.give_receipts();
        self.tell();
        match self.wait(running).await {
            Woken::Outcome(event) => {
                self.hear_out(running);
                *running = None;
                self.handle(event);
            }
            Woken::Live(event) => self.on_live(event, running),
            Woken::Order(Ordered { order: Order::Stop, .. }) => return false,
            Woken::Order(Ordered { order: Order::Sighted(sighting), .. }) => self.on_sighting(sighting),
            Woken::Order(Ordered { order, noted }) => self.obey(order, noted),
            Woken::Time => self.handle(Event::Tick),
        }
        true
    }

    fn obey(&mut self, order: Order, noted: Option<oneshot::Sender<Result<(), String>>>) {
        if let Order::Offline(step) = order
            && let Err(why) = self.machine.weigh(step)
        {
            // One who no longer waits is simply not told.
            return drop(noted.map(|noted| noted.send(Err(why))));
        }
        self.handle(event_of(order));
        noted.map(Receipt::Socket).into_iter().for_each(|receipt| self.receipts.owe(receipt));
    }

    /// What the live session told before an action ended is heard before the action's outcome: a proof that failed
    /// by takeover puts the return of the old identity into the queue and then ends, and which of the two ways
    /// brings its news first is chance. Only what waits by now, so that a flood of messages holds up nothing.
    fn hear_out(&mut self, running: &mut Option<Running>) {
        for _ in 0..self.live.len() {
            if let Ok(event) = self.live.try_recv() {
                self.on_live(event, running);
            }
        }
    }

    /// Tells those who asked for something, once a crash would not forget it.
    fn give_receipts(&mut self) {
        if !self.machine.wishes_are_durable() {
            return;
        }
        for receipt in self.receipts.due() {
            match receipt {
                Receipt::Broker(ack) if !self.executor.live.acknowledge(ack) => self.receipts.owe(receipt),
                Receipt::Broker(_) => {}
                // One who no longer waits is simply not told.
                Receipt::Socket(noted) => drop(noted.send(Ok(()))),
            }
        }
    }

    fn begin(&self, action: Action) -> Running {
        tracing::debug!(action = name(&action), "begins");
        let outcome = Box::pin(self.executor.clone().execute(action.clone(), self.machine.record().current));
        Running { action, outcome }
    }

    fn handle(&mut self, event: Event) {
        let persisted = event == Event::Persisted;
        self.machine.handle(self.clock.now(), event);
        if persisted {
            self.clock.raise(self.machine.record().time_floor);
        }
    }

    async fn wait(&mut self, running: &mut Option<Running>) -> Woken {
        let sleep = self.until_deadline();
        tokio::select! {
            outcome = outcome_of(running) => Woken::Outcome(outcome),
            Some(event) = self.live.recv() => Woken::Live(event),
            order = self.orders.recv() => Woken::Order(order.unwrap_or_else(|| Order::Stop.into())),
            () = tokio::time::sleep(sleep) => Woken::Time,
        }
    }

    fn until_deadline(&self) -> Duration {
        let deadline = self.machine.next_deadline();
        deadline
            .map_or(LONGEST_SLEEP, |at| at.since(self.machine.now().max(self.clock.now())).min(LONGEST_SLEEP))
    }

    fn on_live(&mut self, event: LiveEvent, running: &mut Option<Running>) {
        match event {
            LiveEvent::Up { slot } => {
                self.emit(AgentEvent::LinkUp { slot });
                self.handle(Event::LinkUp { slot });
            }
            LiveEvent::Down { why } => {
                self.emit(AgentEvent::LinkDown { why });
                self.handle(Event::LinkDown);
            }
            LiveEvent::Refused { slot, why } => {
                self.emit(AgentEvent::LinkRefused { slot, why: why.clone() });
                self.handle(Event::LinkRefused { slot, why });
            }
            LiveEvent::Displaced => {
                self.emit(AgentEvent::Displaced);
                self.handle(Event::Displaced);
            }
            LiveEvent::Command { command, ack } => {
                self.handle(Event::Command(command));
                ack.map(Receipt::Broker).into_iter().for_each(|receipt| self.receipts.owe(receipt));
            }
            LiveEvent::Answer(answer) => self.on_answer(answer, running),
        }
    }

    /// The answer to a request that runs is its outcome; any other comes by itself. Where the session is another
    /// program's, "retired" says nothing unless it says on whose word.
    fn on_answer(&mut self, answer: ControllerAnswer, running: &mut Option<Running>) {
        let is_of_nobody = answer.status == RetireStatus::Retired && answer.witness.is_none();
        if is_of_nobody && self.executor.is_without_session() {
            tracing::warn!(id = answer.id, "passed over an answer that does not say which certificate asked");
            return;
        }
        if let Some(Running { action: Action::RequestRetire { id }, .. }) = running {
            if *id != answer.id {
                tracing::debug!(id = answer.id, "passed over an answer to another request");
                return;
            }
            *running = None;
        }
        if answer.status == RetireStatus::Pending {
            self.emit(AgentEvent::RetirePending { id: answer.id.clone() });
        }
        self.handle(Event::RetireAnswered(answer));
    }

    /// Trouble in the watched log: an alarm in any case, and where it is configured and time a rotation.
    fn on_sighting(&mut self, sighting: Sighting) {
        let settings = self.executor.config.watch.as_ref();
        let verdict = settings.map_or(Err("not configured to rotate"), |settings| {
            may_rotate(settings, &sighting, self.machine.record(), self.clock.now())
        });
        let Sighting { trouble, words, lines } = sighting;
        let (words, held_back) = (words.to_owned(), verdict.err().map(str::to_owned));
        self.emit(AgentEvent::ClientTrouble { trouble, words, lines, held_back });
        if verdict.is_ok() {
            self.handle(Event::Compromised);
        }
    }

    /// Tells what has happened since the last time.
    fn tell(&mut self) {
        let status = self.status();
        // What is told now may have ended the rotation that it is about: then it is the one told of last.
        let rotation = status.rotation.clone().or_else(|| self.status.borrow().rotation.clone());
        while let Some(notice) = self.machine.poll_notice() {
            if let Notice::Committed { id, reason: Reason::Provision, certificate } = &notice {
                self.emit(AgentEvent::Provisioned { id: id.clone(), certificate: *certificate });
            }
            self.emit(AgentEvent::from(notice).within(rotation.as_deref()));
        }
        self.status.send_if_modified(|shown| {
            let changed = *shown != status;
            *shown = status;
            changed
        });
    }

    /// What the machine tells, and what it cannot know of: why nothing moves although it would.
    fn status(&self) -> Status {
        let mut status = self.machine.status();
        if let Some(why) = &self.frozen {
            status.blocked = Some(why.clone());
        } else if status.state == StateName::Retiring && self.executor.is_without_session() {
            status.blocked = Some(NOT_OUR_SESSION.to_owned());
        }
        status
    }

    pub(crate) fn emit(&self, event: AgentEvent) {
        event.log();
        if let Some(entry) = event.audit_entry(self.machine.now()) {
            self.executor.disk.note(entry);
        }
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }
}

fn event_of(order: Order) -> Event {
    match order {
        Order::Rotate => Event::Command(DeviceCommand::Rotate { id: String::new() }),
        Order::Compromised => Event::Compromised,
        Order::Hold(held) => Event::Hold(held),
        Order::Offline(step) => Event::Offline(step),
        Order::Sighted(_) | Order::Stop => Event::Tick,
    }
}

async fn outcome_of(running: &mut Option<Running>) -> Event {
    match running {
        Some(running) => running.outcome.as_mut().await,
        None => std::future::pending().await,
    }
}

/// An action's name for the log, without its content.
fn name(action: &Action) -> &'static str {
    match action {
        Action::Persist(_) => "persist",
        Action::Preflight => "preflight",
        Action::MakeKey { .. } => "make key",
        Action::RequestCertificate { .. } => "request certificate",
        Action::StoreCertificate { .. } => "store certificate",
        Action::RegisterThing { .. } => "register thing",
        Action::Verify { .. } => "verify",
        Action::Export { .. } => "export",
        Action::GoLive { .. } => "go live",
        Action::RequestRetire { .. } => "request retire",
        Action::TellStaged { .. } => "tell staged",
        Action::DestroySlot { .. } => "destroy slot",
    }
}

#[cfg(test)]
mod tests;
