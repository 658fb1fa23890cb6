//! Tags of AWS IoT's resources; the other services answer theirs with the resource.

use aws_sdk_iot::types::Tag;
use fleetkey_operator::cloud::Tags;
use fleetkey_operator::control_plane::{ApiError, Done};

use crate::Aws;
use crate::error::refused;
use crate::permit::Command::{Cleanup, PanicClaim, PanicUndo, RecoveryWindow, Setup, Status};
use crate::permit::{On, Permit};

pub(crate) const PERMITS: &[Permit] = &[
    Permit {
        call: "iot:ListTagsForResource",
        also: &[],
        on: On::Named,
        by: &[Setup, Cleanup, Status, RecoveryWindow, PanicClaim, PanicUndo],
    },
    Permit { call: "iot:TagResource", also: &[], on: On::Named, by: &[Setup] },
];

impl Aws {
    /// The tags of a resource of AWS IoT.
    pub(crate) async fn iot_tags(&self, arn: &str) -> Result<Tags, ApiError> {
        let mut pages = self.iot.list_tags_for_resource().resource_arn(arn).into_paginator().items().send();
        let mut tags = Tags::new();
        while let Some(tag) = pages.next().await {
            let tag = tag.map_err(refused)?;
            tags.insert(tag.key().to_owned(), tag.value().unwrap_or_default().to_owned());
        }
        Ok(tags)
    }

    /// Adds tags to a resource of AWS IoT.
    pub(crate) async fn tag_iot(&self, arn: &str, tags: &Tags) -> Done {
        let call = self.iot.tag_resource().resource_arn(arn).set_tags(Some(iot(tags)?));
        call.send().await.map(drop).map_err(refused)
    }
}

/// Tags as AWS IoT takes them.
pub(crate) fn iot(tags: &Tags) -> Result<Vec<Tag>, ApiError> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    tags.iter().map(tag).collect::<Result<_, _>>().map_err(unfinished)
}

/// A request that cannot even be written: a field is missing, which the compiler could not see.
pub(crate) fn unfinished(error: impl std::fmt::Display) -> ApiError {
    ApiError::Other(error.to_string())
}
