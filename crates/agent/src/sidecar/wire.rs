//! Packets over any stream: one task that reads, one that writes.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use fleetkey_mqtt::{ConnAck, Connect, DecodeError, Limits, Packet, ReasonCode, Version, decode, encode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::relay::Loss;
use crate::tls::REFUSAL;

/// Bytes asked of a stream at once.
const READ_CHUNK: usize = 16 * 1024;
/// How long a peer may leave what we send unread before it counts as gone.
const STALL: Duration = Duration::from_secs(30);
/// How long the end of a connection may take.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);

pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A local client whose CONNECT has been read; what followed it is in `rest`.
pub(crate) struct Arrived {
    pub(crate) connect: Box<Connect>,
    pub(crate) peer: String,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) rest: BytesMut,
}

impl core::fmt::Debug for Arrived {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Arrived").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// What a connection brings.
#[derive(Debug)]
pub(super) enum Heard {
    Packet(Packet),
    End(Loss),
}

/// The sending half of a connection. When it is dropped, what waits is sent and the connection closed; nothing more is
/// heard of it then.
#[derive(Debug)]
pub(super) struct Sending {
    version: watch::Sender<Version>,
    outgoing: Arc<Outgoing>,
    reading: AbortHandle,
}

/// What is to be written. How much that may become is its owner's business, who sees the [`Sending::backlog`].
#[derive(Debug, Default)]
struct Outgoing {
    waiting: Mutex<BytesMut>,
    /// Bytes that the writer has taken and the peer has not.
    writing: AtomicUsize,
    is_last: AtomicBool,
    more: Notify,
    /// The peer is told why, and may still be sending: a connection that is closed with something unread is reset, and
    /// the reset may overtake the words.
    lingers: AtomicBool,
}

impl Sending {
    /// Starts both tasks. `heard` gets what comes; `drained` is told when everything is written; `alive` is held until
    /// the connection has ended.
    pub(super) fn start(
        (reader, writer): (Reader, Writer),
        version: Version,
        rest: BytesMut,
        heard: impl Fn(Heard) -> Told + Clone + Send + Sync + 'static,
        (drained, alive): (Arc<Notify>, mpsc::Sender<()>),
    ) -> Self {
        let (version, seen) = watch::channel(version);
        let outgoing = Arc::new(Outgoing::default());
        let (told, taken, lingering) = (heard.clone(), outgoing.clone(), outgoing.clone());
        let reading = tokio::spawn(async move {
            let mut reader = reader;
            let loss = read(&mut reader, &seen, rest, &heard).await;
            let lingers = matches!(loss, Loss::Malformed(..));
            lingering.lingers.store(lingers, Ordering::Release);
            heard(Heard::End(loss)).await;
            if lingers {
                discard(&mut reader).await;
            }
        });
        tokio::spawn(async move {
            if let Err(error) = write(writer, &taken, &drained).await {
                told(Heard::End(Loss::Broken(error.to_string()))).await;
            }
            drop(alive);
        });
        Self { version, outgoing, reading: reading.abort_handle() }
    }

    /// Sends a packet; CONNECT decides the version of everything after it.
    pub(super) fn send(&self, packet: &Packet) {
        if let Packet::Connect(connect) = packet {
            self.version.send_replace(connect.version);
        }
        let version = *self.version.borrow();
        let encoded = encode(packet, version, &mut self.outgoing.waiting());
        match encoded {
            Ok(()) => self.outgoing.more.notify_one(),
            // Whatever passes through was decoded before; what we make ourselves is tested.
            Err(error) => tracing::error!(%error, packet = %packet.kind(), "cannot be sent"),
        }
    }

