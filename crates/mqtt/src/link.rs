//! One connection to a broker over any stream: CONNECT, bytes, keep alive, the end.
//!
//! A [`Link`] carries a [`Session`] for as long as the stream lives; reconnecting is its owner's business, with
//! the same session and a new link. [`Client`] does it all for one connection, for those who need no more.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::codec::{Limits, decode, encode};
use crate::packet::{Disconnect, Packet};
use crate::reason::ReasonCode;
use crate::session::Session;
use crate::types::Version;

mod client;
mod driver;
mod error;
mod handshake;
mod keep_alive;

pub use client::{Client, Messages, PublishError};
pub use error::{ConnectError, LinkError};
pub use handshake::{ConnectOptions, Connected};

use keep_alive::{Due, KeepAlive};

/// Bytes asked of the stream at once.
const READ_CHUNK: usize = 16 * 1024;
/// Bytes that wait to be written before the session is asked for no more; one packet may go beyond.
const WRITE_HIGH: usize = 64 * 1024;
/// Events after which no further packet is read until the owner has had them.
const EVENTS_HIGH: usize = 64;
/// How long the last packet may take to be written.
const FAREWELL: Duration = Duration::from_secs(5);

/// One connection, from an accepted CONNECT to its end.
#[derive(Debug)]
pub struct Link<S> {
    stream: S,
    version: Version,
    limits: Limits,
    input: BytesMut,
    output: BytesMut,
    /// Whether the stream holds bytes that it was not asked to send on.
    unflushed: bool,
    reading: bool,
    keep_alive: KeepAlive,
    timer: Pin<Box<Sleep>>,
    /// The broker's DISCONNECT.
    farewell: Option<ReasonCode>,
    /// Writing failed; what the broker may have said before is still read.
    broken: Option<LinkError>,
    end: Option<LinkError>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Sends CONNECT and waits for CONNACK. The session is told by [`Connected::begin`], when its owner moves it
    /// to this link.
    ///
    /// # Errors
    /// When the broker refuses or closes, or the time is over; see [`ConnectError`].
    pub async fn connect(
        mut stream: S,
        options: &ConnectOptions,
        within: Duration,
    ) -> Result<(Self, Connected), ConnectError> {
        let mut input = BytesMut::new();
        let connected = timeout(within, handshake::shake(&mut stream, &mut input, options))
            .await
            .map_err(|_| ConnectError::Timeout)??;
        let keep_alive = connected.server_keep_alive.unwrap_or(options.keep_alive);
        let now = Instant::now();
        let link = Self {
            stream,
            version: options.version,
            limits: Limits { max_packet: options.max_packet },
            input,
            output: BytesMut::new(),
            unflushed: false,
            reading: true,
            keep_alive: KeepAlive::new(keep_alive, options.ping_timeout, now),
            timer: Box::pin(sleep_until(now)),
            farewell: None,
            broken: None,
            end: None,
        };
        Ok((link, connected))
    }

    /// Sends what the session has, gives it what comes, keeps the connection alive; returns when there is an
    /// event for the owner, at once while one is waiting. Cancel it at will: nothing is lost, and what the
    /// session was given meanwhile goes out with the next step.
    ///
    /// # Errors
    /// When the connection is over, and from then on every time. All events were returned before. The session
    /// is not told: its owner calls [`Session::disconnected`] or connects it elsewhere.
    pub async fn step(&mut self, session: &mut Session) -> Result<(), LinkError> {
        poll_fn(|context| self.poll_step(session, context)).await
    }

    /// Reads no more until [`resume_reading`](Self::resume_reading), so that a slow consumer slows the broker
    /// down instead of filling memory. A broker that is silent meanwhile is not taken for dead.
    pub fn pause_reading(&mut self) {
        self.reading = false;
    }

    /// Reads again.
    pub fn resume_reading(&mut self) {
        if !self.reading {
            self.reading = true;
            self.keep_alive.heard(Instant::now());
        }
    }

