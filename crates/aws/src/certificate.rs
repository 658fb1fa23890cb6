//! Certificates: issued, found again by their key, and taken out of service.

use aws_sdk_iot::primitives::DateTime;
use aws_sdk_iot::types::{CertificateDescription, CertificateStatus as Wire};
use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::name::{PolicyName, ThingName};
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::cloud::Issued;
use fleetkey_operator::control_plane::{ApiError, CertificateSummary, CreatedCertificate, Done};

use crate::Aws;
use crate::error::{incomplete, refused};
use crate::permit::Command::{
    Cleanup, Decommission, Doctor, Inventory, PanicClaim, PanicUndo, RecoveryApprove, RecoveryReject, Revoke,
    RotateClaim, Serve, Setup, SignRequest, Status,
};
use crate::permit::{On, Permit};

pub(crate) const PERMITS: &[Permit] = &[
    Permit {
        call: "iot:CreateCertificateFromCsr",
        also: &[],
        on: On::Anything,
        by: &[Setup, RotateClaim, SignRequest],
    },
    Permit { call: "iot:RegisterCertificateWithoutCA", also: &[], on: On::Anything, by: &[SignRequest] },
    Permit {
        call: "iot:ListCertificates",
        also: &[],
        on: On::Anything,
        by: &[Setup, Cleanup, RotateClaim, SignRequest],
    },
    Permit {
        call: "iot:DescribeCertificate",
        also: &[],
        on: On::Certificates,
        by: &[
            Setup,
            Cleanup,
            Status,
            Decommission,
            RotateClaim,
            Doctor,
            Serve,
            Inventory,
            Revoke,
            SignRequest,
            RecoveryApprove,
            RecoveryReject,
            PanicClaim,
            PanicUndo,
        ],
    },
    Permit {
        call: "iot:UpdateCertificate",
        also: &[],
        on: On::Certificates,
        by: &[
            Setup,
            Cleanup,
            Decommission,
            RotateClaim,
            Serve,
            Revoke,
            SignRequest,
            RecoveryReject,
            PanicClaim,
            PanicUndo,
        ],
    },
    Permit {
        call: "iot:DeleteCertificate",
        also: &[],
        on: On::Certificates,
        by: &[Setup, Cleanup, Decommission, RotateClaim, Serve, SignRequest],
    },
    Permit {
        call: "iot:AttachPolicy",
        also: &[],
        on: On::Certificates,
        by: &[Setup, RotateClaim, SignRequest],
    },
    Permit {
        call: "iot:DetachPolicy",
        also: &[],
        on: On::Certificates,
        by: &[Setup, Decommission, RotateClaim, Serve],
    },
    Permit {
        call: "iot:ListAttachedPolicies",
        also: &[],
        on: On::Certificates,
        by: &[Setup, Cleanup, Status, Decommission, RotateClaim, Serve],
    },
    Permit {
        call: "iot:ListPrincipalThings",
        also: &[],
        on: On::Anything,
        by: &[Setup, Cleanup, Decommission, RotateClaim, Inventory, Serve, Revoke, RecoveryReject],
    },
];

/// How far the account's clock may be from ours when a certificate is looked for by its age.
const SKEW: std::time::Duration = std::time::Duration::from_secs(3600);

impl Aws {
    pub(crate) async fn arn_of(&self, id: &CertificateId) -> Result<String, ApiError> {
        Ok(self.scope().await?.certificate(id))
    }

    pub(crate) async fn certificate_by_csr(&self, csr: &str) -> Result<Issued, ApiError> {
        let call =
            self.iot.create_certificate_from_csr().certificate_signing_request(csr).set_as_active(false);
        let answer = call.send().await.map_err(refused)?;
        let id = answer.certificate_id().and_then(|id| id.parse().ok());
        Ok(Issued {
            id: id.ok_or_else(|| incomplete("certificateId"))?,
            pem: answer.certificate_pem().ok_or_else(|| incomplete("certificatePem"))?.to_owned(),
            status: CertificateStatus::Inactive,
        })
    }

    /// RegisterCertificateWithoutCA, INACTIVE.
    pub(crate) async fn register_foreign(&self, pem: &str) -> Done {
        let call = self.iot.register_certificate_without_ca().certificate_pem(pem).status(Wire::Inactive);
        call.send().await.map(drop).map_err(refused)
    }

