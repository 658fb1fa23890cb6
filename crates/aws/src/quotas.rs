//! What the account may be asked how often, by Service Quotas.

use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::inventory::Quotas;

use crate::Aws;
use crate::error::refused;
use crate::permit::Command::{Inventory, Serve};
use crate::permit::{On, Permit};

pub(crate) const PERMITS: &[Permit] = &[Permit {
    call: "servicequotas:ListServiceQuotas",
    also: &[],
    on: On::Anything,
    by: &[Inventory, Serve],
}];

/// What Service Quotas calls AWS IoT Core.
const SERVICE: &str = "iotcore";
/// The most that a page may have (API Reference, ListServiceQuotas).
const PAGE: i32 = 100;
/// AWS IoT Core has fewer than 300 quotas; an account that goes on for ever is not listened to for ever.
const PAGES: usize = 50;

impl Aws {
    /// How many calls a second AWS IoT Core takes of this account: ListServiceQuotas, a few pages.
    ///
    /// # Errors
    /// When the account refuses or does not answer. Not everybody may ask, and not every endpoint answers.
    pub async fn quotas(&self) -> Result<Quotas, ApiError> {
        let (mut told, mut token) = (Vec::new(), None);
        for _ in 0..PAGES {
            let call = self.quotas.list_service_quotas().service_code(SERVICE).max_results(PAGE);
            let page = call.set_next_token(token).send().await.map_err(refused)?;
            let named = page.quotas().iter();
            told.extend(named.filter_map(|quota| Some((quota.quota_name()?.to_owned(), quota.value()?))));
            token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        Ok(Quotas::of(told))
    }
}
