//! The life of one MQTT connection: one task, from CONNECT to the presence event of its end.
//!
//! The task never waits for anything but the one `select` in [`Connection::run`]; what takes longer (provisioning,
//! faults) runs beside it and leaves its answer in the connection's [`Link`]. Not here: TLS.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_mqtt::{Connect, Packet, ReasonCode, Text, Version, Will, decode};
use fleetkey_policy::Action;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::admission::Guest;
use super::authority::Rights;
use super::link::{Answer, Link};
use super::message::encode_own;
use super::session::Session;
use super::table::ConnectionInfo;
use super::wire::{Step, Wire};
use super::{Broker, Close};
use crate::limits::Rate;
use crate::sessions::Progress;

mod farewell;
mod incoming;
mod outgoing;
mod provision;
mod publish;
mod subscribe;
mod welcome;

/// Bytes to be sent that hold back everything which would add to them.
const HIGH_WATER: usize = 64 * 1024;

/// One connection whose CONNECT was accepted.
struct Connection<S> {
    broker: Arc<Broker>,
    wire: Wire<S>,
    link: Arc<Link>,
    session: Arc<Session>,
    rights: Rights,
    info: Arc<ConnectionInfo>,
    version: Version,
    version_number: u64,
    /// Silence for 1.5 times the keep-alive ends the connection.
    patience: Duration,
    /// Bytes of the largest packet that the client takes.
    max_packet: usize,
    will: Option<Will>,
    /// Topics by alias, of the client's making.
    aliases: Vec<(u16, Text)>,
    /// Answers in the order of their questions; the first may wait for the disk.
    answers: VecDeque<Answer>,
    durable: watch::Receiver<Progress>,
    publishes: Rate,
    /// Bounds the provisioning requests under way; made with the first.
    provisioning: Option<Arc<Semaphore>>,
    /// When the last bytes came.
    heard: Instant,
    /// How far sending had come, and since when it has not got further.
    stall: Option<(u64, Instant)>,
    /// What a DISCONNECT of version 5 has changed the session's expiry to.
    final_expiry: Option<Duration>,
}

/// A client that was let in, ready to be served.
pub(crate) struct Admitted<S>(Box<Connection<S>>);

/// Takes a client through its CONNECT; `None` when it was turned away.
pub(crate) async fn enter<S>(
    broker: Arc<Broker>,
    stream: S,
    guest: Guest,
    stopped: CancellationToken,
) -> Option<Admitted<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = Wire::new(stream);
    let first = first_packet(&broker, &mut wire, &guest);
    let connect = stopped.run_until_cancelled(first).await??;
    let version = connect.version;
    let connection = match broker.admit(&guest, *connect) {
        Ok(admitted) => welcome::welcome(broker, wire, &guest, admitted).await?,
        Err(refusal) => {
            welcome::refuse(&broker, wire, &guest, version, refusal).await;
            return None;
        }
    };
    if stopped.is_cancelled() {
        connection.link.close(Close::SHUTDOWN);
    }
    Some(Admitted(Box::new(connection)))
}

/// Serves a client until it is gone. What was needed to let it in is gone by now: there may be thousands.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(Admitted(mut connection): Admitted<S>) {
    let close = connection.run().await;
    Box::pin(connection.say_goodbye(close)).await;
}

