//! A TCP stream that confirms to its peer what it has read at once.
//!
//! The kernel puts an ACK off by some 40 ms, for something to send with it, and a peer with Nagle's algorithm (most MQTT
//! clients and some brokers) holds its next small packet back until that ACK. In a hand-over, which waits for the last
//! answers, this is most of the time that a client is held.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// See the module.
#[derive(Debug)]
pub(crate) struct Prompt(TcpStream);

impl Prompt {
    /// Without delay in the other direction either.
    ///
    /// # Errors
    /// When the connection has ended meanwhile.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// The kernel forgets it, so it is said after each read (tcp(7), TCP_QUICKACK). Where it cannot be said, the ACK is late.
    fn confirm(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = self.0.set_quickack(true);
    }
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.0).poll_read(context, buffer);
        if polled.is_ready() {
            self.confirm();
        }
        polled
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_was_read_is_confirmed_at_once_however_long_the_talk_has_gone_on() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut stream = Prompt::new(listener.accept().await.unwrap().0).unwrap();
        // A kernel that sees question and answer take turns puts its ACKs off.
        for _ in 0..40 {
            peer.write_all(b"?").await.unwrap();
            stream.read_u8().await.unwrap();
            assert!(stream.0.quickack().unwrap());
            stream.write_all(b"!").await.unwrap();
            peer.read_u8().await.unwrap();
        }
    }
}
