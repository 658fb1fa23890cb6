//! The hand-over: the session moves to a connection with another identity, make-before-break.
//!
//! First TCP and TLS of the new connection are made while the old one serves. Then new messages are held back
//! for a moment, so that acknowledgements that are out can come in, and CONNECT goes out on the new connection:
//! the broker lets it take the client id over. Only its CONNACK makes the session move. A refusal leaves the old
//! connection as it was; a CONNACK that takes long lets messages through on the old connection again, and what
//! it does not acknowledge is sent on the new one.
//!
//! Where the identity has to prove itself first, that happens on the new connection before the session moves to it
//! ([`super::proof`]). By then the broker has closed the old connection, so that a failure means a way back: a new
//! connection with the old identity, on which everything that waited goes out.

use std::sync::Arc;

use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::event::{FailureKind, Tier};
use fleetkey_mqtt::{Packet, Publish};
use tokio::time::{Duration, Instant, sleep_until};

use super::proof::{Proven, prove};
use super::task::{Live, Pending};
use super::{LiveEvent, Moved, Proof, Switch};
use crate::connect::Opened;
use crate::store::SlotIdentity;
use crate::tls::{ClientIdentity, Failure, Stream};

/// How long a failed proof waits for the identity before to serve again. Reconnecting goes on after it.
const RETURN: Duration = Duration::from_secs(10);

/// A move that is under way.
pub(super) struct Moving {
    switch: Switch,
    phase: Phase,
}

/// How far it has come.
enum Phase {
    /// TCP and TLS are being made; the old connection is not concerned.
    Dialing(Pending<Stream>),
    /// Messages are held back until nothing is on the way, or the time for it is over.
    Draining { stream: Stream, since: Instant, until: Instant },
    /// CONNECT is out.
    Opening {
        opened: Pending<Box<Opened>>,
        since: Instant,
        /// When messages are let through again on the old connection; `None` when they are.
        resume_at: Option<Instant>,
        /// Why the old connection is gone, if it is: taken over, most likely.
        lost: Option<String>,
    },
    /// The broker has accepted; the identity proves the rest. There is no old connection any more.
    Proving { proved: Pending<Box<Proven>>, since: Instant },
    /// The proof failed: on the way back to the identity before, for as long as is worth waiting for it.
    Returning { failure: Failure, until: Instant },
}

impl Moving {
    /// What there is to prove once the broker has accepted, and since when messages are held back.
    fn proof(&self) -> Option<(Proof, Instant)> {
        match self.phase {
            Phase::Opening { since, .. } => self.switch.proof.clone().map(|proof| (proof, since)),
            _ => None,
        }
    }
}

/// What a move has come to.
pub(super) enum Progress {
    Dialed(Result<Stream, Failure>),
    Drained,
    Slow,
    Opened(Result<Box<Opened>, Failure>),
    Proved(Result<Box<Proven>, Failure>),
    Late,
}

/// Waits for the next step of a move; for ever when there is none. Cancel it at will.
pub(super) async fn progress(moving: Option<&mut Moving>) -> Progress {
    match moving.map(|moving| &mut moving.phase) {
        None => std::future::pending().await,
        Some(Phase::Dialing(dial)) => Progress::Dialed(dial.await),
        Some(Phase::Draining { until, .. }) => {
            sleep_until(*until).await;
            Progress::Drained
        }
        Some(Phase::Opening { opened, resume_at, .. }) => {
            let resume_at = *resume_at;
            tokio::select! {
                opened = opened => Progress::Opened(opened),
                () = sleep_until(resume_at.unwrap_or_else(Instant::now)), if resume_at.is_some() => {
                    Progress::Slow
                }
            }
        }
        Some(Phase::Proving { proved, .. }) => Progress::Proved(proved.await),
        Some(Phase::Returning { until, .. }) => {
            sleep_until(*until).await;
            Progress::Late
        }
    }
}

