//! Ends certificates at once: the status, then the connections that are open with them, and how long each took. And the
//! way back, for one that is INACTIVE.
//!
//! AWS cuts a client whose certificate is not ACTIVE any more "within a few minutes"; DeleteConnection does it now. Which
//! certificate a connection is of no operation tells, so every client id of the certificate's things is cut: whoever
//! holds another certificate is back at once, with nothing lost that was acknowledged.

use std::future::Future;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;
use serde_json::json;

use super::credential::failed;
use super::{Change, Operator, PlanError};
use crate::cloud::Cloud;
use crate::control_plane::{ApiError, Connected, ControlPlane, Done};

/// How often a client is asked after; the account answers ten such questions a second.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long a connection is given to end before it is cut again (one cut a second and client id, AWS IoT Core quotas).
const CUT_EVERY: Duration = Duration::from_secs(5);

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
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which certificate.
    pub certificate: CertificateId,
    /// What it was before.
    pub before: CertificateStatus,
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
}

impl<C: Cloud + Cutter> Operator<'_, C> {
    /// Ends a certificate.
    ///
    /// # Errors
    /// When there is no such certificate, a call fails, or the journal cannot be written.
    pub async fn revoke(&mut self, id: &CertificateId, ending: &Ending) -> Result<Ended, PlanError> {
        let (cloud, patience) = (self.tools.cloud, self.tools.making);
        let what = format!("certificate {id}");
        let found = patience.call(|_| {}, || cloud.describe_certificate(id)).await.map_err(failed(&what))?;
        let things = patience.call(|_| {}, || cloud.certificate_things(id)).await.map_err(failed(&what))?;
        // Before: who is cut by the change itself is measured, too.
        let mut open = Vec::new();
        for client in things.iter().flat_map(clients).filter(|_| ending.cut) {
            match self.connection(&client).await? {
                Connected::No => {}
                Connected::Since(since) => open.push((client, Some(since))),
                Connected::Untold => open.push((client, None)),
            }
        }
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
            let work = async |tools: &super::Tools<'_, C>| {
                patience.call(|_| {}, || tools.cloud.update_certificate(id, ending.status)).await
            };
            self.journaled(change, work).await?;
        }
        let changed_after = differs.then(|| self.now().since(begun));
        let mut connections = Vec::new();
        for (client, since) in open {
            connections.push(self.end_connection(client, since, ending).await?);
        }
        Ok(Ended { certificate: *id, before: found.status, things, changed_after, connections })
    }

    /// Cuts a client that was connected since this moment, as far as the account tells, until it is gone or time is over.
    pub(super) async fn end_connection(
        &mut self,
        client: ClientId,
        since: Option<Timestamp>,
        ending: &Ending,
    ) -> Result<Cut, PlanError> {
        let begun = self.now();
        let Some(since) = since else {
            self.cut(&client, ending).await?;
            return Ok(Cut { client, after: self.now().since(begun), outcome: Outcome::Untold });
        };
        loop {
            self.cut(&client, ending).await?;
            let cut = self.now();
            while self.now().since(cut) < CUT_EVERY {
                let outcome = match self.connection(&client).await? {
                    Connected::Since(again) if again > since => Some(Outcome::Back(again)),
                    Connected::Since(_) if self.now().since(begun) >= ending.patience => Some(Outcome::Stays),
                    Connected::Since(_) => None,
                    Connected::No | Connected::Untold => Some(Outcome::Gone),
                };
                if let Some(outcome) = outcome {
                    return Ok(Cut { client, after: self.now().since(begun), outcome });
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }

    pub(super) async fn connection(&self, client: &ClientId) -> Result<Connected, PlanError> {
        let cloud = self.tools.cloud;
        let asked = self.tools.making.call(|_| {}, || cloud.connection(client)).await;
        asked.map_err(failed(client.as_str()))
    }

    async fn cut(&mut self, client: &ClientId, ending: &Ending) -> Result<(), PlanError> {
        let change = Change {
            action: "disconnect",
            what: format!("client {client}"),
            why: Some(ending.why.clone()),
            before: None,
            after: None,
        };
        let patience = self.tools.making;
        let work =
            async |tools: &super::Tools<'_, C>| match patience.call(|_| {}, || tools.cloud.cut(client)).await
            {
                Err(ApiError::NotFound(_)) => Ok(()),
                answer => answer,
            };
        self.journaled(change, work).await
    }
}

/// The client ids that a thing's certificates may use.
fn clients(thing: &ThingName) -> [ClientId; 3] {
    [ClientId::live(thing), ClientId::agent(thing), ClientId::verify(thing)]
}
