//! Certificates of an account.

use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::name::TemplateName;

use super::{Account, AccountError};
use crate::ca::{Minted, SigningRequest, Term};
use crate::registry::quota::CLAIM_LIFETIME;
use crate::registry::{CertificateRecord, NewCertificate, RegistryError, Source};

impl Account {
    /// CreateKeysAndCertificate: a key of our making and a certificate, ACTIVE or INACTIVE. The key is in the
    /// answer and nowhere else.
    ///
    /// # Errors
    /// When minting or the disk fails.
    pub async fn create_keys_and_certificate(&self, set_active: bool) -> Result<Minted, AccountError> {
        let minted = self.devices.create_keys(Term::Lasting, self.clock.now()).await?;
        self.register_minted(minted, set_active, Source::Keys).await
    }

    /// The same for a provisioning claim: recorded as such, otherwise an ordinary certificate.
    ///
    /// # Errors
    /// When minting or the disk fails.
    pub async fn create_claim(&self) -> Result<Minted, AccountError> {
        let minted = self.devices.create_keys(Term::Lasting, self.clock.now()).await?;
        self.register_minted(minted, true, Source::Claim).await
    }

    /// CreateProvisioningClaim: a certificate that is valid for five minutes and may use one template.
    ///
    /// # Errors
    /// When the template does not exist, or minting or the disk fails.
    pub async fn create_provisioning_claim(&self, template: &TemplateName) -> Result<Minted, AccountError> {
        self.store.read().require_template(template)?;
        let minted = self.devices.create_keys(Term::For(CLAIM_LIFETIME), self.clock.now()).await?;
        let new = NewCertificate {
            pem: minted.pem.clone(),
            facts: minted.facts.clone(),
            status: CertificateStatus::Active,
            source: Source::Claim,
        };
        let now = self.clock.now();
        self.commit(|registry| registry.plan_register_claim(new, template, now)).await?;
        Ok(minted)
    }

    /// CreateCertificateFromCsr: ACTIVE or INACTIVE.
    ///
    /// # Errors
    /// When the request is not acceptable, or minting or the disk fails.
    pub async fn create_certificate_from_csr(
        &self,
        csr_pem: &str,
        set_active: bool,
    ) -> Result<Minted, AccountError> {
        let request = SigningRequest::parse(csr_pem)?;
        let minted = self.devices.issue(request, Term::Lasting, self.clock.now()).await?;
        self.register_minted(minted, set_active, Source::Csr).await
    }

    /// RegisterCertificateWithoutCA: any X.509 certificate, by whomever it is signed.
    ///
    /// # Errors
    /// When the PEM is no certificate, it has expired, or is registered already.
    pub async fn register_certificate(
        &self,
        pem: &str,
        status: CertificateStatus,
    ) -> Result<CertificateId, AccountError> {
        let facts = CertificateFacts::from_pem(pem)
            .map_err(|error| RegistryError::BadCertificate(error.to_string()))?;
        let new = NewCertificate { pem: pem.to_owned(), facts, status, source: Source::Registered };
        let now = self.clock.now();
        self.commit(|registry| registry.plan_register_certificate(new, now)).await
    }

    /// UpdateCertificate: sets the status.
    ///
    /// # Errors
    /// When the certificate is unknown or the transition forbidden.
    pub async fn update_certificate(
        &self,
        id: &CertificateId,
        status: CertificateStatus,
    ) -> Result<(), AccountError> {
        let now = self.clock.now();
        self.commit(|registry| registry.plan_update_certificate(id, status, now)).await
    }

    /// DeleteCertificate; `force` forgives attached policies.
    ///
    /// # Errors
    /// When the certificate is unknown, ACTIVE or attached.
    pub async fn delete_certificate(&self, id: &CertificateId, force: bool) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_delete_certificate(id, force)).await
    }

    /// DescribeCertificate.
    ///
    /// # Errors
    /// When the certificate is unknown.
    pub fn describe_certificate(&self, id: &CertificateId) -> Result<CertificateRecord, AccountError> {
        Ok(self.store.read().require_certificate(id)?.clone())
    }

    /// ListCertificates: up to `limit` in the order of their ids, those after `after`.
    pub fn list_certificates(&self, after: Option<&CertificateId>, limit: usize) -> Vec<CertificateRecord> {
        let registry = self.store.read();
        registry.certificates_after(after).take(limit).cloned().collect()
    }

    async fn register_minted(
        &self,
        minted: Minted,
        active: bool,
        source: Source,
    ) -> Result<Minted, AccountError> {
        let status = if active { CertificateStatus::Active } else { CertificateStatus::Inactive };
        let new = NewCertificate { pem: minted.pem.clone(), facts: minted.facts.clone(), status, source };
        let now = self.clock.now();
        self.commit(|registry| registry.plan_register_certificate(new, now)).await?;
        Ok(minted)
    }
}
