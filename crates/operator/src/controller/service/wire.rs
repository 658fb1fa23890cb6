//! A task that speaks to the broker: subscribes, hands messages to the engine, publishes what comes back, and connects
//! again for as long as it runs. Its MQTT session outlives connections, so no answer is lost with one. What is sent to a
//! connection that is lost waits in the broker's session, and is sent again on the next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fleetkey_mqtt::link::{ConnectError, ConnectOptions, Connected, Link};
use fleetkey_mqtt::session::{Event as SessionEvent, Outgoing, Session, SessionConfig, Token};
use fleetkey_mqtt::{QoS, ReasonCode, Text};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::company::{Company, Manner, Phase};
use super::news::News;
use super::worker::{Awaited, Input, Output};
use super::{Connection, Connector};
use crate::controller::Event;

/// Messages that wait for the engine before no more are read.
const WAITING: usize = 256;
/// How long TLS and CONNACK may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// After so many connections in a row that ended before the answer, shared subscriptions count as refused.
pub(super) const UNANSWERED: u32 = 3;

pub(super) struct Wire<N> {
    connector: Arc<N>,
    connection: Connection,
    /// Which of the controller's connections it is, counted from 0.
    place: usize,
    company: Arc<Company>,
    session: Session,
    /// Publications whose PUBACK somebody waits for.
    awaited: BTreeMap<Token, Awaited>,
    /// The subscriptions were asked for, on this connection or an earlier one, and are not answered.
    subscribing: bool,
    /// How many connections in a row have ended while shared subscriptions were not answered.
    unanswered: u32,
    /// The broker has kept a session of an earlier controller, which may have heard by other filters.
    inherited: bool,
    news: News,
    /// It was said that this connection does not come about.
    said: bool,
    waiting: VecDeque<Input>,
    engine: mpsc::Sender<Input>,
    outputs: mpsc::Receiver<Output>,
}

/// What joins a connection to the engine and to the other connections.
pub(super) struct Channels {
    pub(super) engine: mpsc::Sender<Input>,
    pub(super) outputs: mpsc::Receiver<Output>,
    pub(super) company: Arc<Company>,
}

/// Why a connection is over.
enum End {
    Stopped,
    Lost(String),
}

impl<N: Connector> Wire<N> {
    pub(super) fn new(connector: Arc<N>, connection: Connection, place: usize, channels: Channels) -> Self {
        let Channels { engine, outputs, company } = channels;
        Self {
            connector,
            connection,
            place,
            company,
            session: Session::new(SessionConfig::default()),
            awaited: BTreeMap::new(),
            subscribing: false,
            unanswered: 0,
            inherited: false,
            news: News::default(),
            said: false,
            waiting: VecDeque::new(),
            engine,
            outputs,
        }
    }

    /// By which filters this connection hears: whoever is not the first one is there to share.
    fn manner(&self) -> Manner {
        if self.place > 0 { Manner::Together } else { self.company.manner() }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        if self.place > 0 {
            let decided = stop.run_until_cancelled(self.company.decided()).await;
            if decided != Some(Manner::Together) {
                self.company.note(self.place, Phase::Away);
                return;
            }
        }
        let mut pause = self.connection.first_pause;
        loop {
            let reason = match self.open(&stop).await {
                Ok(link) => self.serve(link, &stop).await,
                Err(end) => end,
            };
            // Only a connection that came to something starts the pauses afresh.
            if self.company.note(self.place, Phase::Away) == Phase::Hearing {
                pause = self.connection.first_pause;
            }
            self.session.disconnected();
            let End::Lost(reason) = reason else {
                return;
            };
            self.say(&reason, pause);
            self.despair();
            self.do_without_news();
            if self.hear_engine_for(pause, &stop).await.is_err() {
                return;
            }
            pause = pause.saturating_mul(2).min(self.connection.longest_pause);
        }
    }

