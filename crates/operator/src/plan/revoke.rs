//! Ends certificates at once: the status, then the connections that are open with them, and how long each took. And the
//! way back, for one that is INACTIVE.
//!
//! AWS cuts a client whose certificate is not ACTIVE any more "within a few minutes"; DeleteConnection does it now. Which
//! certificate a connection is of no operation tells, so every client id of the certificate's things is cut, and every one that
//! was seen with it ([`Seen`]): whoever holds another certificate is back at once, with nothing lost that was acknowledged.
//!
//! The status is what counts: a client that is refused at its next CONNECT is ended, and AWS cuts it soon. So nothing that the
//! data plane says, or does not say, keeps a status from being changed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;
use serde_json::json;

use super::credential::failed;
use super::{Change, Operator, PlanError, Tools};
use crate::cloud::Cloud;
use crate::control_plane::{ApiError, Connected, ControlPlane, Done};

/// How long is looked for connections before a status is changed.
pub(super) const LOOK_FOR: Duration = Duration::from_secs(2);
/// Ends connections.
pub trait Cutter: ControlPlane {
    /// DeleteConnection; [`ApiError::NotFound`] for a client that is neither connected nor waited for.
    fn cut(&self, client: &ClientId) -> impl Future<Output = Done> + Send;
}

/// What is to become of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// INACTIVE, which can be undone, or REVOKED, which cannot; ACTIVE undoes.
    pub status: CertificateStatus,
    /// Why, for the journal.
    pub why: String,
    /// Whether to cut the connections.
    pub cut: bool,
    /// How long a connection may take to end.
    pub patience: Duration,
    /// Who was seen connected.
    pub seen: Seen,
}

/// Client ids that were seen connected with a certificate: they are cut besides those of its things.
pub type Seen = BTreeMap<CertificateId, Vec<ClientId>>;

/// A certificate whose status is as it is to be, and whose connections are to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    certificate: CertificateId,
    before: CertificateStatus,
    status: CertificateStatus,
    changed_after: Option<Duration>,
    /// As it was before the change; nothing where it was not told at once.
    open: Option<Open>,
}

/// A certificate's things, and who may be connected with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    things: Vec<ThingName>,
    clients: Vec<(ClientId, Connected)>,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which certificate.
    pub certificate: CertificateId,
    /// What it was before.
    pub before: CertificateStatus,
    /// What it is now: what was wanted, or REVOKED, which it stays.
    pub status: CertificateStatus,
    /// Its things.
    pub things: Vec<ThingName>,
    /// How long the account took to change its status; nothing when it was that already.
    pub changed_after: Option<Duration>,
    /// The connections that there were.
    pub connections: Vec<Cut>,
}

/// A connection that was open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Of which client.
    pub client: ClientId,
    /// How long after the first cut that was found.
    pub after: Duration,
    /// What was found.
    pub outcome: Outcome,
    /// What the account said to [`Outcome::Uncut`].
    pub trouble: Option<String>,
}

impl Cut {
    /// Whether the connection may still be open, until the account cuts it by itself.
    pub const fn may_be_open(&self) -> bool {
        matches!(self.outcome, Outcome::Stays | Outcome::Uncut)
    }
}

/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ended.
    Gone,
    /// It ended, and the client is connected again since: with another certificate, or the end has not spread yet.
    Back(Timestamp),
    /// It has not ended.
    Stays,
    /// It was cut, if there was one: the account does not tell.
    Untold,
    /// It could not be cut, or not be asked after: the data plane refused, or was not reached.
    Uncut,
}

