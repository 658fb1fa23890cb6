//! The task that speaks to the broker: subscribes, hands messages to the engine, publishes what comes back, and
//! connects again for as long as it runs. Its MQTT session outlives connections, so no answer is lost with one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fleetkey_model::topic::{FleetTopic, ReservedTopic};
use fleetkey_mqtt::link::{ConnectOptions, Link};
use fleetkey_mqtt::session::{Event as SessionEvent, Outgoing, Session, SessionConfig, Token};
use fleetkey_mqtt::{QoS, ReasonCode, SubscribeFilter, Text};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::worker::{Awaited, Input, Output};
use super::{Connection, Connector};
use crate::controller::Event;

/// Messages that wait for the engine before no more are read.
const WAITING: usize = 256;
/// How long TLS and CONNACK may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) struct Wire<N> {
    connector: N,
    connection: Connection,
    session: Session,
    /// Publications whose PUBACK somebody waits for.
    awaited: BTreeMap<Token, Awaited>,
    /// The subscriptions were asked for, on this connection or an earlier one, and are not answered.
    subscribing: bool,
    waiting: VecDeque<Input>,
    engine: mpsc::Sender<Input>,
    outputs: mpsc::Receiver<Output>,
    connected: watch::Sender<bool>,
}

/// Why a connection is over.
enum End {
    Stopped,
    Lost(String),
}

impl<N: Connector> Wire<N> {
    pub(super) fn new(
        connector: N,
        connection: Connection,
        config: SessionConfig,
        engine: mpsc::Sender<Input>,
        outputs: mpsc::Receiver<Output>,
        connected: watch::Sender<bool>,
    ) -> Self {
        let session = Session::new(config);
        Self {
            connector,
            connection,
            session,
            awaited: BTreeMap::new(),
            subscribing: false,
            waiting: VecDeque::new(),
            engine,
            outputs,
            connected,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut pause = self.connection.first_pause;
        loop {
            let reason = match self.open(&stop).await {
                Ok(link) => self.serve(link, &stop).await,
                Err(end) => end,
            };
            // Only a connection that came to something starts the pauses afresh.
            if self.connected.send_replace(false) {
                pause = self.connection.first_pause;
            }
            self.session.disconnected();
            let End::Lost(reason) = reason else {
                return;
            };
            warn!(reason, again_in = ?pause, "not connected to the broker");
            if self.hear_engine_for(pause, &stop).await.is_err() {
                return;
            }
            pause = pause.saturating_mul(2).min(self.connection.longest_pause);
        }
    }

    /// Opens a connection; the session moves to it.
    async fn open(&mut self, stop: &CancellationToken) -> Result<Link<N::Stream>, End> {
        let options = self.options();
        let attempt = async {
            let stream = self.connector.connect().await.map_err(|error| error.to_string())?;
            Link::connect(stream, &options, CONNECT_TIMEOUT).await.map_err(|error| error.to_string())
        };
        let opened = tokio::select! {
            () = stop.cancelled() => return Err(End::Stopped),
            opened = tokio::time::timeout(CONNECT_TIMEOUT, attempt) => opened,
        };
        let (link, connected) =
            opened.unwrap_or(Err("the broker does not answer".into())).map_err(End::Lost)?;
        connected.begin(&mut self.session);
        // One word of it is enough, however many connections came to nothing since the engine last took something.
        if !connected.session_present && !matches!(self.waiting.back(), Some(Input::Event(_))) {
            self.waiting.push_back(Input::Event(Event::PresenceMissed));
        }
        // The session keeps asking what was not answered: a broker that cuts us off must not be asked ever more.
        if !self.subscribing {
            self.session.subscribe(filters());
            self.subscribing = true;
        }
        Ok(link)
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions {
            version: self.connection.version,
            clean_start: false,
            keep_alive: self.connection.keep_alive,
            session_expiry: Some(self.connection.session_expiry),
            ..ConnectOptions::new(self.connection.client_id.as_str())
        }
    }

    /// Serves one connection to its end; if it is ours to end, with DISCONNECT.
    async fn serve(&mut self, mut link: Link<N::Stream>, stop: &CancellationToken) -> End {
        loop {
            let stepped = match self.take_events() {
                Ok(()) => self.step(&mut link, stop).await,
                Err(refused) => Err(End::Lost(refused)),
            };
            if let Err(end) = stepped {
                // If the broker ended it, this says so and does nothing.
                let _closed = link.disconnect(&mut self.session, ReasonCode::SUCCESS).await;
                return end;
            }
        }
    }

    /// Waits for something to happen, and takes one thing in.
    async fn step(&mut self, link: &mut Link<N::Stream>, stop: &CancellationToken) -> Result<(), End> {
        match self.waiting.len() {
            0..WAITING => link.resume_reading(),
            _ => link.pause_reading(),
        }
        tokio::select! {
            () = stop.cancelled() => return Err(End::Stopped),
            stepped = link.step(&mut self.session) => stepped.map_err(|end| End::Lost(end.to_string()))?,
            room = self.engine.reserve(), if !self.waiting.is_empty() => {
                let room = room.map_err(|_| End::Stopped)?;
                if let Some(input) = self.waiting.pop_front() {
                    room.send(input);
                }
            }
            output = self.outputs.recv() => apply(&mut self.session, &mut self.awaited, output.ok_or(End::Stopped)?),
        }
        Ok(())
    }

    /// Takes in what the session has for us; an error ends the connection.
    fn take_events(&mut self) -> Result<(), String> {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Message(incoming) => self.waiting.push_back(Input::Message {
                    topic: incoming.publish.topic,
                    payload: incoming.publish.payload,
                    ack: incoming.ack,
                }),
                SessionEvent::Subscribed(_, reasons) => {
                    self.subscribing = false;
                    if let Some(refused) = reasons.iter().find(|reason| reason.is_error()) {
                        return Err(format!(
                            "a subscription was refused ({refused}); does the policy allow it?"
                        ));
                    }
                    info!("the controller hears requests and presence");
                    self.connected.send_replace(true);
                }
                SessionEvent::Delivered(token) => self.tell(token, Ok(())),
                SessionEvent::Refused(token, reason) => {
                    warn!(%reason, "the broker refused a publication");
                    self.tell(token, Err(format!("the broker refuses it ({reason})")));
                }
                // Never: its session takes a throttle for a refusal.
                SessionEvent::Throttled => self.session.unthrottle(),
                SessionEvent::Disconnected(reason) => debug!(%reason, "the broker says goodbye"),
                SessionEvent::Unsubscribed(_) => {}
            }
        }
        Ok(())
    }

    /// Keeps taking the engine's answers while there is no connection; an error means to stop.
    async fn hear_engine_for(&mut self, pause: Duration, stop: &CancellationToken) -> Result<(), ()> {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(()),
                () = &mut over => return Ok(()),
                output = self.outputs.recv() => apply(&mut self.session, &mut self.awaited, output.ok_or(())?),
            }
        }
    }

    /// Tells whoever waits for a publication what has become of it.
    fn tell(&mut self, token: Token, outcome: Result<(), String>) {
        if let Some(awaited) = self.awaited.remove(&token) {
            let _gone = awaited.send(outcome);
        }
    }
}