    /// Of the first connection each failure is told: without it nothing may be heard. Of the others one in a row.
    fn say(&mut self, reason: &str, again_in: Duration) {
        let client = &self.connection.client_id;
        if self.place == 0 || !std::mem::replace(&mut self.said, true) {
            warn!(%client, reason, ?again_in, "not connected to the broker");
        } else {
            debug!(%client, reason, ?again_in, "not connected to the broker");
        }
    }

    /// A broker may refuse subscriptions by closing the connection. So do networks, now and then: not so often in a row,
    /// and just there.
    fn despair(&mut self) {
        if !self.subscribing || self.manner() != Manner::Undecided {
            return;
        }
        self.unanswered += 1;
        if self.unanswered >= UNANSWERED {
            self.go_alone("the broker closes the connection on each of them");
        }
    }

    /// A broker that closes on the subscription that one can do without is not asked for it before the others again.
    fn do_without_news(&mut self) {
        let (is_over, why) = self.news.disconnect();
        if is_over {
            self.session.forget_requests();
            self.subscribing = false;
            // An UNSUBSCRIBE may have been among them.
            self.inherited = true;
        }
        self.say_without_news(why);
    }

    fn say_without_news(&self, why: Option<String>) {
        if let Some(why) = why {
            let client = &self.connection.client_id;
            warn!(
                %client, why,
                "the controller does not hear what becomes of things, which it sees when the account is listed; \
                 `fleetkey setup` brings its policy up to date"
            );
        }
    }

    /// Hears everything by this connection from now on: what is shared cannot be subscribed to.
    fn go_alone(&mut self, why: &str) {
        warn!(
            why,
            "shared subscriptions are refused, so one connection hears everything, and what exceeds 100 messages a second is \
             lost: run `fleetkey setup`, which brings the controller's policy up to date, and start the controller again"
        );
        self.company.decide(Manner::Alone);
        self.session.forget_requests();
        // Some of them may have been granted.
        self.inherited = true;
        self.news = News::default();
        self.subscribing = false;
    }

    /// Opens a connection; the session moves to it.
    async fn open(&mut self, stop: &CancellationToken) -> Result<Link<N::Stream>, End> {
        let (link, connected) = self.connect(stop).await?;
        connected.begin(&mut self.session);
        if connected.session_present {
            self.inherited |= self.manner() != Manner::Together;
        } else if !matches!(self.waiting.back(), Some(Input::Event(_))) {
            // One word of it is enough, however many connections came to nothing since the engine last took something.
            self.waiting.push_back(Input::Event(Event::PresenceMissed));
        }
        self.subscribe();
        Ok(link)
    }

    /// The session keeps asking what was not answered: a broker that cuts us off must not be asked ever more.
    fn subscribe(&mut self) {
        if !std::mem::replace(&mut self.subscribing, true) {
            self.session.subscribe(self.manner().filters());
        }
    }