impl<C: Cloud + Cutter> Operator<'_, C> {
    /// Ends a certificate: its status, then the connections.
    ///
    /// # Errors
    /// When there is no such certificate, a call fails that is not the data plane's, or the journal cannot be written.
    pub async fn revoke(&mut self, id: &CertificateId, ending: &Ending) -> Result<Ended, PlanError> {
        let begun = self.change_status(id, ending).await?;
        self.end_connections(begun, ending).await
    }

    /// Changes a certificate's status; the connections are left to [`Self::end_connections`].
    ///
    /// # Errors
    /// When there is no such certificate, the account refuses, or the journal cannot be written.
    pub async fn change_status(&mut self, id: &CertificateId, ending: &Ending) -> Result<Begun, PlanError> {
        // First: what is found is what the next one to have the directory finds.
        self.resume().await?;
        let (cloud, patience) = (self.tools.cloud, self.tools.making);
        let what = format!("certificate {id}");
        let found = patience.call(|_| {}, || cloud.describe_certificate(id)).await.map_err(failed(&what))?;
        // Before: who is cut by the change itself is measured, too.
        let open = self.open_now(id, ending).await;
        let begun = self.now();
        // What is revoked stays so: INACTIVE would be less, and AWS refuses it.
        let is_past =
            found.status == CertificateStatus::Revoked && ending.status == CertificateStatus::Inactive;
        let differs = found.status != ending.status && !is_past;
        if differs {
            let change = Change {
                action: match ending.status {
                    CertificateStatus::Revoked => "revoke",
                    CertificateStatus::Active => "reactivate",
                    _ => "deactivate",
                },
                what,
                why: Some(ending.why.clone()),
                before: Some(json!({ "status": found.status })),
                after: Some(json!({ "status": ending.status })),
            };
            let work = async |tools: &Tools<'_, C>| {
                patience.call(|_| {}, || settle(tools.cloud, id, ending.status)).await
            };
            self.journaled(change, work).await?;
        }
        let changed_after = differs.then(|| self.now().since(begun));
        let (before, status) = (found.status, if is_past { found.status } else { ending.status });
        Ok(Begun { certificate: *id, before, status, changed_after, open })
    }

    /// Ends the connections of a certificate whose status was changed, if they are to be cut. Others may have the directory
    /// while one is waited for.
    ///
    /// # Errors
    /// When the certificate's things are not told, or the journal cannot be written. What the data plane says is told of
    /// each connection.
    pub async fn end_connections(&mut self, begun: Begun, ending: &Ending) -> Result<Ended, PlanError> {
        let Begun { certificate, before, status, changed_after, open } = begun;
        let Open { things, clients } = match open {
            Some(open) => open,
            None => self.perhaps_open(&certificate, status, ending).await?,
        };
        let clients = clients.into_iter().map(|(client, found)| match found {
            Connected::Since(_) => (client, Some(found)),
            // It may have come between the look and the change.
            Connected::No if changed_after.is_none() => (client, Some(found)),
            Connected::No | Connected::Untold => (client, None),
        });
        let connections = self.cut_all(clients.collect(), ending).await?;
        Ok(Ended { certificate, before, status, things, changed_after, connections })
    }

    /// Who is connected, if that is told at once: each question is asked once, and all of them together have two seconds.
    async fn open_now(&mut self, id: &CertificateId, ending: &Ending) -> Option<Open> {
        if self.is_blind {
            return None;
        }
        let (cloud, answered) = (self.tools.cloud, AtomicBool::new(false));
        let asking = async {
            let things = cloud.certificate_things(id).await.ok()?;
            let mut open = Vec::new();
            for client in clients(id, &things, ending) {
                let found = cloud.connection(&client).await;
                answered.fetch_or(found.is_ok(), Ordering::Relaxed);
                open.push((client, found.unwrap_or(Connected::Untold)));
            }
            Some(Open { things, clients: open })
        };
        let told = tokio::time::timeout(LOOK_FOR, asking).await;
        // Of many clients some may be left when the time is over.
        self.is_blind = told.is_err() && !answered.load(Ordering::Relaxed);
        told.ok().flatten()
    }

    /// Who may be connected, after the change.
    async fn perhaps_open(
        &self,
        id: &CertificateId,
        status: CertificateStatus,
        ending: &Ending,
    ) -> Result<Open, PlanError> {
        let (cloud, patience) = (self.tools.cloud, self.tools.making);
        let things = patience.call(|_| {}, || cloud.certificate_things(id)).await;
        let what = format!("certificate {id} is {status}, but whose connections are to be cut is not told");
        let things = things.map_err(failed(&what))?;
        let clients = clients(id, &things, ending).into_iter();
        let clients = clients.map(|client| (client, Connected::Untold)).collect();
        Ok(Open { things, clients })
    }
}

/// UpdateCertificate. A state that forbids it, as PENDING_TRANSFER does, lasts until somebody changes that: it is not waited
/// for.
async fn settle<C: ControlPlane>(cloud: &C, id: &CertificateId, status: CertificateStatus) -> Done {
    match cloud.update_certificate(id, status).await {
        Err(conflict @ ApiError::Conflict(_)) => Err(ApiError::Other(conflict.to_string())),
        answer => answer,
    }
}

/// The client ids whose connections are to end: those that the certificates of its things may use by the shipped policy, and those
/// that were seen with it.
fn clients(id: &CertificateId, things: &[ThingName], ending: &Ending) -> Vec<ClientId> {
    if !ending.cut {
        return Vec::new();
    }
    let of_thing = |thing| [ClientId::live(thing), ClientId::agent(thing), ClientId::verify(thing)];
    let mut clients: Vec<_> = things.iter().flat_map(of_thing).collect();
    for client in ending.seen.get(id).into_iter().flatten() {
        if !clients.contains(client) {
            clients.push(client.clone());
        }
    }
    clients
}
