//! The account's lists, as the inventory walks them.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::documents::{CERTIFICATE_ATTRIBUTE, RECOVERED_ATTRIBUTE};
use fleetkey_operator::inventory::{Census, Described, ListedCertificate, ListedThing, Page};

use crate::Aws;
use crate::certificate::{moment, status};
use crate::error::{incomplete, refused};
use crate::permit::Command::{Inventory, Serve};
use crate::permit::{On, Permit};

pub(crate) const PERMITS: &[Permit] = &[
    Permit { call: "iot:ListCertificates", also: &[], on: On::Anything, by: &[Inventory, Serve] },
    Permit { call: "iot:ListThings", also: &[], on: On::Anything, by: &[Inventory, Serve] },
];

/// The most that a page may have (API Reference, ListCertificates and ListThings).
const PAGE: i32 = 250;

impl Census for Aws {
    async fn list_certificates(&self, marker: Option<String>) -> Result<Page<ListedCertificate>, ApiError> {
        let call = self.iot.list_certificates().page_size(PAGE).set_marker(marker);
        let page = call.send().await.map_err(refused)?;
        let listed = page.certificates().iter().filter_map(|found| {
            let id = found.certificate_id()?.parse().ok()?;
            let created_at = moment(found.creation_date());
            Some(ListedCertificate { id, status: status(found.status()), created_at })
        });
        Ok(Page { items: listed.collect(), next: token(page.next_marker()) })
    }

    async fn list_things(&self, from: Option<String>) -> Result<Page<ListedThing>, ApiError> {
        let call = self.iot.list_things().max_results(PAGE).set_next_token(from);
        let page = call.send().await.map_err(refused)?;
        let listed = page.things().iter().filter_map(|found| {
            let attribute = |name| found.attributes().and_then(|all| all.get(name)?.parse().ok());
            let (newest, recovered) = (attribute(CERTIFICATE_ATTRIBUTE), attribute(RECOVERED_ATTRIBUTE));
            Some(ListedThing { name: ThingName::new(found.thing_name()?).ok()?, newest, recovered })
        });
        Ok(Page { items: listed.collect(), next: token(page.next_token()) })
    }

    async fn things_of_certificate(&self, certificate: &CertificateId) -> Result<Vec<ThingName>, ApiError> {
        self.things_of(certificate).await
    }

    async fn validity_of(&self, certificate: &CertificateId) -> Result<Described, ApiError> {
        let found = self.described(certificate).await?;
        let validity = found.validity().ok_or_else(|| incomplete("validity"))?;
        let not_after: Timestamp = moment(validity.not_after());
        Ok(Described { not_after })
    }
}

/// An empty token is none.
fn token(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}
