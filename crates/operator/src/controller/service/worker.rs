//! The task that runs the engine: inputs one after the other, and what falls due between them.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::{DeviceCommand, WayBack};
use fleetkey_mqtt::Text;
use fleetkey_mqtt::session::Ack;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::OnItsWay;
use super::company::Standing;
use crate::control_plane::ControlPlane;
use crate::controller::metrics::Totals;
use crate::controller::{Engine, Event, Publication, Record};
use crate::files::FileError;

/// A clock may jump: what is far off is looked at again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How many inputs are taken before a step that is due.
const MOST_INPUTS: u32 = 100;

/// Something for the engine.
#[derive(Debug)]
pub(super) enum Input {
    /// A message of the broker's, by the connection at a place.
    Message { topic: Text, payload: Bytes, ack: Option<Ack>, place: usize },
    /// An event from elsewhere.
    Event(Event),
    /// A person releases a thing.
    Release { thing: ThingName, why: String, answer: oneshot::Sender<Result<(), String>> },
    /// A person, or a campaign of theirs, has a command for a device.
    Command {
        thing: ThingName,
        command: DeviceCommand,
        why: String,
        answer: oneshot::Sender<Result<OnItsWay, String>>,
    },
    /// A person has a device go back.
    SendBack {
        thing: ThingName,
        way_back: WayBack,
        why: String,
        answer: oneshot::Sender<Result<OnItsWay, String>>,
    },
    /// A person holds a thing's retirement.
    Hold { thing: ThingName, why: String, answer: oneshot::Sender<Result<Option<Record>, String>> },
    /// A person has ordered something that is no thing's.
    Enter { action: &'static str, what: String, why: String, answer: oneshot::Sender<Result<(), String>> },
    /// Somebody wants to know, of these things or of all.
    Records { of: Option<Vec<ThingName>>, answer: oneshot::Sender<Vec<Record>> },
    /// Somebody wants to know what it comes to.
    Totals(oneshot::Sender<Totals>),
}

/// What follows from it.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) publications: Vec<Publication>,
    pub(super) ack: Option<Ack>,
    /// The place of the connection that is to acknowledge it.
    pub(super) place: Option<usize>,
    /// Whoever waits for the broker to have the publication, of which there is one then.
    pub(super) awaited: Option<Awaited>,
}

/// Where it is told what the broker says of a publication.
pub(super) type Awaited = oneshot::Sender<Result<(), String>>;

/// The ways to the connections.
#[derive(Debug)]
pub(super) struct Ports {
    outputs: Vec<mpsc::Sender<Output>>,
    standing: watch::Receiver<Standing>,
    /// Who is next to publish what no message brought about.
    turn: usize,
}

impl Ports {
    /// To these, the first one first.
    pub(super) const fn new(outputs: Vec<mpsc::Sender<Output>>, standing: watch::Receiver<Standing>) -> Self {
        Self { outputs, standing, turn: 0 }
    }

    /// Hands on what is to be published, to a connection that hears, and then what is to be acknowledged, to the one by
    /// which it came. An error means to stop.
    async fn send(&mut self, output: Output) -> Result<(), ()> {
        let publisher = self.publisher(output.place);
        if output.place.is_none_or(|place| place == publisher) {
            return self.put(publisher, output).await;
        }
        let Output { publications, ack, place, awaited } = output;
        if !publications.is_empty() {
            self.put(publisher, Output { publications, awaited, ..Output::default() }).await?;
        }
        self.put(place.unwrap_or(publisher), Output { ack, ..Output::default() }).await
    }

    /// Where the message came from, if it can be answered there; else those that hear take turns. Where nobody hears,
    /// the first connection keeps it.
    fn publisher(&mut self, from: Option<usize>) -> usize {
        let standing = self.standing.borrow();
        if let Some(place) = from.filter(|place| standing.hears(*place)) {
            return place;
        }
        let place = standing.hearing_from(self.turn).unwrap_or_default();
        self.turn = place + 1;
        place
    }

    async fn put(&self, place: usize, output: Output) -> Result<(), ()> {
        match self.outputs.get(place) {
            Some(sender) => sender.send(output).await.map_err(drop),
            None => Err(()),
        }
    }
}

