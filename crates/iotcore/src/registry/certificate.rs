//! Certificates: register, change the status, delete, under AWS's rules.
//!
//! Statuses and deletion: Developer Guide, activate-or-deactivate-device-cert; API Reference,
//! UpdateCertificate and DeleteCertificate.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus, ThingPrincipalType};
use fleetkey_model::name::{PolicyName, TemplateName, ThingName};
use fleetkey_model::secret::OwnershipToken;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Change, Draft, Plan, Registry, RegistryError, TokenHash, unique};

/// How a certificate came to be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Source {
    /// CreateKeysAndCertificate, over MQTT or the control plane.
    Keys,
    /// CreateCertificateFromCsr.
    Csr,
    /// RegisterCertificate: minted elsewhere.
    Registered,
    /// Made by the operator as a claim.
    Claim,
}

/// Who may register a PENDING_ACTIVATION certificate, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// The token, hashed.
    pub token: TokenHash,
    /// One hour after it was issued.
    pub expires_at: Timestamp,
    /// The thing that RegisterThing bound the certificate to with this token.
    pub registered_as: Option<ThingName>,
}

/// A registered certificate, with its attachments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// SHA-256 of the DER.
    pub id: CertificateId,
    /// The certificate itself.
    pub pem: String,
    /// What it may do now.
    pub status: CertificateStatus,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub last_modified: Timestamp,
    /// The start of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Where it comes from.
    pub source: Source,
    /// The policies attached to it; each exists.
    pub policies: BTreeSet<PolicyName>,
    /// The things it is attached to, and how; each exists.
    pub things: BTreeMap<ThingName, ThingPrincipalType>,
    /// The token of a certificate made over MQTT, while the token lives.
    pub ownership: Option<Ownership>,
    /// The template that a claim of CreateProvisioningClaim is for; other certificates have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_for: Option<TemplateName>,
}

impl CertificateRecord {
    /// The `generationId`.
    pub fn generation(&self) -> String {
        unique::generation("certificate", &self.id.to_string(), self.created_at)
    }

    /// The thing that owns this certificate exclusively, if one does.
    pub fn exclusive_thing(&self) -> Option<&ThingName> {
        let exclusive = |(_, kind): &(_, &ThingPrincipalType)| **kind == ThingPrincipalType::ExclusiveThing;
        self.things.iter().find(exclusive).map(|(thing, _)| thing)
    }

    /// Whether a client may connect with it at `now`: ACTIVE, and within its validity.
    pub fn may_connect(&self, now: Timestamp) -> bool {
        self.status == CertificateStatus::Active && self.not_before <= now && now <= self.not_after
    }
}

/// A certificate to be registered.
#[derive(Debug, Clone)]
pub struct NewCertificate {
    /// The certificate, PEM.
    pub pem: String,
    /// What was read from it.
    pub facts: CertificateFacts,
    /// The status it starts with.
    pub status: CertificateStatus,
    /// Where it comes from.
    pub source: Source,
}

impl Registry {
    /// Registers a certificate minted here or elsewhere.
    ///
    /// # Errors
    /// When it is registered already, has expired, or the status is not ACTIVE, INACTIVE or REVOKED.
    pub fn plan_register_certificate(
        &self,
        new: NewCertificate,
        now: Timestamp,
    ) -> Result<Plan<CertificateId>, RegistryError> {
        if !is_settable(new.status) {
            return Err(RegistryError::StatusReserved(new.status));
        }
        if new.facts.not_after < now {
            let reason = format!("it expired at {}", new.facts.not_after);
            return Err(RegistryError::BadCertificate(reason));
        }
        self.plan_new_certificate(new, None, now)
    }

    /// Registers a certificate made over MQTT as PENDING_ACTIVATION, owned by whoever has `token`.
    ///
    /// # Errors
    /// When certificate or token are in use already.
    pub fn plan_pending_certificate(
        &self,
        mut new: NewCertificate,
        token: &OwnershipToken,
        now: Timestamp,
    ) -> Result<Plan<CertificateId>, RegistryError> {
        let token = TokenHash::of(token);
        if self.tokens.contains_key(&token) {
            return Err(RegistryError::TokenExists);
        }
        new.status = CertificateStatus::PendingActivation;
        let ownership = Ownership { token, expires_at: now + OwnershipToken::LIFETIME, registered_as: None };
        self.plan_new_certificate(new, Some(ownership), now)
    }

