//! The controller at work: a task for each connection speaks to the broker and reconnects, one runs the engine.
//!
//! They are several so that a slow account never keeps the broker waiting for a PINGREQ. A message is acknowledged, on the
//! connection by which it came, when everything that follows from it is done, so that a crash makes the broker send it
//! again. Several connections share their subscriptions; what belongs together may come by different ones, in any order,
//! and the broker's own times and session ids put it right.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::{DeviceCommand, WayBack};
use fleetkey_mqtt::Version;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::action::Event;
use super::engine::Engine;
use super::metrics::Totals;
use super::record::Record;
use crate::control_plane::ControlPlane;
use company::{Company, Standing};
use wire::{Channels, Wire};
use worker::{Input, Ports};

mod company;
mod news;
mod wire;
mod worker;

/// Messages between two tasks.
const QUEUE: usize = 64;

/// Opens the stream that MQTT is spoken over: TLS to the broker with the controller's certificate.
pub trait Connector: Send + Sync + 'static {
    /// An open stream.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens one.
    fn connect(&self) -> impl Future<Output = std::io::Result<Self::Stream>> + Send;
}

/// How the controller connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The client id that the controller's policy allows; further connections have `-2`, `-3` … behind it.
    pub client_id: ClientId,
    /// How many connections share the subscriptions, since AWS delivers 100 messages a second to one. With one, the
    /// subscriptions are its own. At least 1; at most [`Self::MOST`].
    pub connections: usize,
    /// The MQTT version.
    pub version: Version,
    /// Seconds between PINGREQs.
    pub keep_alive: u16,
    /// Seconds that the broker keeps requests and events for a controller that is away (MQTT 5).
    pub session_expiry: u32,
    /// The first pause before connecting again; it doubles up to [`Self::longest_pause`].
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Connection {
    /// AWS takes 100 shared subscriptions of one name (AWS IoT Core quotas), and each connection has four.
    pub const MOST: usize = 25;

    /// One connection, MQTT 5, a PINGREQ a minute, an hour's session, pauses from a quarter of a second to half a minute.
    pub const fn new(client_id: ClientId) -> Self {
        Self {
            client_id,
            connections: 1,
            version: Version::V5,
            keep_alive: 60,
            session_expiry: 3600,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(30),
        }
    }

    /// The same, shared by so many.
    #[must_use]
    pub fn shared_by(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// Each connection: the same, with a client id of its own. A name that is too long is one connection less.
    fn places(self) -> Vec<Self> {
        let further = (2..=self.connections.min(Self::MOST)).map_while(|number| {
            let client_id = ClientId::new(format!("{}-{number}", self.client_id)).ok()?;
            Some(Self { client_id, ..self.clone() })
        });
        let further: Vec<_> = further.collect();
        std::iter::once(self).chain(further).collect()
    }
}

/// How many connections a controller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Those that hear requests and presence.
    pub hearing: usize,
    /// All of them.
    pub wanted: usize,
}

/// A command that is in the chain and on its way to the broker. Dropping it takes nothing back.
#[derive(Debug)]
#[must_use]
pub struct OnItsWay(oneshot::Receiver<Result<(), String>>);

impl OnItsWay {
    /// Waits until the broker has acknowledged it (PUBACK), however long there is no connection.
    ///
    /// # Errors
    /// When the broker refuses it, too much waits already, or the controller was stopped; in words.
    pub async fn acknowledged(self) -> Result<(), String> {
        self.0.await.unwrap_or_else(|_| Err("the controller was stopped".into()))
    }
}

/// What a running controller can be asked, by anybody. Clones share it.
#[derive(Debug, Clone)]
pub struct Reception {
    inputs: mpsc::Sender<Input>,
    standing: watch::Receiver<Standing>,
}

impl Reception {
    /// Whether the controller hears requests and presence.
    pub fn hears(&self) -> bool {
        self.connections().hearing > 0
    }

    /// Waits until the controller hears although it did not, or hears nothing any more although it did (`heard`); which of
    /// both. `None` when it was stopped.
    pub async fn turns(&mut self, heard: bool) -> Option<bool> {
        let turned = self.standing.wait_for(|standing| (standing.connections().hearing > 0) != heard).await;
        turned.is_ok().then_some(!heard)
    }

    /// How many connections it has, and how many of them hear.
    pub fn connections(&self) -> Connections {
        self.standing.borrow().connections()
    }

    /// Thaws a thing that an operator has looked at and put right: its next attested request counts as the first.
    pub async fn release(&self, thing: ThingName) {
        let _stopped = self.inputs.send(Input::Event(Event::Release(thing))).await;
    }

    /// The same, entered into the chain with who says so and why.
    ///
    /// # Errors
    /// When it cannot be entered, or the controller was stopped.
    pub async fn release_because(&self, thing: ThingName, why: String) -> Result<(), String> {
        let released = self.ask(|answer| Input::Release { thing, why, answer }).await;
        released.unwrap_or_else(|| Err("the controller was stopped".into()))
    }

