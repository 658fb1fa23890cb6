//! Log groups of CloudWatch.

use std::collections::HashMap;

use fleetkey_operator::cloud::{Found, Spec, Tags};
use fleetkey_operator::control_plane::{ApiError, Done};

use crate::Aws;
use crate::error::{gone, optional, refused};
use crate::permit::Command::{Cleanup, Setup, Status};
use crate::permit::{On, Permit};

pub(crate) const PERMITS: &[Permit] = &[
    Permit { call: "logs:DescribeLogGroups", also: &[], on: On::Anything, by: &[Setup, Cleanup, Status] },
    Permit { call: "logs:ListTagsForResource", also: &[], on: On::LogGroup, by: &[Setup, Cleanup, Status] },
    Permit { call: "logs:CreateLogGroup", also: &["logs:TagResource"], on: On::LogGroup, by: &[Setup] },
    Permit { call: "logs:PutRetentionPolicy", also: &[], on: On::LogGroup, by: &[Setup] },
    Permit { call: "logs:TagResource", also: &[], on: On::LogGroup, by: &[Setup] },
    Permit { call: "logs:DeleteLogGroup", also: &[], on: On::LogGroup, by: &[Cleanup] },
];

impl Aws {
    pub(crate) async fn look_at_log_group(&self, name: &str) -> Result<Option<Found>, ApiError> {
        let call = self.logs.describe_log_groups().log_group_name_prefix(name);
        let mut pages = call.into_paginator().items().send();
        while let Some(group) = pages.next().await {
            let group = group.map_err(refused)?;
            if group.log_group_name() == Some(name) {
                let spec = Spec::LogGroup { retention_days: group.retention_in_days() };
                let call = self.logs.list_tags_for_resource().resource_arn(self.log_group_arn(name).await?);
                let tags = optional(call.send().await.map_err(refused))?;
                let tags = tags.and_then(|answer| answer.tags).unwrap_or_default();
                return Ok(Some(Found { spec, tags: tags.into_iter().collect() }));
            }
        }
        Ok(None)
    }

    /// Makes the group and says how long it keeps; what comes between is made good by the next look.
    pub(crate) async fn make_log_group(&self, name: &str, days: Option<i32>, tags: &Tags) -> Done {
        let call = self.logs.create_log_group().log_group_name(name).set_tags(Some(map(tags)));
        call.send().await.map_err(refused)?;
        self.change_log_group(name, days).await
    }

    pub(crate) async fn change_log_group(&self, name: &str, days: Option<i32>) -> Done {
        let Some(days) = days else {
            return Ok(());
        };
        let call = self.logs.put_retention_policy().log_group_name(name).retention_in_days(days);
        call.send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn tag_log_group(&self, name: &str, tags: &Tags) -> Done {
        let call = self.logs.tag_resource().resource_arn(self.log_group_arn(name).await?);
        call.set_tags(Some(map(tags))).send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn drop_log_group(&self, name: &str) -> Done {
        gone(self.logs.delete_log_group().log_group_name(name).send().await.map_err(refused))
    }

    /// Without the `:*` that DescribeLogGroups puts behind it: tags are asked for by this form.
    async fn log_group_arn(&self, name: &str) -> Result<String, ApiError> {
        let scope = self.scope().await?;
        Ok(format!("arn:{}:logs:{}:{}:log-group:{name}", scope.partition, scope.region, scope.account))
    }
}

fn map(tags: &Tags) -> HashMap<String, String> {
    tags.clone().into_iter().collect()
}
