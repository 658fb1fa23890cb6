//! An account as set-up and clean-up need it: resources that are looked at, made, changed and deleted by key, and the
//! certificates and things of devices.
//!
//! Broader than [`ControlPlane`], which serves the controller: here are roles, functions, log groups, rules and tags
//! too. The tests have one in memory that dies at any call. Every method may be repeated.

use core::future::Future;
use std::collections::BTreeMap;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{GroupName, PolicyName, TemplateName, ThingName};
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control_plane::{ApiError, ControlPlane, Done};

pub use crate::control_plane::CallRecord;
pub use spec::{Archive, FunctionSpec, Key, Kind, Resource, Spec};

mod spec;

/// The tags of a resource.
pub type Tags = BTreeMap<String, String>;

/// Who is asking, and where (GetCallerIdentity).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Twelve digits.
    pub account: String,
    /// The caller's ARN; its second part is the partition.
    pub arn: String,
    /// The region that the calls go to.
    pub region: String,
}

/// A resource as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is like. The archive of a function is its digest only.
    pub spec: Spec,
    /// Its tags.
    pub tags: Tags,
}

/// A certificate that the account has issued for a key of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Its id.
    pub id: CertificateId,
    /// The certificate, PEM.
    pub pem: String,
    /// Its status.
    pub status: CertificateStatus,
}

/// The answer of CreateProvisioningClaim: a claim for five minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporaryClaim {
    /// Its id; the certificate does not appear in any list.
    pub id: CertificateId,
    /// The certificate, PEM.
    pub pem: String,
    /// Its private key.
    pub private_key: PrivateKeyPem,
    /// When it ends.
    pub expires: Timestamp,
}

/// The whole account.
pub trait Cloud: ControlPlane {
    /// GetCallerIdentity.
    fn identity(&self) -> impl Future<Output = Result<Identity, ApiError>> + Send;

    /// DescribeEndpoint `iot:Data-ATS`: the host that devices dial.
    fn endpoint(&self) -> impl Future<Output = Result<String, ApiError>> + Send;

    /// What stands under `key`, with its tags; `None` when nothing does.
    fn look(&self, key: &Key) -> impl Future<Output = Result<Option<Found>, ApiError>> + Send;

    /// Makes a resource, tagged from its first moment. What it needs and is not yet usable (a role that spreads) is
    /// [`ApiError::Conflict`].
    fn create(&self, resource: &Resource, tags: &Tags) -> impl Future<Output = Done> + Send;

    /// Makes what is there like `resource`.
    fn change(&self, resource: &Resource, found: &Found) -> impl Future<Output = Done> + Send;

    /// Adds tags to what is there: how an operator adopts what somebody else made.
    fn tag(&self, key: &Key, tags: &Tags) -> impl Future<Output = Done> + Send;

    /// Deletes what stands under `key` with all that hangs on it (versions, attachments, inline policies). What is not
    /// there is deleted already; what cannot go yet is [`ApiError::Conflict`].
    fn delete(&self, key: &Key) -> impl Future<Output = Done> + Send;

    /// CreateCertificateFromCsr, INACTIVE.
    fn certificate_from_csr(&self, csr: &str) -> impl Future<Output = Result<Issued, ApiError>> + Send;

    /// The certificates for a public key (SubjectPublicKeyInfo, DER) that were made after `since`: how a certificate
    /// is found whose making was never answered.
    fn certificates_for_key(
        &self,
        public_key: &[u8],
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<Issued>, ApiError>> + Send;

    /// The certificates that a policy is attached to (ListTargetsForPolicy).
    fn policy_certificates(
        &self,
        policy: &PolicyName,
    ) -> impl Future<Output = Result<Vec<CertificateId>, ApiError>> + Send;

    /// The things that a certificate is attached to (ListPrincipalThings).
    fn certificate_things(
        &self,
        certificate: &CertificateId,
    ) -> impl Future<Output = Result<Vec<ThingName>, ApiError>> + Send;

    /// The attributes of a thing; `None` when there is none (DescribeThing).
    fn thing(&self, name: &ThingName) -> impl Future<Output = Result<Option<Tags>, ApiError>> + Send;

    /// The members of a group; none when there is no group (ListThingsInThingGroup, eventually consistent).
    fn group_things(
        &self,
        group: &GroupName,
    ) -> impl Future<Output = Result<Vec<ThingName>, ApiError>> + Send;

    /// DeleteThing; one that is not there is deleted already.
    fn delete_thing(&self, name: &ThingName) -> impl Future<Output = Done> + Send;

    /// CreateProvisioningClaim.
    fn provisioning_claim(
        &self,
        template: &TemplateName,
    ) -> impl Future<Output = Result<TemporaryClaim, ApiError>> + Send;
}
