//! The task that runs the engine: inputs one after the other, and what falls due between them.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::{DeviceCommand, WayBack};
use fleetkey_mqtt::Text;
use fleetkey_mqtt::session::Ack;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::OnItsWay;
use crate::control_plane::ControlPlane;
use crate::controller::metrics::Totals;
use crate::controller::{Engine, Event, Publication, Record};
use crate::files::FileError;

/// A clock may jump: what is far off is looked at again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Something for the engine.
#[derive(Debug)]
pub(super) enum Input {
    /// A message of the broker's.
    Message { topic: Text, payload: Bytes, ack: Option<Ack> },
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
    /// Somebody wants to know.
    Records(oneshot::Sender<Vec<Record>>),
    /// Somebody wants to know what it comes to.
    Totals(oneshot::Sender<Totals>),
}

/// What follows from it.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) publications: Vec<Publication>,
    pub(super) ack: Option<Ack>,
    /// Whoever waits for the broker to have the publication, of which there is one then.
    pub(super) awaited: Option<Awaited>,
}

/// Where it is told what the broker says of a publication.
pub(super) type Awaited = oneshot::Sender<Result<(), String>>;

pub(super) async fn run<C: ControlPlane>(
    mut engine: Engine<C>,
    mut inputs: mpsc::Receiver<Input>,
    outputs: mpsc::Sender<Output>,
    stop: CancellationToken,
) {
    loop {
        let output = tokio::select! {
            () = stop.cancelled() => return,
            input = inputs.recv() => match input {
                Some(input) => take(&mut engine, input).await,
                None => return,
            },
            () = due(&engine) => published(engine.settle().await),
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

async fn take<C: ControlPlane>(engine: &mut Engine<C>, input: Input) -> Output {
    match input {
        Input::Message { topic, payload, ack } => {
            Output { ack, ..published(engine.message(&topic, &payload).await) }
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
        Input::Records(answer) => {
            let _gone = answer.send(engine.ledger().records().cloned().collect());
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

async fn due<C: ControlPlane>(engine: &Engine<C>) {
    match engine.idle_for() {
        Some(span) => tokio::time::sleep(span.min(LONGEST_SLEEP)).await,
        None => pending().await,
    }
}