    /// Connects, and keeps taking the engine's answers meanwhile.
    async fn connect(&mut self, stop: &CancellationToken) -> Result<(Link<N::Stream>, Connected), End> {
        let (options, place) = (self.options(), self.place);
        let Self { connector, session, awaited, outputs, .. } = self;
        let attempt = async {
            let stream = connector.connect().await.map_err(|error| error.to_string())?;
            let linked = Link::connect(stream, &options, CONNECT_TIMEOUT).await;
            linked.map_err(|error| refused(&error, place))
        };
        let attempt = tokio::time::timeout(CONNECT_TIMEOUT, attempt);
        tokio::pin!(attempt);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(End::Stopped),
                opened = &mut attempt => {
                    return opened.unwrap_or(Err("the broker does not answer".into())).map_err(End::Lost);
                }
                output = outputs.recv() => apply(session, awaited, output.ok_or(End::Stopped)?),
            }
        }
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
                    place: self.place,
                }),
                SessionEvent::Subscribed(request, reasons) => {
                    let refused = reasons.iter().find(|reason| reason.is_error()).copied();
                    if self.news.is(request) {
                        let why = self.news.answer(refused);
                        self.say_without_news(why);
                        continue;
                    }
                    self.subscribing = false;
                    self.subscribed(refused)?;
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

    /// The broker has answered the subscriptions; an error ends the connection.
    fn subscribed(&mut self, refused: Option<ReasonCode>) -> Result<(), String> {
        let manner = self.manner();
        match refused {
            Some(reason) if self.place == 0 && manner != Manner::Alone => {
                self.go_alone(&format!("a shared subscription was refused ({reason})"));
                self.subscribe();
                Ok(())
            }
            Some(reason) => Err(format!(
                "a subscription was refused ({reason}); `fleetkey setup` brings the policy up to date"
            )),
            None => {
                if manner == Manner::Undecided {
                    self.company.decide(Manner::Together);
                }
                // Not before: what comes in between is rather heard twice than not at all.
                if std::mem::take(&mut self.inherited) {
                    self.session.unsubscribe(manner.others());
                }
                if self.news.is_wanted() {
                    self.news.ask(self.session.subscribe(vec![manner.news()]));
                }
                self.said = false;
                info!(client = %self.connection.client_id, "the controller hears requests and presence");
                self.company.note(self.place, Phase::Hearing);
                Ok(())
            }
        }
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

/// A refusal in words, with what to do where the policy may be of before there were several connections.
fn refused(error: &ConnectError, place: usize) -> String {
    let by_policy = matches!(error, ConnectError::Refused(ReasonCode::NOT_AUTHORIZED) | ConnectError::Closed);
    if place > 0 && by_policy {
        return format!(
            "{error}; if the controller's policy does not allow this client id, `fleetkey setup` brings it up to date"
        );
    }
    error.to_string()
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

    /// The first one of so many, and what must be kept for it to go on.
    fn wire(connections: usize) -> (Wire<Silent>, impl Sized) {
        let (engine, inputs) = mpsc::channel(1);
        let (sender, outputs) = mpsc::channel::<Output>(1);
        let channels = Channels { engine, outputs, company: Arc::new(Company::of(connections)) };
        let connection = Connection::new(ClientId::new("~controller").unwrap()).shared_by(connections);
        (Wire::new(Arc::new(Silent), connection, 0, channels), (inputs, sender))
    }

    fn subscribes(wire: &mut Wire<Silent>) -> Vec<String> {
        let sent = std::iter::from_fn(|| wire.session.poll_transmit());
        let asked = sent.filter_map(|packet| match packet {
            Packet::Subscribe(subscribe) => subscribe.filters.first().map(|first| first.filter.to_string()),
            _ => None,
        });
        asked.collect()
    }

    #[tokio::test]
    async fn connections_that_end_before_the_suback_do_not_pile_up_subscriptions() {
        let (mut wire, _engine) = wire(1);
        for _ in 0..20 {
            wire.session.disconnected();
            assert!(wire.open(&CancellationToken::new()).await.is_ok());
            assert_eq!(subscribes(&mut wire), ["fleetkey/attested/+/requests"]);
        }
        let told: Vec<_> = wire.waiting.into_iter().collect();
        assert!(
            matches!(told[..], [Input::Event(Event::PresenceMissed)]),
            "the broker kept no session: {told:?}"
        );
    }

    #[tokio::test]
    async fn a_broker_that_closes_on_shared_subscriptions_is_asked_for_plain_ones() {
        let (mut wire, _engine) = wire(4);
        let shared = "$share/fleetkey-controller/fleetkey/attested/+/requests";
        for _ in 0..UNANSWERED {
            assert!(wire.open(&CancellationToken::new()).await.is_ok());
            assert_eq!(subscribes(&mut wire), [shared]);
            wire.session.disconnected();
            wire.despair();
        }
        assert!(wire.open(&CancellationToken::new()).await.is_ok());
        assert_eq!(subscribes(&mut wire), ["fleetkey/attested/+/requests"]);
        assert_eq!(wire.company.decided().await, Manner::Alone);
    }
}
