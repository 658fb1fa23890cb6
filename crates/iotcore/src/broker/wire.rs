//! One connection's bytes in and out: both directions at once, buffers only while they hold something.
//!
//! Reading goes on while writing is stuck, so that two peers that both write much cannot lock each other up.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that one read takes: a full TLS record.
const CHUNK: usize = 16 * 1024;

/// What a step has achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Bytes came in.
    Read,
    /// All that was to be sent has been taken by the network.
    Wrote,
    /// The peer has sent its last byte.
    End,
}

/// A stream with its two buffers.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    /// Received and not decoded yet.
    pub(super) inbox: BytesMut,
    /// Encoded and not sent yet.
    pub(super) outbox: BytesMut,
    unflushed: bool,
    /// Rises with every byte that the network takes: a writer that stands still is seen by it.
    pub(super) taken: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, inbox: BytesMut::new(), outbox: BytesMut::new(), unflushed: false, taken: 0 }
    }

    /// Sends what is to be sent and, if `read`, receives. Cancel-safe: no byte is lost.
    ///
    /// # Errors
    /// When the stream breaks.
    pub(super) async fn step(&mut self, read: bool) -> io::Result<Step> {
        self.free_buffers();
        poll_fn(|context| self.poll_step(context, read)).await
    }

    /// Whether something waits to be sent.
    pub(super) fn is_writing(&self) -> bool {
        !self.outbox.is_empty() || self.unflushed
    }

    /// Sends all that is to be sent and says goodbye to the stream.
    ///
    /// # Errors
    /// When the stream breaks.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        while self.is_writing() {
            self.step(false).await?;
        }
        poll_fn(|context| Pin::new(&mut self.stream).poll_shutdown(context)).await
    }

    /// Reads and throws away until the peer has sent its last byte or the stream breaks.
    pub(super) async fn drain(&mut self) {
        while let Ok(Step::Read | Step::Wrote) = self.step(true).await {
            self.inbox.clear();
        }
    }

    /// An idle connection keeps no buffers: there may be thousands.
    fn free_buffers(&mut self) {
        for buffer in [&mut self.inbox, &mut self.outbox] {
            if buffer.is_empty() && buffer.capacity() > 0 {
                *buffer = BytesMut::new();
            }
        }
    }

    fn poll_step(&mut self, context: &mut Context<'_>, read: bool) -> Poll<io::Result<Step>> {
        let was_writing = self.is_writing();
        if was_writing && self.poll_write(context)?.is_ready() {
            return Poll::Ready(Ok(Step::Wrote));
        }
        if read { self.poll_read(context) } else { Poll::Pending }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.outbox))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbox.advance(written);
            self.unflushed = true;
            self.taken += 1;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Step>> {
        let mut space = [const { MaybeUninit::<u8>::uninit() }; CHUNK];
        let mut chunk = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut chunk))?;
        if chunk.filled().is_empty() {
            return Poll::Ready(Ok(Step::End));
        }
        self.inbox.extend_from_slice(chunk.filled());
        Poll::Ready(Ok(Step::Read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn reading_goes_on_while_the_peer_takes_nothing() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut wire = Wire::new(ours);
        wire.outbox.extend_from_slice(&[7; 1000]);
        theirs.write_all(b"hello").await.unwrap();
        assert_eq!(wire.step(true).await.unwrap(), Step::Read);
        assert_eq!(&wire.inbox[..], b"hello");
        assert!(wire.is_writing() && wire.taken > 0);
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).await.unwrap();
            all
        });
        wire.close().await.unwrap();
        drop(wire);
        assert_eq!(reader.await.unwrap(), [7; 1000]);
    }

    #[tokio::test]
    async fn an_idle_wire_keeps_no_buffers() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut wire = Wire::new(ours);
        theirs.write_all(b"hello").await.unwrap();
        wire.step(true).await.unwrap();
        let _ = wire.inbox.split_to(5);
        drop(theirs);
        assert_eq!(wire.step(true).await.unwrap(), Step::End);
        assert_eq!(wire.inbox.capacity() + wire.outbox.capacity(), 0);
    }
}