fn apply(session: &mut Session, awaited: &mut BTreeMap<Token, Awaited>, output: Output) {
    let mut sender = output.awaited;
    for publication in output.publications {
        let topic = Text::from(publication.topic.to_string());
        let message = Outgoing::new(topic, publication.payload, QoS::AtLeastOnce);
        match session.publish(message) {
            Ok(token) => awaited.extend(sender.take().map(|sender| (token, sender))),
            Err(reason) => {
                // A device repeats its request until it is answered; a command's sender is told.
                warn!(%reason, topic = %publication.topic, "a publication was dropped");
                if let Some(sender) = sender.take() {
                    let _gone = sender.send(Err(reason.to_string()));
                }
            }
        }
    }
    if let Some(ack) = output.ack {
        session.acknowledge(ack);
    }
}

fn filters() -> Vec<SubscribeFilter> {
    [FleetTopic::ALL_ATTESTED, ReservedTopic::ALL_CONNECTED, ReservedTopic::ALL_DISCONNECTED]
        .map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce))
        .into()
}

#[cfg(test)]
mod tests {
    use fleetkey_model::name::ClientId;
    use fleetkey_mqtt::packet::Packet;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// A broker that accepts every CONNECT and then says nothing.
    struct Silent;

    impl Connector for Silent {
        type Stream = DuplexStream;

        async fn connect(&self) -> std::io::Result<DuplexStream> {
            let (ours, mut theirs) = tokio::io::duplex(4096);
            tokio::spawn(async move {
                let mut connect = [0; 512];
                let _read = theirs.read(&mut connect).await;
                // CONNACK of MQTT 5: no session, success, no properties.
                let _written = theirs.write_all(&[0x20, 3, 0, 0, 0]).await;
            });
            Ok(ours)
        }
    }

    #[tokio::test]
    async fn connections_that_end_before_the_suback_do_not_pile_up_subscriptions() {
        let (engine, _inputs) = mpsc::channel(1);
        let (_outputs, outputs) = mpsc::channel(1);
        let (connected, _) = watch::channel(false);
        let connection = Connection::new(ClientId::new("~controller").unwrap());
        let mut wire = Wire::new(Silent, connection, SessionConfig::default(), engine, outputs, connected);
        for _ in 0..20 {
            wire.session.disconnected();
            assert!(wire.open(&CancellationToken::new()).await.is_ok());
            let sent = std::iter::from_fn(|| wire.session.poll_transmit());
            assert_eq!(sent.filter(|packet| matches!(packet, Packet::Subscribe(_))).count(), 1);
        }
        let told: Vec<_> = wire.waiting.into_iter().collect();
        assert!(
            matches!(told[..], [Input::Event(Event::PresenceMissed)]),
            "the broker kept no session: {told:?}"
        );
    }
}
