//! Thing types: deprecated first, deleted five minutes later.

use fleetkey_operator::cloud::{Found, Spec, Tags};
use fleetkey_operator::control_plane::{ApiError, Done};

use crate::Aws;
use crate::error::{gone, incomplete, optional, refused};
use crate::permit::Command::{Cleanup, Setup, Status};
use crate::permit::{On, Permit};
use crate::tags;

pub(crate) const PERMITS: &[Permit] = &[
    Permit { call: "iot:DescribeThingType", also: &[], on: On::ThingType, by: &[Setup, Cleanup, Status] },
    Permit { call: "iot:CreateThingType", also: &["iot:TagResource"], on: On::ThingType, by: &[Setup] },
    Permit { call: "iot:DeprecateThingType", also: &[], on: On::ThingType, by: &[Setup, Cleanup] },
    Permit { call: "iot:DeleteThingType", also: &[], on: On::ThingType, by: &[Cleanup] },
];

impl Aws {
    pub(crate) async fn look_at_thing_type(&self, name: &str) -> Result<Option<Found>, ApiError> {
        let call = self.iot.describe_thing_type().thing_type_name(name).send();
        let Some(found) = optional(call.await.map_err(refused))? else {
            return Ok(None);
        };
        let deprecated = found.thing_type_metadata().is_some_and(|metadata| metadata.deprecated());
        let arn = found.thing_type_arn().ok_or_else(|| incomplete("thingTypeArn"))?;
        let tags = optional(self.iot_tags(arn).await)?;
        Ok(tags.map(|tags| Found { spec: Spec::ThingType { deprecated }, tags }))
    }

    pub(crate) async fn make_thing_type(&self, name: &str, tags: &Tags) -> Done {
        let call = self.iot.create_thing_type().thing_type_name(name);
        call.set_tags(Some(tags::iot(tags)?)).send().await.map(drop).map_err(refused)
    }

    /// Takes a deprecation back, or makes one: the same operation.
    pub(crate) async fn deprecate_thing_type(&self, name: &str, deprecated: bool) -> Done {
        let call = self.iot.deprecate_thing_type().thing_type_name(name).undo_deprecate(!deprecated);
        call.send().await.map(drop).map_err(refused)
    }

    /// Deprecates the type, unless that was done, and deletes it; refused until five minutes after the deprecation.
    pub(crate) async fn drop_thing_type(&self, name: &str) -> Done {
        let call = self.iot.describe_thing_type().thing_type_name(name).send();
        let Some(found) = optional(call.await.map_err(refused))? else {
            return Ok(());
        };
        if !found.thing_type_metadata().is_some_and(|metadata| metadata.deprecated()) {
            self.deprecate_thing_type(name, true).await?;
        }
        gone(self.iot.delete_thing_type().thing_type_name(name).send().await.map_err(refused))
    }
}