impl Live {
    pub(super) fn begin_switch(&mut self, switch: Switch) {
        if self.serves(switch.identity.slot) {
            let _ = switch.reply.send(Ok(Moved::Already));
            return;
        }
        let (connector, client) = (self.connector.clone(), self.settings.client.clone());
        let identity = ClientIdentity::from(&*switch.identity);
        let dial = Box::pin(async move { connector.dial(&identity, &client).await });
        let phase = Phase::Dialing(dial);
        if let Some(given_up) = self.moving.replace(Moving { switch, phase }) {
            self.session.resume();
            let why = "another identity was asked for meanwhile";
            let _ = given_up.switch.reply.send(Err(Failure::unreachable(Tier::Tls, why)));
        }
    }

    /// Whether the client id is about to be taken over: no other attempt may interfere.
    pub(super) fn is_taking_over(&self) -> bool {
        let is_free = |phase: &Phase| matches!(phase, Phase::Dialing(_) | Phase::Returning { .. });
        self.moving.as_ref().is_some_and(|moving| !is_free(&moving.phase))
    }

    pub(super) async fn on_progress(&mut self, progress: Progress) {
        match progress {
            Progress::Dialed(Ok(_)) if self.serves_already() => self.settle(Ok(Moved::Already)),
            Progress::Dialed(Ok(stream)) => self.drain(stream),
            Progress::Dialed(Err(failure)) => self.settle(Err(failure)),
            Progress::Drained => self.open(),
            Progress::Slow => self.let_through(),
            Progress::Opened(Ok(opened)) => self.accepted(opened).await,
            Progress::Opened(Err(failure)) => self.stay(failure).await,
            Progress::Proved(Ok(proven)) => self.take_over(*proven).await,
            Progress::Proved(Err(failure)) => self.go_back(failure).await,
            Progress::Late => self.is_back(),
        }
    }

    /// Whether the connection that is there has this identity. It may have come about since it was asked for.
    pub(super) fn serves(&self, slot: SlotId) -> bool {
        self.up.is_some() && self.target.as_ref().is_some_and(|target| target.slot == slot)
    }

    fn serves_already(&self) -> bool {
        self.moving.as_ref().is_some_and(|moving| self.serves(moving.switch.identity.slot))
    }

    /// Holds new messages back; the connection goes on until nothing is on the way.
    fn drain(&mut self, stream: Stream) {
        // An attempt with the old identity would take the client id back.
        self.attempt = None;
        self.session.pause();
        let since = Instant::now();
        let until = since + self.settings.drain;
        self.enter(Phase::Draining { stream, since, until });
        self.open_if_drained();
    }

    /// Called after every step of the connection.
    pub(super) fn open_if_drained(&mut self) {
        let draining =
            self.moving.as_ref().is_some_and(|moving| matches!(moving.phase, Phase::Draining { .. }));
        if draining && (self.up.is_none() || self.session.in_flight() == 0) {
            self.open();
        }
    }

    /// Sends CONNECT on the new connection.
    fn open(&mut self) {
        let Some(Moving { switch, phase: Phase::Draining { stream, since, .. } }) = self.moving.take() else {
            return;
        };
        let (connector, options) = (self.connector.clone(), self.options.clone());
        let client = self.settings.client.clone();
        let opened = Box::pin(async move { connector.open(stream, &client, &options).await });
        let resume_at = Some(Instant::now() + self.settings.drain);
        let phase = Phase::Opening { opened, since, resume_at, lost: None };
        self.moving = Some(Moving { switch, phase });
    }

    fn let_through(&mut self) {
        if let Some(Moving { phase: Phase::Opening { resume_at, .. }, .. }) = &mut self.moving {
            *resume_at = None;
        }
        self.session.resume();
    }

    /// A loss while the client id is being taken over is no news; the reason is kept in case that fails.
    pub(super) fn blame_takeover(&mut self, why: String) -> Option<String> {
        if let Some(Moving { phase: Phase::Opening { lost, .. }, .. }) = &mut self.moving {
            *lost = Some(why);
            return None;
        }
        self.open_if_drained();
        Some(why)
    }

