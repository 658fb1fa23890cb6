//! What is decided about a device that recovered by its claim: whether the certificate that came of it is the device's.
//!
//! The recovery template marks the thing with the certificate's id, and while the mark is there the controller retires
//! nothing of it ([`crate::controller`]). The mark is the one truth of it, in the account itself: taking it away is the
//! decision, whichever it is. So a rejection ends the certificates first and takes the mark away last.
//!
//! A device that had lost its disk knows of no older certificate and asks for nothing. So an approval has it rotate, too:
//! after that it asks as any device does, and everything older goes on the broker's word.

use std::collections::BTreeMap;
use std::future::Future;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::DeviceCommand;
use fleetkey_model::time::Timestamp;
use serde_json::json;

use super::credential::failed;
use super::{Change, Cutter, Ended, Ending, Operator, PlanError, Tools};
use crate::cloud::Cloud;
use crate::control_plane::{ApiError, CertificateSummary, ControlPlane, Done};
use crate::documents::RECOVERED_ATTRIBUTE;
use crate::recovery::Windows;

/// How often a rejection ends what it finds: whoever registers faster than that is not ended by it.
const MOST_LOOKS: usize = 5;

/// Reads the mark of a recovery and takes it away, and tells a device to rotate.
pub trait Marks: ControlPlane {
    /// DescribeThing; `None` when there is no such thing.
    fn mark(&self, thing: &ThingName) -> impl Future<Output = Result<Option<Mark>, ApiError>> + Send;

    /// UpdateThing without the mark, if the thing still is of this version; else [`ApiError::Conflict`].
    fn unmark(&self, thing: &ThingName, version: i64) -> impl Future<Output = Done> + Send;

    /// Publish, of the data plane, on the thing's command topic at QoS 1.
    fn command(&self, thing: &ThingName, command: &DeviceCommand) -> impl Future<Output = Done> + Send;
}

/// A thing, as far as recoveries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The certificate that came of a recovery on which nobody has decided.
    pub certificate: Option<CertificateId>,
    /// The thing's version.
    pub version: i64,
}

/// A recovery that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Whose.
    pub thing: ThingName,
    /// The certificate that came of it.
    pub certificate: CertificateId,
    /// All certificates of the thing, the oldest first.
    pub certificates: Vec<CertificateSummary>,
    /// What a rejection ends: that certificate, whose connections may be open although it is REVOKED, and what was registered
    /// since the window was opened that let it in, or since the recovery where no such window is known.
    pub doubtful: Vec<CertificateId>,
}

impl<C: Cloud + Marks> Operator<'_, C> {
    /// The recovery of a thing that waits for a decision, if there is one. Reads only.
    ///
    /// # Errors
    /// When there is no such thing, or a call fails.
    pub async fn recovery(&self, thing: &ThingName) -> Result<Option<Recovery>, PlanError> {
        let (cloud, patience) = (self.tools.cloud, self.tools.making);
        let what = format!("thing {thing}");
        let mark = patience.call(|_| {}, || cloud.mark(thing)).await.map_err(failed(&what))?;
        let Some(mark) = mark else {
            return Err(PlanError::NoThing(thing.to_string()));
        };
        let Some(certificate) = mark.certificate else {
            return Ok(None);
        };
        let listed = patience.call(|_| {}, || cloud.thing_certificates(thing)).await;
        let mut certificates = listed.map_err(failed(&what))?;
        certificates.sort_by_key(|found| (found.created_at, found.id));
        let doubtful = self.doubtful(thing, certificate, &certificates)?;
        let thing = thing.clone();
        Ok(Some(Recovery { thing, certificate, certificates, doubtful }))
    }

    /// AWS dates certificates to the second, so the second in which the window was opened counts.
    fn doubtful(
        &self,
        thing: &ThingName,
        recovered: CertificateId,
        certificates: &[CertificateSummary],
    ) -> Result<Vec<CertificateId>, PlanError> {
        let registered = certificates.iter().find(|found| found.id == recovered);
        let registered = registered.map_or_else(|| self.now(), |found| found.created_at);
        let opened = Windows::read(&self.directory)?.opened_for(thing, registered);
        let since = opened.map_or(registered, |opened| Timestamp::from_secs(opened.as_secs()));
        let doubtful = |found: &&CertificateSummary| {
            let is_newer = found.status != CertificateStatus::Revoked && found.created_at >= since;
            found.id == recovered || is_newer
        };
        Ok(certificates.iter().filter(doubtful).map(|found| found.id).collect())
    }

    /// Approves: has the device rotate, and takes the mark away, so that what it then asks for is done. Killed in between,
    /// the next run does both; a device that has the command takes it for the same.
    ///
    /// # Errors
    /// When the thing has recovered again meanwhile, or a call fails.
    pub async fn approve(&mut self, recovery: &Recovery, why: &str) -> Result<(), PlanError> {
        let Recovery { thing, certificate, .. } = recovery;
        let command = DeviceCommand::Rotate { id: format!("approved-{}", certificate.short()) };
        let change = Change {
            action: "command rotate",
            what: format!("thing {thing}"),
            why: Some(why.to_owned()),
            before: None,
            after: None,
        };
        let patience = self.tools.making;
        let work =
            async |tools: &Tools<'_, C>| patience.call(|_| {}, || tools.cloud.command(thing, &command)).await;
        self.journaled(change, work).await?;
        self.unmark("approve", recovery, why).await
    }

    async fn unmark(
        &mut self,
        action: &'static str,
        recovery: &Recovery,
        why: &str,
    ) -> Result<(), PlanError> {
        let Recovery { thing, certificate, .. } = recovery;
        let change = Change {
            action,
            what: format!("recovered certificate {certificate} of {thing}"),
            why: Some(why.to_owned()),
            before: Some(json!({ RECOVERED_ATTRIBUTE: certificate })),
            after: Some(json!({})),
        };
        let patience = self.tools.making;
        let work = async |tools: &Tools<'_, C>| {
            patience.call(|_| {}, || take_away(tools.cloud, thing, *certificate)).await
        };
        self.journaled(change, work).await
    }
}