    /// Sends a device a command, once it is in the chain who says so and why. Whether it arrives is another question: a
    /// device whose session the broker does not keep hears nothing while it is away.
    ///
    /// # Errors
    /// When it cannot be entered, or the controller was stopped; nothing is sent then.
    pub async fn command(
        &self,
        thing: ThingName,
        command: DeviceCommand,
        why: String,
    ) -> Result<OnItsWay, String> {
        let sent = self.ask(|answer| Input::Command { thing, command, why, answer }).await;
        sent.unwrap_or_else(|| Err("the controller was stopped".into()))
    }

    /// Sends a device back to the identity before the one that it soaks; otherwise the same.
    ///
    /// # Errors
    /// Likewise.
    pub async fn send_back(
        &self,
        thing: ThingName,
        way_back: WayBack,
        why: String,
    ) -> Result<OnItsWay, String> {
        let sent = self.ask(|answer| Input::SendBack { thing, way_back, why, answer }).await;
        sent.unwrap_or_else(|| Err("the controller was stopped".into()))
    }

    /// Holds the retirement of a thing's certificates until it is released, entered into the chain with who says so and
    /// why; what is known of the thing then, nothing if it was never attested. May be repeated.
    ///
    /// # Errors
    /// When it cannot be entered or kept, or the controller was stopped.
    pub async fn hold(&self, thing: ThingName, why: String) -> Result<Option<Record>, String> {
        let held = self.ask(|answer| Input::Hold { thing, why, answer }).await;
        held.unwrap_or_else(|| Err("the controller was stopped".into()))
    }

    /// Enters into the chain that somebody has ordered `action` of `what`, which is no thing, and why.
    ///
    /// # Errors
    /// When it cannot be entered, or the controller was stopped; it is not to be carried out then.
    pub async fn enter(&self, action: &'static str, what: String, why: String) -> Result<(), String> {
        let entered = self.ask(|answer| Input::Enter { action, what, why, answer }).await;
        entered.unwrap_or_else(|| Err("the controller was stopped".into()))
    }

    /// What the ledger knows of every thing; empty when the controller was stopped.
    pub async fn records(&self) -> Vec<Record> {
        self.ask(|answer| Input::Records { of: None, answer }).await.unwrap_or_default()
    }

    /// The same of these things, of those that it knows; `None` when the controller was stopped. Of a large fleet, ask page by
    /// page: a copy of all is as large as what the ledger holds, and the controller hears nothing meanwhile.
    pub async fn records_of(&self, things: Vec<ThingName>) -> Option<Vec<Record>> {
        self.ask(|answer| Input::Records { of: Some(things), answer }).await
    }

    /// What the records come to; `None` when the controller was stopped.
    pub async fn totals(&self) -> Option<Totals> {
        self.ask(Input::Totals).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Input) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.inputs.send(question(answer)).await.ok()?;
        answered.await.ok()
    }
}

/// A running controller. Dropping it stops it at the next opportunity; [`Self::stop`] waits.
#[derive(Debug)]
pub struct Controller {
    reception: Reception,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Controller {
    /// Starts a controller; it connects, and connects again, for as long as it runs.
    pub fn start<C, N>(engine: Engine<C>, connector: N, connection: Connection) -> Self
    where
        C: ControlPlane + 'static,
        N: Connector,
    {
        let stop = CancellationToken::new();
        let connector = Arc::new(connector);
        let places = connection.places();
        let company = Arc::new(Company::of(places.len()));
        let (inputs, input_queue) = mpsc::channel(QUEUE);
        let (mut outputs, mut tasks) = (Vec::new(), Vec::new());
        for (place, connection) in places.into_iter().enumerate() {
            let (sender, queue) = mpsc::channel(QUEUE);
            outputs.push(sender);
            let channels = Channels { engine: inputs.clone(), outputs: queue, company: company.clone() };
            let wire = Wire::new(connector.clone(), connection, place, channels);
            tasks.push(tokio::spawn(wire.run(stop.clone())));
        }
        let standing = company.standing();
        let ports = Ports::new(outputs, standing.clone());
        tasks.push(tokio::spawn(worker::run(engine, input_queue, ports, stop.clone())));
        Self { reception: Reception { inputs, standing }, stop, tasks }
    }

    /// Waits until the controller hears requests and presence, and each of its connections has come or failed. `false`
    /// when it was stopped before.
    pub async fn ready(&mut self) -> bool {
        self.reception.standing.wait_for(Standing::is_settled).await.is_ok()
    }

    /// Thaws a thing that an operator has looked at and put right: its next attested request counts as the first.
    pub async fn release(&self, thing: ThingName) {
        self.reception.release(thing).await;
    }

    /// What the ledger knows of every thing; empty when the controller was stopped.
    pub async fn records(&self) -> Vec<Record> {
        self.reception.records().await
    }

    /// Where others can ask.
    pub fn reception(&self) -> Reception {
        self.reception.clone()
    }

    /// Ends all tasks: the engine after the call it is in, each connection with DISCONNECT.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            let _ended = task.await;
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
