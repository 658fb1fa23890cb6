//! Whether the account publishes what becomes of things, which is a setting of the whole account and off at first.
//!
//! Source: API Reference, DescribeEventConfigurations and UpdateEventConfigurations.

use aws_sdk_iot::types::{Configuration, EventType};
use fleetkey_operator::control_plane::{ApiError, Done};

use crate::Aws;
use crate::error::refused;
use crate::permit::Command::{RegistryEvents, Serve};
use crate::permit::{On, Permit};

pub(crate) const PERMITS: &[Permit] = &[
    Permit { call: "iot:DescribeEventConfigurations", also: &[], on: On::Anything, by: &[Serve] },
    Permit { call: "iot:UpdateEventConfigurations", also: &[], on: On::Anything, by: &[RegistryEvents] },
];

impl Aws {
    /// Whether it does: DescribeEventConfigurations, THING.
    ///
    /// # Errors
    /// When the account refuses or does not answer.
    pub async fn publishes_registry_events(&self) -> Result<bool, ApiError> {
        let told = self.iot.describe_event_configurations().send().await.map_err(refused)?;
        let thing = told.event_configurations().and_then(|kinds| kinds.get(&EventType::Thing));
        Ok(thing.is_some_and(|kind| kind.enabled))
    }

    /// From now on it does: UpdateEventConfigurations, THING; the other kinds stay as they are.
    ///
    /// # Errors
    /// When the account refuses or does not answer.
    pub async fn publish_registry_events(&self) -> Done {
        let on = Configuration::builder().enabled(true).build();
        let call = self.iot.update_event_configurations().event_configurations(EventType::Thing, on);
        call.send().await.map_err(refused)?;
        Ok(())
    }
}