    /// Newest first, until one is older than `since`: at most what was made meanwhile is described.
    pub(crate) async fn certificates_with_key(
        &self,
        public_key: &[u8],
        since: Timestamp,
    ) -> Result<Vec<Issued>, ApiError> {
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let call = self.iot.list_certificates().page_size(100).ascending_order(false).set_marker(marker);
            let page = call.send().await.map_err(refused)?;
            for listed in page.certificates() {
                if moment(listed.creation_date()) + SKEW < since {
                    return Ok(found);
                }
                let Some(id) = listed.certificate_id().and_then(|id| id.parse().ok()) else { continue };
                found.extend(self.issued_for(&id, public_key).await?);
            }
            marker = page.next_marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
            if marker.is_none() {
                return Ok(found);
            }
        }
    }

    async fn issued_for(&self, id: &CertificateId, public_key: &[u8]) -> Result<Option<Issued>, ApiError> {
        let Some(found) = crate::error::optional(self.described(id).await)? else {
            return Ok(None);
        };
        let pem = found.certificate_pem().unwrap_or_default().to_owned();
        let ours = CertificateFacts::from_pem(&pem).is_ok_and(|facts| facts.public_key == public_key);
        Ok(ours.then(|| Issued { id: *id, pem, status: status(found.status()) }))
    }

    pub(crate) async fn keys_and_certificate(&self, active: bool) -> Result<CreatedCertificate, ApiError> {
        let call = self.iot.create_keys_and_certificate().set_as_active(active);
        let answer = call.send().await.map_err(refused)?;
        let id = answer.certificate_id().and_then(|id| id.parse().ok());
        let key = answer.key_pair().and_then(|pair| pair.private_key());
        Ok(CreatedCertificate {
            id: id.ok_or_else(|| incomplete("certificateId"))?,
            pem: answer.certificate_pem().ok_or_else(|| incomplete("certificatePem"))?.to_owned(),
            private_key: PrivateKeyPem::new(key.ok_or_else(|| incomplete("PrivateKey"))?),
        })
    }

    pub(crate) async fn described(&self, id: &CertificateId) -> Result<CertificateDescription, ApiError> {
        let call = self.iot.describe_certificate().certificate_id(id.to_string()).send();
        let answer = call.await.map_err(refused)?;
        answer.certificate_description.ok_or_else(|| incomplete("certificateDescription"))
    }

    /// A certificate, PEM, and when it was last changed (DescribeCertificate).
    ///
    /// # Errors
    /// When the account refuses, or does not answer.
    pub async fn certificate_text(&self, id: &CertificateId) -> Result<(String, Timestamp), ApiError> {
        let found = self.described(id).await?;
        let modified = moment(found.last_modified_date());
        Ok((found.certificate_pem.ok_or_else(|| incomplete("certificatePem"))?, modified))
    }

    pub(crate) async fn summary(&self, id: &CertificateId) -> Result<CertificateSummary, ApiError> {
        let found = self.described(id).await?;
        Ok(CertificateSummary {
            id: *id,
            status: status(found.status()),
            created_at: moment(found.creation_date()),
        })
    }

    pub(crate) async fn set_status(&self, id: &CertificateId, status: CertificateStatus) -> Done {
        let call = self.iot.update_certificate().certificate_id(id.to_string());
        call.new_status(Wire::from(status.as_str())).send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn erase(&self, id: &CertificateId) -> Done {
        let call = self.iot.delete_certificate().certificate_id(id.to_string());
        call.send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn give_policy(&self, policy: &PolicyName, id: &CertificateId) -> Done {
        let call = self.iot.attach_policy().policy_name(policy.as_str()).target(self.arn_of(id).await?);
        call.send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn take_policy(&self, policy: &PolicyName, id: &CertificateId) -> Done {
        let call = self.iot.detach_policy().policy_name(policy.as_str()).target(self.arn_of(id).await?);
        call.send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn policies_of(&self, id: &CertificateId) -> Result<Vec<PolicyName>, ApiError> {
        let call = self.iot.list_attached_policies().target(self.arn_of(id).await?);
        let mut pages = call.into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(policy) = pages.next().await {
            let policy = policy.map_err(refused)?;
            names.extend(policy.policy_name().and_then(|name| PolicyName::new(name).ok()));
        }
        Ok(names)
    }

    pub(crate) async fn things_of(&self, id: &CertificateId) -> Result<Vec<ThingName>, ApiError> {
        let mut pages = self
            .iot
            .list_principal_things()
            .principal(self.arn_of(id).await?)
            .into_paginator()
            .items()
            .send();
        let mut things = Vec::new();
        while let Some(name) = pages.next().await {
            things.extend(ThingName::new(name.map_err(refused)?));
        }
        Ok(things)
    }
}

/// A status that this program does not know is none that it may change.
pub(crate) fn status(wire: Option<&Wire>) -> CertificateStatus {
    match wire {
        Some(Wire::Active) => CertificateStatus::Active,
        Some(Wire::Inactive) => CertificateStatus::Inactive,
        Some(Wire::Revoked) => CertificateStatus::Revoked,
        Some(Wire::PendingActivation) => CertificateStatus::PendingActivation,
        _ => CertificateStatus::PendingTransfer,
    }
}

/// A time of the account's; none is the epoch.
pub(crate) fn moment(time: Option<&DateTime>) -> Timestamp {
    let millis = time.and_then(|time| time.to_millis().ok()).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
}
