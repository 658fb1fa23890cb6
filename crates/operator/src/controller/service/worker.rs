//! The task that runs the engine: inputs one after the other, and what falls due between them.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::DeviceCommand;
use fleetkey_mqtt::Text;
use fleetkey_mqtt::session::Ack;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

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
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// Somebody wants to know.
    Records(oneshot::Sender<Vec<Record>>),
    /// Somebody wants to know what it comes to.
    Totals(oneshot::Sender<Totals>),
}

/// What follows from it.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) publications: Vec<Publication>,
    pub(super) ack: Option<Ack>,
}

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
            () = due(&engine) => Output { publications: engine.settle().await, ack: None },
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
            Output { publications: engine.message(&topic, &payload).await, ack }
        }
        Input::Event(event) => Output { publications: engine.handle(event).await, ack: None },
        Input::Release { thing, why, answer } => {
            let released = engine.release(thing, &why).await;
            told(released, answer)
        }
        Input::Command { thing, command, why, answer } => {
            let commanded = engine.command(thing, &command, &why).await;
            told(commanded, answer)
        }
        Input::Records(answer) => {
            let _gone = answer.send(engine.ledger().records().cloned().collect());
            Output { publications: Vec::new(), ack: None }
        }
        Input::Totals(answer) => {
            let _gone = answer.send(Totals::of(engine.ledger().records()));
            Output { publications: Vec::new(), ack: None }
        }
    }
}

fn told(done: Result<Vec<Publication>, FileError>, answer: oneshot::Sender<Result<(), String>>) -> Output {
    let (publications, told) = match done {
        Ok(publications) => (publications, Ok(())),
        Err(error) => (Vec::new(), Err(error.to_string())),
    };
    let _gone = answer.send(told);
    Output { publications, ack: None }
}

async fn due<C: ControlPlane>(engine: &Engine<C>) {
    match engine.idle_for() {
        Some(span) => tokio::time::sleep(span.min(LONGEST_SLEEP)).await,
        None => pending().await,
    }
}
