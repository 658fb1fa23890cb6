//! The sidecar: local MQTT clients that never see a certificate rotate.
//!
//! A client that cannot rotate its certificate (Node-RED, CODESYS, most others) connects here in plain MQTT, and the agent
//! carries its session to AWS with the device's identity, as `<thing>`. When the identity changes, the link to AWS is
//! replaced and the client's connection stays (`docs/sidecar.md`). The agent's own traffic goes as `<thing>~agent`; only
//! its retire requests, which AWS has to attest for the thing itself, travel on the client's link, with identifiers that
//! the client does not use.
//!
//! - `relay`: what happens, without I/O
//! - `session`: the task that does it; `wire`: packets over any stream
//! - `listener`: where clients come in; `route`: those who are another agent's; `secure`: TLS and passwords, for those on other machines; `settings`, `status`: what it is told, and what it tells

use std::sync::Arc;

use bytes::Bytes;
use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::event::Tier;
use fleetkey_mqtt::Text;
use tokio::sync::{mpsc, oneshot};

use crate::carrier::Broken;
use crate::store::SlotIdentity;
use crate::tls::Failure;

pub(crate) use listener::{BindError, Bound};
pub(crate) use relay::Unpublished;
pub use route::Route;
pub use secure::{SecureError, TlsListen, User, UsersError, new_user};
pub(crate) use session::Session;
pub use settings::{Listen, SidecarSettings};
pub use status::{ClientStatus, MoveStatus, SidecarEvent, SidecarStatus};

mod listener;
mod relay;
mod route;
mod secure;
mod session;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod wire;

/// Commands that may wait while the task is busy.
const COMMANDS: usize = 16;

/// What the task is asked.
#[derive(Debug)]
pub(crate) enum Command {
    /// A local client has said CONNECT.
    Arrived(Box<wire::Arrived>),
    /// Serve with this identity from now on.
    Switch { identity: Arc<SlotIdentity>, reply: oneshot::Sender<Result<(), Failure>> },
    /// Publish on the link with this identity.
    Publish { on: SlotId, topic: Text, payload: Bytes, reply: oneshot::Sender<Result<(), Unpublished>> },
    /// The end.
    Stop { reply: oneshot::Sender<()> },
}

/// The way to the sidecar's task. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SidecarHandle {
    commands: mpsc::Sender<Command>,
}

impl SidecarHandle {
    /// Moves the client's link to `identity`; with no client there is nothing to move. Returns when the broker has
    /// accepted it and the client is served, or when it is served on what it was served on before, or on its way back.
    pub(crate) async fn switch(&self, identity: Arc<SlotIdentity>) -> Result<(), Failure> {
        let stopped = || Err(Failure::unreachable(Tier::Tls, "the sidecar has stopped"));
        self.ask(|reply| Command::Switch { identity, reply }).await.unwrap_or_else(stopped)
    }

    /// Publishes at QoS 1 as the thing itself, on the client's link, if that has this identity; never on another.
    pub(crate) async fn publish(&self, on: SlotId, topic: &str, payload: Bytes) -> Result<(), Broken> {
        let topic = Text::from(topic);
        match self.ask(|reply| Command::Publish { on, topic, payload, reply }).await {
            Some(Ok(())) => Ok(()),
            Some(Err(Unpublished::NoLink)) => Err(Broken::Unsent(
                "no client is connected to the sidecar with the identity in use, and only its session is the thing's".into(),
            )),
            Some(Err(Unpublished::Lost)) => Err(Broken::Closed("before the answer".into())),
            Some(Err(Unpublished::Refused(reason))) => Err(Broken::Refused(reason)),
            None => Err(Broken::Unsent("the sidecar has stopped".into())),
        }
    }

    /// Ends the client's session and the task.
    pub(crate) async fn stop(&self) {
        let _ = self.ask(|reply| Command::Stop { reply }).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}
