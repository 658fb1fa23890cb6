//! The hand-over: the session moves to a connection with another identity, make-before-break.
//!
//! TCP and TLS of the new connection are done before this begins, and the old one has served all the while.
//! Now new messages are held back, acknowledgements that are out get a moment to come in, and CONNECT goes out
//! on the new connection: the broker lets it take the client id over. Only its CONNACK makes the session move.
//! A refusal leaves the old connection as it was.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::LiveEvent;
use super::task::{Live, step};
use crate::connect::Opened;
use crate::store::SlotIdentity;
use crate::tls::{Failure, Stream};

impl Live {
    pub(super) async fn hand_over(
        &mut self,
        stream: Stream,
        identity: Arc<SlotIdentity>,
    ) -> Result<(), Failure> {
        // An attempt with the old identity would take the client id back.
        self.attempt = None;
        let began = Instant::now();
        self.session.pause();
        self.drain().await;
        let opened = self.connect_beside(stream).await;
        self.session.resume();
        let opened = opened?;
        // The broker has closed the old connection; whatever was unacknowledged on it goes out again.
        self.up = None;
        self.session.disconnected();
        let slot = identity.slot;
        self.target = Some(identity);
        self.adopt(*opened, slot).await;
        tracing::info!(%slot, held_ms = began.elapsed().as_millis(), "the live session has moved");
        Ok(())
    }

    /// Serves the connection until nothing is on the way, or the time for it is over.
    pub(super) async fn drain(&mut self) {
        let until = Instant::now() + self.settings.drain;
        while self.up.is_some() && self.session.in_flight() > 0 {
            let stepped = tokio::select! {
                stepped = step(&mut self.up, &mut self.session) => stepped,
                () = sleep_until(until) => return,
            };
            self.take_events().await;
            if let Err(why) = stepped {
                self.lost(why).await;
            }
        }
    }

    /// Connects on `stream` while the old connection goes on. If the CONNACK takes long, messages are let
    /// through on the old connection again: what it does not acknowledge is sent on the new one.
    async fn connect_beside(&mut self, stream: Stream) -> Result<Box<Opened>, Failure> {
        let (connector, options) = (self.connector.clone(), self.options.clone());
        let client = self.settings.client.clone();
        let opening = async move { connector.open(stream, &client, &options).await };
        tokio::pin!(opening);
        let until = Instant::now() + self.settings.drain;
        let (mut held, mut lost) = (true, None);
        loop {
            tokio::select! {
                opened = &mut opening => {
                    if let (Err(_), Some(why)) = (&opened, lost) {
                        self.report(LiveEvent::Down { why }).await;
                    }
                    return opened;
                }
                stepped = step(&mut self.up, &mut self.session) => {
                    self.take_events().await;
                    if let Err(why) = stepped {
                        // Taken over by the new connection, most likely: no loss unless that fails.
                        lost = Some(why);
                        self.up = None;
                        self.session.disconnected();
                    }
                }
                () = sleep_until(until), if held => {
                    held = false;
                    self.session.resume();
                }
            }
        }
    }
}