    /// The certificate that `token` owns at `now`; `None` when the token is unknown or expired.
    pub fn owned_by(&self, token: &OwnershipToken, now: Timestamp) -> Option<&CertificateRecord> {
        let id = self.tokens.get(&TokenHash::of(token))?;
        let record = self.certificate(id)?;
        let alive = record.ownership.as_ref().is_some_and(|own| now < own.expires_at);
        alive.then_some(record)
    }

    /// UpdateCertificate: sets the status. Setting the present status changes nothing.
    ///
    /// # Errors
    /// When the certificate is unknown or the transition forbidden: REVOKED is terminal.
    pub fn plan_update_certificate(
        &self,
        id: &CertificateId,
        status: CertificateStatus,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.set_status(id, status, now)?;
        Ok(draft.plan(()))
    }

    /// DeleteCertificate. `force` forgives policies, never a thing or the status ACTIVE.
    ///
    /// # Errors
    /// When the certificate is unknown, ACTIVE, or attached.
    pub fn plan_delete_certificate(
        &self,
        id: &CertificateId,
        force: bool,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let record = draft.certificate(id)?;
        if record.status == CertificateStatus::Active {
            return Err(RegistryError::StillActive(*id));
        }
        if !record.things.is_empty() {
            return Err(RegistryError::ThingsAttached(*id));
        }
        if !record.policies.is_empty() && !force {
            return Err(RegistryError::PoliciesAttached(*id));
        }
        draft.write(Change::DeleteCertificate(*id));
        Ok(draft.plan(()))
    }

    fn plan_new_certificate(
        &self,
        new: NewCertificate,
        ownership: Option<Ownership>,
        now: Timestamp,
    ) -> Result<Plan<CertificateId>, RegistryError> {
        let id = new.facts.id;
        if self.certificate(&id).is_some() {
            return Err(RegistryError::CertificateExists(id));
        }
        let mut draft = Draft::new(self);
        draft.put_certificate(CertificateRecord {
            id,
            pem: new.pem,
            status: new.status,
            created_at: now,
            last_modified: now,
            not_before: new.facts.not_before,
            not_after: new.facts.not_after,
            source: new.source,
            policies: BTreeSet::new(),
            things: BTreeMap::new(),
            ownership,
            claim_for: None,
        });
        Ok(draft.plan(id))
    }
}

impl Draft<'_> {
    /// Sets a certificate's status, under the rules of [`Registry::plan_update_certificate`].
    pub(crate) fn set_status(
        &mut self,
        id: &CertificateId,
        status: CertificateStatus,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        if !is_settable(status) {
            return Err(RegistryError::StatusReserved(status));
        }
        let record = self.certificate(id)?;
        if record.status == status {
            return Ok(());
        }
        if !record.status.may_become(status) {
            return Err(RegistryError::StatusForbidden { id: *id, from: record.status, to: status });
        }
        let mut record = record.clone();
        record.status = status;
        record.last_modified = now;
        self.put_certificate(record);
        Ok(())
    }

    /// Remembers that the certificate's token has done its work for `thing`.
    pub(crate) fn mark_registered(
        &mut self,
        id: &CertificateId,
        thing: &ThingName,
    ) -> Result<(), RegistryError> {
        let mut record = self.certificate(id)?.clone();
        if let Some(ownership) = &mut record.ownership {
            ownership.registered_as = Some(thing.clone());
        }
        self.put_certificate(record);
        Ok(())
    }
}

/// What UpdateCertificate and RegisterCertificate accept.
fn is_settable(status: CertificateStatus) -> bool {
    use CertificateStatus::{Active, Inactive, PendingActivation, PendingTransfer, Revoked};
    match status {
        Active | Inactive | Revoked => true,
        PendingActivation | PendingTransfer => false,
    }
}
