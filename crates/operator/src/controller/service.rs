//! The controller at work: one task speaks to the broker and reconnects, one runs the engine.
//!
//! They are two so that a slow account never keeps the broker waiting for a PINGREQ. A message is acknowledged when
//! everything that follows from it is done, so that a crash makes the broker send it again.

use std::future::Future;
use std::time::Duration;

use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::{DeviceCommand, WayBack};
use fleetkey_mqtt::Version;
use fleetkey_mqtt::session::SessionConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::action::Event;
use super::engine::Engine;
use super::metrics::Totals;
use super::record::Record;
use crate::control_plane::ControlPlane;
use wire::Wire;
use worker::Input;

mod wire;
mod worker;

/// Messages between the two tasks.
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
    /// The client id that the controller's policy allows.
    pub client_id: ClientId,
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
    /// MQTT 5, a PINGREQ a minute, an hour's session, pauses from a quarter of a second to half a minute.
    pub const fn new(client_id: ClientId) -> Self {
        Self {
            client_id,
            version: Version::V5,
            keep_alive: 60,
            session_expiry: 3600,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(30),
        }
    }
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
    connected: watch::Receiver<bool>,
}

impl Reception {
    /// Whether the controller hears requests and presence.
    pub fn hears(&self) -> bool {
        *self.connected.borrow()
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
        self.ask(Input::Records).await.unwrap_or_default()
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
        let (inputs, input_queue) = mpsc::channel(QUEUE);
        let (outputs, output_queue) = mpsc::channel(QUEUE);
        let (connected_sender, connected) = watch::channel(false);
        let wire = Wire::new(
            connector,
            connection,
            SessionConfig::default(),
            inputs.clone(),
            output_queue,
            connected_sender,
        );
        let tasks = vec![
            tokio::spawn(worker::run(engine, input_queue, outputs, stop.clone())),
            tokio::spawn(wire.run(stop.clone())),
        ];
        Self { reception: Reception { inputs, connected }, stop, tasks }
    }

    /// Waits until the controller hears requests and presence. `false` when it was stopped before.
    pub async fn ready(&mut self) -> bool {
        self.reception.connected.wait_for(|connected| *connected).await.is_ok()
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

    /// Ends both tasks: the engine after the call it is in, the connection with DISCONNECT.
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