    /// Writes what is waiting, the acknowledgements that the session owes, and DISCONNECT; then closes the
    /// stream. The broker publishes no will then, except with [`ReasonCode::DISCONNECT_WITH_WILL`] in MQTT 5.
    /// As after [`step`](Self::step)'s error, the session is not told that the connection is gone.
    ///
    /// # Errors
    /// When the stream does not take it within some seconds. The connection is over in any case.
    pub async fn disconnect(mut self, session: &mut Session, reason: ReasonCode) -> Result<(), LinkError> {
        if let Some(end) = self.end.take().or_else(|| self.broken.take()) {
            return Err(end);
        }
        while let Some(packet) = session.poll_acknowledgement() {
            self.put(&packet)?;
        }
        self.put(&Packet::Disconnect(Disconnect::new(reason)))?;
        let farewell = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await?;
            self.stream.shutdown().await
        };
        match timeout(FAREWELL, farewell).await {
            Ok(result) => result.map_err(|error| LinkError::from(&error)),
            Err(_) => Err(LinkError::Dead),
        }
    }

    fn poll_step(&mut self, session: &mut Session, context: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        if let Some(end) = &self.end {
            return Poll::Ready(Err(end.clone()));
        }
        let result = self.poll_work(session, context);
        if let Poll::Ready(Err(error)) = &result {
            self.end = Some(error.clone());
            self.protest(error.protest(), context);
        }
        result
    }

    fn poll_work(&mut self, session: &mut Session, context: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        loop {
            self.fill(session)?;
            let mut progress = self.poll_write(context);
            progress |= self.parse(session)?;
            if session.events() > 0 {
                return Poll::Ready(Ok(()));
            }
            if let Some(reason) = self.farewell {
                return Poll::Ready(Err(LinkError::Disconnected(reason)));
            }
            if self.reading {
                progress |= self.poll_read(context)?;
            }
            progress |= self.poll_keep_alive(context)?;
            if !progress {
                return match self.broken.take() {
                    Some(error) => Poll::Ready(Err(error)),
                    None => Poll::Pending,
                };
            }
        }
    }

    /// Takes packets of the session, to be written together.
    fn fill(&mut self, session: &mut Session) -> Result<(), LinkError> {
        while self.output.len() < WRITE_HIGH && self.broken.is_none() {
            let Some(packet) = session.poll_transmit() else {
                break;
            };
            self.put(&packet)?;
        }
        Ok(())
    }

    fn put(&mut self, packet: &Packet) -> Result<(), LinkError> {
        encode(packet, self.version, &mut self.output).map_err(LinkError::Unsendable)
    }

    /// Whether bytes were written. An error is kept until what the broker said before has been read.
    fn poll_write(&mut self, context: &mut Context<'_>) -> bool {
        let mut progress = false;
        while !self.output.is_empty() && self.broken.is_none() {
            match Pin::new(&mut self.stream).poll_write(context, &self.output) {
                Poll::Pending => return progress,
                Poll::Ready(Ok(0)) => self.broken = Some(LinkError::Closed),
                Poll::Ready(Ok(written)) => {
                    self.output.advance(written);
                    self.unflushed = true;
                    self.keep_alive.sent(Instant::now());
                    progress = true;
                }
                Poll::Ready(Err(error)) => self.broken = Some(LinkError::from(&error)),
            }
        }
        if self.unflushed && self.broken.is_none() {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => self.broken = Some(LinkError::from(&error)),
            }
        }
        progress
    }

    /// Whether bytes were read.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Result<bool, LinkError> {
        self.input.reserve(READ_CHUNK);
        // The future of `read_buf` holds no state of its own, so that it can be polled once and dropped.
        match pin!(self.stream.read_buf(&mut self.input)).poll(context) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err(self.broken.take().unwrap_or(LinkError::Closed)),
            Poll::Ready(Ok(_)) => {
                self.keep_alive.heard(Instant::now());
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(LinkError::from(&error)),
        }
    }

    /// Gives the session the packets that are there. Whether there were any.
    fn parse(&mut self, session: &mut Session) -> Result<bool, LinkError> {
        let mut progress = false;
        while session.events() < EVENTS_HIGH && self.farewell.is_none() {
            let Some(packet) = decode(&mut self.input, self.version, &self.limits)? else {
                break;
            };
            progress = true;
            match &packet {
                Packet::PingResp => self.keep_alive.answered(),
                Packet::Disconnect(disconnect) if self.version == Version::V5 => {
                    self.farewell = Some(disconnect.reason);
                }
                _ => {}
            }
            session.handle(packet)?;
        }
        Ok(progress)
    }

    /// Whether a PINGREQ is to be written.
    fn poll_keep_alive(&mut self, context: &mut Context<'_>) -> Result<bool, LinkError> {
        match self.keep_alive.due(Instant::now(), self.reading) {
            Due::Dead => Err(LinkError::Dead),
            Due::Ping => {
                self.put(&Packet::PingReq)?;
                self.keep_alive.pinged(Instant::now());
                Ok(true)
            }
            Due::At(deadline) => {
                if self.timer.deadline() != deadline {
                    self.timer.as_mut().reset(deadline);
                }
                // Over already: look again, since nobody else will wake this task.
                Ok(self.timer.as_mut().poll(context).is_ready())
            }
            Due::Never => Ok(false),
        }
    }

    /// Tells a broker of MQTT 5 why it is left, if the stream takes that at once.
    fn protest(&mut self, reason: Option<ReasonCode>, context: &mut Context<'_>) {
        let Some(reason) = reason.filter(|_| self.version == Version::V5) else {
            return;
        };
        if self.put(&Packet::Disconnect(Disconnect::new(reason))).is_ok() {
            self.poll_write(context);
        }
    }
}
