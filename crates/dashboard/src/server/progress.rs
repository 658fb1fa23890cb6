//! A connection whose other end must take what it is sent: one that asks and never reads would keep its place for ever.
//!
//! hyper has a deadline for the head of a request, but that does not run while an answer waits to be written. Here each write
//! has one: so long may nothing at all be taken. A stream on which nothing is waiting to be sent has none, so one that is
//! silent between two heartbeats stays open as long as its heartbeats are read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How long the other end may take nothing while something waits to be sent to it.
const STALL: Duration = Duration::from_secs(30);

/// Has the system end a connection whose other end acknowledges nothing for as long: a browser whose network is gone takes what
/// little is sent to it into the socket's buffer, and the next heartbeat but two finds its place free (RFC 5482; tcp(7), Linux).
///
/// # Errors
/// When the system does not take it.
#[cfg_attr(
    not(target_os = "linux"),
    expect(clippy::missing_const_for_fn, reason = "where there is no such option")
)]
pub(super) fn expect_acknowledgements(stream: &TcpStream) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return SockRef::from(stream).set_tcp_user_timeout(Some(STALL));
    #[cfg(not(target_os = "linux"))]
    return Ok(());
}

/// The connection. Beneath TLS, so that what counts is what the socket takes.
#[derive(Debug)]
pub(super) struct Progress<S> {
    stream: S,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Progress<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, stalled: None }
    }

    /// What has come of a write; too late counts as an error.
    fn judged(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        ready!(self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL))).as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing that was sent is being read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judged(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.judged(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // Neither of these moves bytes of a socket: what waits is written again until it is taken.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_reader_that_has_vanished_is_given_up_within_a_minute_of_the_last_heartbeat() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        expect_acknowledgements(&stream).unwrap();
        let given_up = SockRef::from(&stream).tcp_user_timeout().unwrap().unwrap();
        assert_eq!(given_up, STALL);
        assert!(given_up + crate::http::stream::HEARTBEAT < Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_of_which_nothing_is_taken_fails_in_time() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let begun = Instant::now();
        let failed = Progress::new(ours).write_all(&[0; 17]).await.unwrap_err();
        assert_eq!((failed.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, STALL.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_slowly_is_waited_for_and_whoever_was_sent_nothing_too() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut ours = Progress::new(ours);
        ours.write_all(&[0; 16]).await.unwrap();
        tokio::time::advance(STALL * 10).await;
        let slow = tokio::spawn(async move {
            let mut pace = tokio::time::interval(STALL - Duration::from_secs(1));
            for _ in 0..100 {
                pace.tick().await;
                theirs.read_u8().await.unwrap();
            }
        });
        ours.write_all(&[0; 84]).await.unwrap();
        slow.await.unwrap();
    }
}