/// Waits for the CONNECT; `None` when something else came, or nothing in time.
async fn first_packet<S>(broker: &Broker, wire: &mut Wire<S>, guest: &Guest) -> Option<Box<Connect>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = Instant::now() + broker.limits.handshake;
    let limits = broker.packet_limits();
    loop {
        match decode(&mut wire.inbox, Version::V311, &limits) {
            Ok(Some(Packet::Connect(connect))) => return Some(connect),
            Ok(None) => {}
            Ok(Some(other)) => {
                tracing::info!(ip = %guest.source, first = ?other.kind(), "closed: the first packet is no CONNECT");
                return None;
            }
            Err(error) => {
                tracing::info!(ip = %guest.source, %error, "closed: no CONNECT");
                welcome::decline(wire, Version::V311, error.reason()).await;
                return None;
            }
        }
        match timeout_at(deadline, wire.step(true)).await {
            Ok(Ok(Step::Read | Step::Wrote)) => {}
            Ok(Ok(Step::End)) => return None,
            Ok(Err(error)) => {
                // Under TLS 1.3 this is where a client's bad certificate shows.
                tracing::info!(ip = %guest.source, %error, "lost before CONNECT");
                return None;
            }
            Err(_) => {
                tracing::info!(ip = %guest.source, "closed: no CONNECT in time");
                return None;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Serves the client until something ends the connection.
    async fn run(&mut self) -> Close {
        let timer = sleep_until(self.deadline());
        tokio::pin!(timer);
        loop {
            if let Err(close) = self.work() {
                return close;
            }
            // The timer is put forward at once and put back only when it fires: most of the time nothing is
            // to be done about it.
            let deadline = self.deadline();
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            let read = self.may_read();
            let Self { wire, link, durable, .. } = self;
            // The wire first: everything else is looked at in `work` anyway.
            tokio::select! {
                biased;
                step = wire.step(read) => match step {
                    Ok(Step::Read) => self.heard = Instant::now(),
                    Ok(Step::Wrote) => {}
                    Ok(Step::End) => return Close::LOST,
                    Err(error) => {
                        tracing::debug!(client = %self.info.client_id, %error, "connection lost");
                        return Close::LOST;
                    }
                },
                () = link.woken() => {}
                changed = durable.changed(), if !self.answers.is_empty() => {
                    if changed.is_err() {
                        return Close::STORAGE_FAILED;
                    }
                }
                () = timer.as_mut() => timer.as_mut().reset(self.deadline()),
            }
        }
    }

    /// Everything that can be done without waiting.
    fn work(&mut self) -> Result<(), Close> {
        let inbox = self.link.take();
        if let Some(close) = inbox.close {
            return Err(close);
        }
        self.check_time()?;
        if inbox.recheck {
            self.recheck()?;
        }
        self.answers.extend(inbox.answers);
        self.consume()?;
        self.send_answers()?;
        self.deliver();
        self.note_stall();
        Ok(())
    }

    /// Whether another packet may be taken in: a client that does not read, or whose messages wait for the disk,
    /// is not read from.
    fn may_read(&self) -> bool {
        self.answers.len() < usize::from(self.broker.limits.in_flight_in)
            && self.wire.outbox.len() < HIGH_WATER
    }

    /// Whether the certificate may still be here: it was, when the connection came in.
    fn recheck(&mut self) -> Result<(), Close> {
        let now = self.broker.now();
        let valid = {
            let registry = self.broker.authority.store.read();
            let record = registry.certificate(&self.info.certificate);
            record.is_some_and(|record| record.may_connect(now))
        };
        let allowed = !self.broker.switches().recheck_on_change
            || self.rights.allow(Action::Connect, self.info.client_id.as_str());
        if valid && allowed {
            return Ok(());
        }
        tracing::info!(client = %self.info.client_id, certificate = %self.info.certificate.short(), valid, allowed,
            "connection cut");
        Err(Close::NOT_AUTHORIZED)
    }

    fn deadline(&self) -> Instant {
        let silent = self.heard + self.patience;
        match self.stall {
            Some((_, since)) => silent.min(since + self.broker.limits.write_stall),
            None => silent,
        }
    }

    fn check_time(&mut self) -> Result<(), Close> {
        let now = Instant::now();
        if now >= self.heard + self.patience {
            if self.may_read() {
                return Err(Close::KEEP_ALIVE);
            }
            // We have not been listening: the disk, or the client's own reading, holds us up.
            self.heard = now;
        }
        let stuck = |(_, since)| now >= since + self.broker.limits.write_stall;
        if self.stall.is_some_and(stuck) {
            tracing::info!(client = %self.info.client_id, "the client takes nothing any more");
            return Err(Close::LOST);
        }
        Ok(())
    }

    /// Remembers since when the client has not taken a byte of what waits for it.
    fn note_stall(&mut self) {
        let taken = self.wire.taken;
        self.stall = match self.stall {
            _ if !self.wire.is_writing() => None,
            Some((before, since)) if before == taken => Some((before, since)),
            _ => Some((taken, Instant::now())),
        };
    }

    /// Appends one of our own packets to what is to be sent.
    fn send(&mut self, packet: &Packet) {
        encode_own(packet, self.version, &mut self.wire.outbox);
    }

    /// Queues an answer behind those that were asked for before it.
    fn answer(&mut self, packet: Packet, after: Option<u64>) {
        self.answers.push_back(Answer { packet, after, copies: 1 });
    }

    /// A failure code as the version can say it: MQTT 3.1.1 has only 0x80 in a SUBACK.
    fn suback_code(&self, code: ReasonCode) -> ReasonCode {
        match self.version {
            Version::V311 if code.is_error() => ReasonCode::UNSPECIFIED_ERROR,
            _ => code,
        }
    }
}
