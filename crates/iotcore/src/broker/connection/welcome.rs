//! From an admitted CONNECT to a served connection, or the door.

use std::sync::Arc;

use fleetkey_mqtt::{ConnAck, Packet, Properties, Property, ReasonCode, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant, timeout};

use super::{Connection, encode_own};
use crate::broker::admission::{Admitted, Guest, Refusal};
use crate::broker::clients::{Claim, Opened};
use crate::broker::link::Link;
use crate::broker::presence::Terms;
use crate::broker::table::ConnectionInfo;
use crate::broker::wire::Wire;
use crate::broker::{Broker, Close};
use crate::events::{Event, Subject, session_identifier};
use crate::faults::{Call, CallKind, Flow, Plan, Point};
use crate::limits::Rate;

/// How long a last packet may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Lets the client in: its session, its CONNACK, its presence event. `None` when a fault had it otherwise.
pub(super) async fn welcome<S>(
    broker: Arc<Broker>,
    wire: Wire<S>,
    guest: &Guest,
    mut admitted: Admitted,
) -> Option<Connection<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let plan = plan(&broker, &mut admitted).unwrap_or_default();
    if plan.at(Point::Request, &broker.faults).await == Flow::Cut || plan.lost {
        return None;
    }
    if let Some(rejection) = &plan.reject {
        let refusal =
            Refusal { code: super::publish::reason_of(rejection), why: "a fault rule", announce: None };
        refuse(&broker, wire, guest, admitted.version, refusal).await;
        return None;
    }
    let link = Link::new(broker.next_id());
    let opened = broker.open_session(&link, claim(&admitted));
    if let Some(former) = &opened.former {
        former.close(Close::TAKEN_OVER);
    }
    let connack = connack(&broker, &admitted, opened.present);
    let mut connection = open(broker, wire, guest, admitted, link, opened);
    if plan.at(Point::Answer, &connection.broker.faults.clone()).await == Flow::Cut {
        connection.say_goodbye(Close::LOST).await;
        return None;
    }
    for _ in 0..plan.answers {
        connection.send(&connack);
    }
    connection.heard = Instant::now();
    connection.announce_arrival(guest);
    Some(connection)
}

/// Turns a client away: version 5 is told why, MQTT 3.1.1 is not, unless the switch says so.
pub(super) async fn refuse<S>(
    broker: &Broker,
    mut wire: Wire<S>,
    guest: &Guest,
    version: Version,
    refusal: Refusal,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tracing::info!(ip = %guest.source, certificate = %guest.certificate.id.short(), reason = %refusal.code,
        "CONNECT refused: {}", refusal.why);
    if let Some(client) = &refusal.announce {
        let session = session_identifier();
        let subject = Subject {
            client,
            thing: None,
            certificate: &guest.certificate.id,
            session: &session,
            at: broker.now(),
        };
        broker.announce(subject, Event::ConnectFailed { ip: guest.source });
    }
    if version == Version::V5 || broker.switches().connack_on_refusal_v311 {
        decline(&mut wire, version, refusal.code).await;
    } else {
        let _ = timeout(LAST_WORDS, wire.close()).await;
    }
}

/// Sends a CONNACK that says no, and closes.
pub(super) async fn decline<S>(wire: &mut Wire<S>, version: Version, code: ReasonCode)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let packet = Packet::ConnAck(ConnAck::refused(code));
    encode_own(&packet, version, &mut wire.outbox);
    // A client that does not listen is closed on all the same.
    let _ = timeout(LAST_WORDS, wire.close()).await;
}

fn plan(broker: &Broker, admitted: &mut Admitted) -> Option<Plan> {
    let client = admitted.rights.identity.client.clone();
    let call = Call { kind: CallKind::Connect, client: &client, thing: admitted.rights.thing() };
    broker.faults.plan(&call)
}

fn claim(admitted: &Admitted) -> Claim {
    Claim {
        client: admitted.rights.identity.client.clone(),
        principal: admitted.rights.identity.certificate,
        version: admitted.version,
        clean: admitted.clean,
        expiry: admitted.expiry,
        window: admitted.window,
    }
}

fn open<S>(
    broker: Arc<Broker>,
    wire: Wire<S>,
    guest: &Guest,
    mut admitted: Admitted,
    link: Arc<Link>,
    opened: Opened,
) -> Connection<S> {
    let now = Instant::now();
    let info = Arc::new(ConnectionInfo {
        client_id: admitted.rights.identity.client.clone(),
        certificate: guest.certificate.id,
        session_identifier: session_identifier(),
        since: broker.now(),
        ip: guest.source,
    });
    broker.enter(link.clone(), info.clone(), guest.certificate.not_after);
    let terms = Terms {
        clean: admitted.clean,
        keep_alive: admitted.keep_alive,
        session_expiry: admitted.expiry,
        thing: admitted.rights.exclusive_thing().cloned(),
    };
    broker.note_arrival(&link, &info, terms);
    // Whatever happened to the certificate since it was admitted was told to nobody.
    link.recheck();
    Connection {
        durable: broker.sessions.progress(),
        wire,
        link,
        session: opened.session,
        rights: admitted.rights,
        info,
        version: admitted.version,
        version_number: opened.version_number,
        patience: admitted.keep_alive.mul_f32(1.5),
        max_packet: admitted.max_packet,
        will: admitted.will,
        aliases: Vec::new(),
        answers: Default::default(),
        publishes: Rate::new(now),
        provisioning: None,
        heard: now,
        stall: None,
        final_expiry: None,
        broker,
    }
}

/// Developer Guide, mqtt: the properties that AWS advertises.
fn connack(broker: &Broker, admitted: &Admitted, session_present: bool) -> Packet {
    let mut properties = Properties::new();
    if admitted.version == Version::V5 {
        let limits = &broker.limits;
        let seconds = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        if admitted.expiry_adjusted {
            properties.push(Property::SessionExpiryInterval(seconds(admitted.expiry)));
        }
        properties.push(Property::ReceiveMaximum(limits.in_flight_in.max(1)));
        properties.push(Property::MaximumQoS(1));
        properties.push(Property::RetainAvailable(1));
        properties.push(Property::MaximumPacketSize(u32::try_from(limits.packet_bytes).unwrap_or(u32::MAX)));
        if admitted.assigned {
            let client = admitted.rights.identity.client.as_str();
            properties.push(Property::AssignedClientIdentifier(client.into()));
        }
        properties.push(Property::TopicAliasMaximum(limits.topic_aliases));
        properties.push(Property::WildcardSubscriptionAvailable(1));
        properties.push(Property::SubscriptionIdentifierAvailable(0));
        properties.push(Property::SharedSubscriptionAvailable(1));
        let keep_alive = u16::try_from(admitted.keep_alive.as_secs()).unwrap_or(u16::MAX);
        properties.push(Property::ServerKeepAlive(keep_alive));
    }
    Packet::ConnAck(ConnAck { session_present, reason: ReasonCode::SUCCESS, properties })
}