/// Takes the mark of this certificate away. May be repeated: a rotation changes the thing's version, another recovery the
/// certificate.
async fn take_away<C: Marks>(cloud: &C, thing: &ThingName, certificate: CertificateId) -> Done {
    let Some(Mark { certificate: Some(found), version }) = cloud.mark(thing).await? else {
        return Ok(());
    };
    if found != certificate {
        let reason = format!("{thing} has recovered again meanwhile, as {found}: decide on that one");
        return Err(ApiError::Other(reason));
    }
    cloud.unmark(thing, version).await
}

impl<C: Cloud + Marks + Cutter> Operator<'_, C> {
    /// Rejects: ends what is doubtful but for `keep`, connections included, looks again for what was registered meanwhile, as on
    /// a connection that was open still, until there is nothing more, and then takes the mark away. Killed in between, or
    /// stopped by an error, the next run ends what is left.
    ///
    /// # Errors
    /// When a connection may still be open, certificates keep coming, the thing has recovered again meanwhile, or a call fails; the
    /// mark, and with it the quarantine, is there until all is done.
    pub async fn reject(
        &mut self,
        recovery: &Recovery,
        keep: &[CertificateId],
        ending: &Ending,
    ) -> Result<Vec<Ended>, PlanError> {
        let mut ended = Vec::new();
        let mut doomed = doomed(recovery, keep, &ended);
        for _ in 0..MOST_LOOKS {
            ended.extend(self.end_all(&doomed, ending).await?);
            doomed = match self.recovery(&recovery.thing).await? {
                Some(now) if now.certificate == recovery.certificate => self::doomed(&now, keep, &ended),
                // Somebody has decided, or it has recovered again: the mark itself tells.
                _ => Vec::new(),
            };
            if doomed.is_empty() {
                all_cut(&recovery.thing, &ended, ending)?;
                self.unmark("reject", recovery, &ending.why).await?;
                return Ok(ended);
            }
        }
        let what = format!("{} of its certificates are {}", ended.len(), ending.status);
        let reason = format!(
            "{} registers new ones all the time, so it stays in quarantine; close its recovery windows, and run this again",
            recovery.thing
        );
        Err(PlanError::Call { what, error: ApiError::Other(reason) })
    }

    /// First the status of each, then the connections.
    async fn end_all(&mut self, ids: &[CertificateId], ending: &Ending) -> Result<Vec<Ended>, PlanError> {
        let mut begun = Vec::new();
        for id in ids {
            begun.push(self.change_status(id, ending).await?);
        }
        let mut ended = Vec::new();
        for one in begun {
            ended.push(self.end_connections(one, ending).await?);
        }
        Ok(ended)
    }
}

/// What is to be ended still.
fn doomed(recovery: &Recovery, keep: &[CertificateId], ended: &[Ended]) -> Vec<CertificateId> {
    let is_left =
        |id: &&CertificateId| !keep.contains(id) && !ended.iter().any(|one| one.certificate == **id);
    recovery.doubtful.iter().filter(is_left).copied().collect()
}

/// Whether each client's last cut has ended its connection: on one that is open the next certificate may be registered.
fn all_cut(thing: &ThingName, ended: &[Ended], ending: &Ending) -> Result<(), PlanError> {
    let cuts = ended.iter().flat_map(|ended| &ended.connections);
    let last: BTreeMap<_, _> = cuts.map(|cut| (&cut.client, cut)).collect();
    let Some(open) = last.into_values().find(|cut| cut.may_be_open()) else {
        return Ok(());
    };
    let what = format!(
        "the certificates are {}, but client {} may be connected still, so {thing} stays in quarantine; run this again",
        ending.status, open.client
    );
    let silent = || format!("it had not ended after {} s", open.after.as_secs());
    let reason = open.trouble.clone().unwrap_or_else(silent);
    Err(PlanError::Call { what, error: ApiError::Other(reason) })
}