pub(super) async fn run<C: ControlPlane>(
    mut engine: Engine<C>,
    mut inputs: mpsc::Receiver<Input>,
    mut outputs: Ports,
    stop: CancellationToken,
) {
    let mut turns = Turns { idle: false, inputs: 0 };
    loop {
        let output = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = due(&engine, &turns), if turns.are_overdue() => turns.step(&mut engine).await,
            input = inputs.recv() => match input {
                Some(input) => turns.take(&mut engine, input).await,
                None => return,
            },
            () = due(&engine, &turns) => turns.step(&mut engine).await,
        };
        let empty = output.publications.is_empty() && output.ack.is_none();
        if empty {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            sent = outputs.send(output) => if sent.is_err() { return },
        }
    }
}

/// Who is next: what was heard and ordered comes before what is due in the account, but not for ever.
struct Turns {
    /// The last step found nothing to do.
    idle: bool,
    /// How many inputs were taken since a step.
    inputs: u32,
}

impl Turns {
    const fn are_overdue(&self) -> bool {
        self.inputs >= MOST_INPUTS
    }

    async fn take<C: ControlPlane>(&mut self, engine: &mut Engine<C>, input: Input) -> Output {
        (self.idle, self.inputs) = (false, self.inputs.saturating_add(1));
        take(engine, input).await
    }

    async fn step<C: ControlPlane>(&mut self, engine: &mut Engine<C>) -> Output {
        let step = engine.step().await;
        (self.idle, self.inputs) = (step.is_none(), 0);
        published(step.flatten().into_iter().collect())
    }
}

async fn take<C: ControlPlane>(engine: &mut Engine<C>, input: Input) -> Output {
    match input {
        Input::Message { topic, payload, ack, place } => {
            Output { ack, place: Some(place), ..published(engine.message(&topic, &payload).await) }
        }
        Input::Event(event) => published(engine.handle(event).await),
        Input::Release { thing, why, answer } => {
            let released = engine.release(thing, &why).await.map_err(|error| error.to_string());
            let (publications, told) = match released {
                Ok(publications) => (publications, Ok(())),
                Err(error) => (Vec::new(), Err(error)),
            };
            let _gone = answer.send(told);
            published(publications)
        }
        Input::Command { thing, command, why, answer } => {
            commanded(engine.command(thing, &command, &why).await, answer)
        }
        Input::SendBack { thing, way_back, why, answer } => {
            commanded(engine.send_back(thing, &way_back, &why).await, answer)
        }
        Input::Hold { thing, why, answer } => {
            let (publications, held) = engine.hold(thing, &why).await;
            let _gone = answer.send(held);
            published(publications)
        }
        Input::Enter { action, what, why, answer } => {
            let entered = engine.enter(action, what, &why).await;
            let _gone = answer.send(entered.map_err(|error| error.to_string()));
            Output::default()
        }
        Input::Records { of, answer } => {
            let ledger = engine.ledger();
            let records = match of {
                Some(things) => things.iter().filter_map(|thing| ledger.record(thing)).cloned().collect(),
                None => ledger.records().cloned().collect(),
            };
            let _gone = answer.send(records);
            Output::default()
        }
        Input::Totals(answer) => {
            let _gone = answer.send(Totals::of(engine.ledger().records()));
            Output::default()
        }
    }
}

fn published(publications: Vec<Publication>) -> Output {
    Output { publications, ..Output::default() }
}

/// Whoever has the command sent is told that it is on its way, and later what the broker says.
fn commanded(
    entered: Result<Vec<Publication>, FileError>,
    answer: oneshot::Sender<Result<OnItsWay, String>>,
) -> Output {
    match entered {
        Ok(publications) => {
            let (awaited, on_its_way) = oneshot::channel();
            let _gone = answer.send(Ok(OnItsWay(on_its_way)));
            Output { awaited: Some(awaited), ..published(publications) }
        }
        Err(error) => {
            let _gone = answer.send(Err(error.to_string()));
            Output::default()
        }
    }
}

async fn due<C: ControlPlane>(engine: &Engine<C>, turns: &Turns) {
    if !turns.idle {
        return;
    }
    match engine.idle_for() {
        Some(span) => tokio::time::sleep(span.min(LONGEST_SLEEP)).await,
        None => pending().await,
    }
}
