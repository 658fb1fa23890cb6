//! The account's lists, page by page, as a trait.

use core::future::Future;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use crate::control_plane::ApiError;

/// A page, and what to ask for the next one with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it; what the account lists and we cannot name is left out.
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next: Option<String>,
}

/// A certificate as ListCertificates has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedCertificate {
    /// Its id.
    pub id: CertificateId,
    /// Its status.
    pub status: CertificateStatus,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// A thing as ListThings has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedThing {
    /// Its name.
    pub name: ThingName,
    /// What its attribute says: the newest certificate that was registered for it. It saves a call a thing.
    pub newest: Option<CertificateId>,
    /// The certificate that came of a recovery on which nobody has decided, as another attribute says.
    pub recovered: Option<CertificateId>,
}

/// What DescribeCertificate adds, which never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// The lists of an account. Every method may be repeated.
pub trait Census: Send + Sync {
    /// ListCertificates, 250 a page.
    fn list_certificates(
        &self,
        marker: Option<String>,
    ) -> impl Future<Output = Result<Page<ListedCertificate>, ApiError>> + Send;

    /// ListThings, 250 a page, with their attributes.
    fn list_things(
        &self,
        token: Option<String>,
    ) -> impl Future<Output = Result<Page<ListedThing>, ApiError>> + Send;

    /// ListPrincipalThings of one certificate.
    fn things_of_certificate(
        &self,
        certificate: &CertificateId,
    ) -> impl Future<Output = Result<Vec<ThingName>, ApiError>> + Send;

    /// DescribeCertificate.
    fn validity_of(
        &self,
        certificate: &CertificateId,
    ) -> impl Future<Output = Result<Described, ApiError>> + Send;
}
