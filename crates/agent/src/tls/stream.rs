//! An encrypted connection that tells a refusal of our certificate from any other failure.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::failure::is_about_us;
use crate::prompt::Prompt;

/// The kind that an error gets when it is the peer's alert about our certificate: layers above keep an error's
/// kind but not its source.
pub(crate) const REFUSAL: io::ErrorKind = io::ErrorKind::PermissionDenied;

/// An encrypted connection to the broker.
#[derive(Debug)]
pub struct Stream(Box<TlsStream<Prompt>>);

impl Stream {
    pub(super) fn new(stream: TlsStream<Prompt>) -> Self {
        Self(Box::new(stream))
    }
}

fn mark<T>(polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    polled.map_err(|error| match is_about_us(&error) {
        true => io::Error::new(REFUSAL, error),
        false => error,
    })
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        mark(Pin::new(&mut self.0).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        mark(Pin::new(&mut self.0).poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        mark(Pin::new(&mut self.0).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        mark(Pin::new(&mut self.0).poll_shutdown(context))
    }
}