    /// Bytes that the peer has not taken yet.
    pub(super) fn backlog(&self) -> usize {
        self.outgoing.waiting().len().saturating_add(self.outgoing.writing.load(Ordering::Relaxed))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.outgoing.lingers.load(Ordering::Acquire) {
            self.reading.abort();
        }
        self.outgoing.is_last.store(true, Ordering::Release);
        self.outgoing.more.notify_one();
    }
}

impl Outgoing {
    fn waiting(&self) -> MutexGuard<'_, BytesMut> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits, when something does; `None` when nothing more will come.
    async fn take(&self) -> Option<BytesMut> {
        loop {
            // Looked at first: what was sent before it was set is there.
            let is_last = self.is_last.load(Ordering::Acquire);
            let taken = std::mem::take(&mut *self.waiting());
            self.writing.store(taken.len(), Ordering::Relaxed);
            match (taken.is_empty(), is_last) {
                (false, _) => return Some(taken),
                (true, true) => return None,
                (true, false) => self.more.notified().await,
            }
        }
    }
}

/// A future of somebody who is told something.
pub(super) type Told = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Reads a client's CONNECT.
pub(super) async fn read_connect(reader: &mut Reader, buffer: &mut BytesMut) -> io::Result<Box<Connect>> {
    loop {
        match decode(buffer, Version::V5, &Limits::default()).map_err(io::Error::other)? {
            Some(Packet::Connect(connect)) => return Ok(connect),
            Some(other) => return Err(io::Error::other(format!("it began with {}", other.kind()))),
            None => {}
        }
        if reader.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Answers a client's CONNECT with no.
pub(super) async fn refuse(writer: &mut Writer, version: Version, reason: ReasonCode) -> io::Result<()> {
    let mut answer = BytesMut::new();
    encode(&Packet::ConnAck(ConnAck::refused(reason)), version, &mut answer).map_err(io::Error::other)?;
    writer.write_all(&answer).await?;
    writer.shutdown().await
}

/// Hands over packet after packet, as fast as they are taken, until the end.
async fn read(
    reader: &mut Reader,
    version: &watch::Receiver<Version>,
    mut buffer: BytesMut,
    heard: &(impl Fn(Heard) -> Told + Sync),
) -> Loss {
    loop {
        loop {
            let version = *version.borrow();
            match decode(&mut buffer, version, &Limits::default()) {
                Ok(Some(packet)) => heard(Heard::Packet(packet)).await,
                Ok(None) => break,
                Err(error) => return malformed(error, buffer.first().copied()),
            }
        }
        buffer.reserve(READ_CHUNK);
        match reader.read_buf(&mut buffer).await {
            Ok(0) => return Loss::Closed,
            Ok(_) => {}
            Err(error) if error.kind() == REFUSAL => return Loss::Refused(error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Loss::Closed,
            Err(error) => return Loss::Broken(error.to_string()),
        }
    }
}

/// What cannot be taken, for people. The codec names the packet wherever it has looked into it.
fn malformed(error: DecodeError, first: Option<u8>) -> Loss {
    let why = match (error, first.map(|byte| byte >> 4)) {
        (DecodeError::TooLarge { .. }, Some(3)) => format!("it sent a PUBLISH that is too large: {error}"),
        (DecodeError::TooLarge { .. }, Some(kind)) => {
            format!("it sent a packet of type {kind} that is too large: {error}")
        }
        _ => format!("it sent what is no packet: {error}"),
    };
    Loss::Malformed(error.reason(), why)
}

/// Reads on until the peer has closed, for a while.
async fn discard(reader: &mut Reader) {
    let mut nowhere = tokio::io::sink();
    let until_end = tokio::io::copy(reader, &mut nowhere);
    // However it ends, it has.
    let _ = timeout(FAREWELL, until_end).await;
}

/// Writes what is to be sent, all that waits at once; then closes.
async fn write(mut writer: Writer, outgoing: &Outgoing, drained: &Notify) -> io::Result<()> {
    while let Some(mut chunk) = outgoing.take().await {
        while !chunk.is_empty() {
            let written = timeout(STALL, writer.write(&chunk)).await;
            match written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => chunk.advance(count),
            }
        }
        timeout(STALL, writer.flush()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        outgoing.writing.store(0, Ordering::Relaxed);
        drained.notify_one();
    }
    timeout(FAREWELL, writer.shutdown()).await.unwrap_or(Ok(()))
}
