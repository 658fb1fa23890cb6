//! Thing groups: the fleet's own, which has no parent, and who is in any.

use fleetkey_model::name::{GroupName, ThingName};
use fleetkey_operator::cloud::{Found, Spec, Tags};
use fleetkey_operator::control_plane::{ApiError, Done};
use fleetkey_operator::plan::Patience;

use crate::Aws;
use crate::error::{gone, incomplete, optional, refused};
use crate::permit::Command::{Campaign, Cleanup, Setup, Status};
use crate::permit::{On, Permit};
use crate::tags;

/// The most things of one page (API Reference, ListThingsInThingGroup: 1 to 250, by default 25).
const LARGEST_PAGE: i32 = 250;

pub(crate) const PERMITS: &[Permit] = &[
    Permit { call: "iot:DescribeThingGroup", also: &[], on: On::Group, by: &[Setup, Cleanup, Status] },
    Permit { call: "iot:CreateThingGroup", also: &["iot:TagResource"], on: On::Group, by: &[Setup] },
    Permit { call: "iot:ListThingsInThingGroup", also: &[], on: On::Group, by: &[Cleanup] },
    Permit { call: "iot:ListThingsInThingGroup", also: &[], on: On::Groups, by: &[Campaign] },
    Permit { call: "iot:DeleteThingGroup", also: &[], on: On::Group, by: &[Cleanup] },
];

impl Aws {
    pub(crate) async fn look_at_group(&self, name: &str) -> Result<Option<Found>, ApiError> {
        let call = self.iot.describe_thing_group().thing_group_name(name).send();
        let Some(group) = optional(call.await.map_err(refused))? else {
            return Ok(None);
        };
        let arn = group.thing_group_arn().ok_or_else(|| incomplete("thingGroupArn"))?;
        Ok(optional(self.iot_tags(arn).await)?.map(|tags| Found { spec: Spec::Group, tags }))
    }

    pub(crate) async fn make_group(&self, name: &str, tags: &Tags) -> Done {
        let call = self.iot.create_thing_group().thing_group_name(name);
        call.set_tags(Some(tags::iot(tags)?)).send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn drop_group(&self, name: &str) -> Done {
        gone(self.iot.delete_thing_group().thing_group_name(name).send().await.map_err(refused))
    }

    /// Who is in a group, or in one below it (API Reference, ListThingsInThingGroup with `recursive`).
    ///
    /// # Errors
    /// [`ApiError::NotFound`] when there is no such group.
    pub async fn things_below(&self, group: &GroupName) -> Result<Vec<ThingName>, ApiError> {
        self.list_members(group, true).await
    }

    pub(crate) async fn things_in(&self, group: &GroupName) -> Result<Vec<ThingName>, ApiError> {
        Ok(optional(self.list_members(group, false).await)?.unwrap_or_default())
    }

    /// Page by page, each with a patience of its own: whoever began a list of thousands again at each throttle would never end.
    async fn list_members(&self, group: &GroupName, recursive: bool) -> Result<Vec<ThingName>, ApiError> {
        let call = self.iot.list_things_in_thing_group().thing_group_name(group.as_str());
        let call = call.recursive(recursive).max_results(LARGEST_PAGE);
        let (mut things, mut token) = (Vec::new(), None);
        loop {
            let ask = || {
                let sent = call.clone().set_next_token(token.clone()).send();
                async { sent.await.map_err(refused) }
            };
            let page = Patience::page(ask).await?;
            things.extend(page.things().iter().filter_map(|name| ThingName::new(name.as_str()).ok()));
            token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(things);
            }
        }
    }
}