    /// The broker has accepted, and thereby ended the old connection.
    async fn accepted(&mut self, opened: Box<Opened>) {
        let Some((proof, since)) = self.moving.as_ref().and_then(Moving::proof) else {
            return self.take_over(Proven { opened: *opened, held: Vec::new() }).await;
        };
        self.up = None;
        self.disconnected();
        // Identifiers that the proof meets are those of its own connection.
        self.session.forget_received();
        let (settings, events) = (self.settings.clone(), self.events.clone());
        let proved = Box::pin(async move { prove(*opened, &proof, &settings, &events).await });
        self.enter(Phase::Proving { proved, since });
    }

    /// The session moves: whatever was unacknowledged on the old connection goes out on the new one, and what came by
    /// that before is its own to answer.
    async fn take_over(&mut self, Proven { opened, held }: Proven) {
        let Some(Moving { switch, phase }) = self.moving.take() else {
            return;
        };
        self.up = None;
        self.disconnected();
        self.session.resume();
        let slot = switch.identity.slot;
        self.target = Some(switch.identity);
        self.adopt(opened, slot).await;
        self.take_in(held).await;
        if let Some(proof) = switch.proof {
            self.unsubscribe(&[proof.topic]);
        }
        if let Phase::Opening { since, .. } | Phase::Proving { since, .. } = phase {
            let held_ms = since.elapsed().as_millis();
            tracing::info!(%slot, held_ms, "the live session has moved");
        }
        let _ = switch.reply.send(Ok(Moved::Now));
    }

    async fn take_in(&mut self, held: Vec<Publish>) {
        for publish in held {
            if let Err(error) = self.session.handle(Packet::Publish(publish)) {
                tracing::warn!(%error, "passed over a message that came during a proof");
            }
        }
        self.take_events().await;
    }

    /// The broker has not accepted: the old connection, or the next attempt with its identity, goes on.
    async fn stay(&mut self, failure: Failure) {
        self.session.resume();
        let lost = match &mut self.moving {
            Some(Moving { phase: Phase::Opening { lost, .. }, .. }) => lost.take(),
            _ => None,
        };
        if let Some(up) = self.up.as_mut().filter(|_| failure.kind == FailureKind::Unreachable) {
            up.contested = true;
        }
        if let Some(why) = lost {
            self.report(LiveEvent::Down { why }).await;
        }
        self.settle(Err(failure));
    }

    /// The proof failed on the connection that took the old one's place: back to the identity before, at once.
    async fn go_back(&mut self, failure: Failure) {
        self.session.resume();
        self.report(LiveEvent::Down { why: format!("another identity did not prove itself: {failure}") })
            .await;
        if self.target.is_none() {
            return self.settle(Err(failure));
        }
        self.backoff.reset();
        let until = Instant::now() + RETURN;
        self.enter(Phase::Returning { failure, until });
    }

    /// The way back has ended: the old identity serves again, or that takes longer than is worth waiting for.
    pub(super) fn is_back(&mut self) {
        if let Some(Moving { phase: Phase::Returning { failure, .. }, .. }) = &self.moving {
            let failure = failure.clone();
            self.settle(Err(failure));
        }
    }

    /// Ends a move whose connection did not come about or was not needed.
    fn settle(&mut self, result: Result<Moved, Failure>) {
        let Some(Moving { switch, .. }) = self.moving.take() else {
            return;
        };
        if result.is_err() && self.target.is_none() && switch.proof.is_none() {
            // There is nothing to fall back to, so there is nothing to lose by going on trying.
            self.target = Some(Arc::<SlotIdentity>::clone(&switch.identity));
        }
        let _ = switch.reply.send(result);
    }

    fn enter(&mut self, phase: Phase) {
        if let Some(moving) = &mut self.moving {
            moving.phase = phase;
        }
    }
}
