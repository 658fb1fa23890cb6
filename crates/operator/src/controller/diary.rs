//! The controller's changes as entries of a chain: who, what, why, with the ids of the requests.
//!
//! Not here: the chain itself ([`crate::chain`]).

use std::sync::{Arc, Mutex, PoisonError};

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::{DeviceCommand, WayBack};
use fleetkey_model::time::Timestamp;
use serde_json::Value;

use super::action::Change;
use super::record::Record;
use crate::chain::{Chain, Entry, Phase};
use crate::control_plane::{ApiError, CallRecord, Done};
use crate::files::FileError;

/// Whose certificate, which, and what becomes of it.
type Subject<'a> = (&'a ThingName, &'a CertificateId, Change);

/// A chain, if the engine was given one, and in whose name it is written.
#[derive(Debug, Default)]
pub(super) struct Diary(Option<(Arc<Mutex<Chain>>, String)>);

impl Diary {
    pub(super) fn new(chain: Chain, who: String) -> Self {
        Self(Some((Arc::new(Mutex::new(chain)), who)))
    }

    /// Enters that a change is about to be made.
    ///
    /// # Errors
    /// When it cannot be written: then the change must not be made. Another attempt is worth it.
    pub(super) async fn begin(&self, at: Timestamp, record: Option<&Record>, subject: Subject<'_>) -> Done {
        let why = record.map(|record| why(record, subject.1));
        let written = self.enter(at, Phase::Begun, subject, why, Vec::new()).await;
        written.map_err(|error| {
            tracing::error!(%error, "the journal cannot be written; nothing is retired until it can");
            ApiError::Unavailable(format!("the journal cannot be written: {error}"))
        })
    }

    /// Enters how it went. What cannot be entered now is known by its `begun`.
    pub(super) async fn end(
        &self,
        at: Timestamp,
        subject: Subject<'_>,
        answer: &Done,
        calls: Vec<CallRecord>,
    ) {
        let (phase, why) = match answer {
            Ok(()) => (Phase::Done, None),
            Err(error) => (Phase::Failed, Some(error.to_string())),
        };
        if let Err(error) = self.enter(at, phase, subject, why, calls).await {
            tracing::error!(%error, "the journal cannot be written");
        }
    }

    /// Enters that a person has released a thing, and what is forgotten with it.
    ///
    /// # Errors
    /// When it cannot be written: then it must not be released.
    pub(super) async fn release(
        &self,
        at: Timestamp,
        thing: &ThingName,
        why: &str,
        forgotten: Option<Value>,
    ) -> Result<(), FileError> {
        self.decided(at, ("release", format!("thing {thing}")), why, forgotten).await
    }

    /// Enters that the account says a recovery is decided on, and what is forgotten with its quarantine. Who decided, and how,
    /// stands where that was done.
    ///
    /// # Errors
    /// When it cannot be written: then nothing must be forgotten.
    pub(super) async fn quarantine_over(
        &self,
        at: Timestamp,
        thing: &ThingName,
        forgotten: Value,
    ) -> Result<(), FileError> {
        let why = "the account has no mark of a recovery on it any more";
        self.decided(at, ("quarantine over", format!("thing {thing}")), why, Some(forgotten)).await
    }

    /// Enters that a command goes to a device.
    ///
    /// # Errors
    /// When it cannot be written: then it must not be sent.
    pub(super) async fn command(
        &self,
        at: Timestamp,
        thing: &ThingName,
        DeviceCommand::Rotate { .. }: &DeviceCommand,
        why: &str,
    ) -> Result<(), FileError> {
        self.said(at, "command rotate", format!("thing {thing}"), why).await
    }

    /// Enters that a device is told to go back.
    ///
    /// # Errors
    /// When it cannot be written: then it must not be sent.
    pub(super) async fn way_back(
        &self,
        at: Timestamp,
        thing: &ThingName,
        WayBack::Rollback { from }: &WayBack,
        why: &str,
    ) -> Result<(), FileError> {
        let why = format!("from {from}: {why}");
        self.said(at, "command rollback", format!("thing {thing}"), &why).await
    }

    /// Enters what a person has decided of something: of a thing, of a campaign.
    ///
    /// # Errors
    /// When it cannot be written: then it must not be carried out.
    pub(super) async fn said(
        &self,
        at: Timestamp,
        action: &'static str,
        what: String,
        why: &str,
    ) -> Result<(), FileError> {
        self.decided(at, (action, what), why, None).await
    }

    async fn decided(
        &self,
        at: Timestamp,
        (action, what): (&'static str, String),
        why: &str,
        before: Option<Value>,
    ) -> Result<(), FileError> {
        let why = why.to_owned();
        self.write(move |who, chain| {
            chain.enter(&Entry {
                at,
                who,
                phase: Phase::Done,
                action,
                what: &what,
                why: Some(&why),
                before: before.as_ref(),
                after: None,
                calls: Vec::new(),
            })
        })
        .await
    }

    async fn enter(
        &self,
        at: Timestamp,
        phase: Phase,
        (thing, certificate, change): Subject<'_>,
        why: Option<String>,
        calls: Vec<CallRecord>,
    ) -> Result<(), FileError> {
        let what = format!("certificate {certificate} of {thing}");
        self.write(move |who, chain| {
            let (action, before, after) = words(change);
            let (before, after) = (Value::from(before), after.map(Value::from));
            chain.enter(&Entry {
                at,
                who,
                phase,
                action,
                what: &what,
                why: why.as_deref(),
                before: Some(&before),
                after: after.as_ref(),
                calls,
            })
        })
        .await
    }

    /// Off the runtime's threads: it waits for the disk.
    async fn write(
        &self,
        entry: impl FnOnce(&str, &mut Chain) -> Result<(), FileError> + Send + 'static,
    ) -> Result<(), FileError> {
        let Some((chain, who)) = &self.0 else {
            return Ok(());
        };
        let (chain, who) = (chain.clone(), who.clone());
        let written = tokio::task::spawn_blocking(move || {
            entry(&who, &mut chain.lock().unwrap_or_else(PoisonError::into_inner))
        });
        // The thread does not panic, and a runtime that ends takes the change along.
        written.await.unwrap_or(Ok(()))
    }
}

/// The change, the status before it, and the one after.
const fn words(change: Change) -> (&'static str, &'static str, Option<&'static str>) {
    match change {
        Change::Deactivate => ("deactivate", "ACTIVE", Some("INACTIVE")),
        Change::Revoke => ("revoke", "INACTIVE", Some("REVOKED")),
        Change::Delete => ("delete", "REVOKED", None),
    }
}

fn why(record: &Record, certificate: &CertificateId) -> String {
    let witness = &record.witness;
    let kind = if record.leftovers.contains_key(certificate) { "never used beside" } else { "older than" };
    format!("{kind} {}, which the broker attested at {}", witness.certificate, witness.at)
}
