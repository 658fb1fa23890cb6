//! What an account has on record of one device, for a diagnosis. Reads only.

use std::collections::BTreeMap;

use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::{CertificateId, ThingPrincipalType};
use fleetkey_model::name::ThingName;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::diagnosis::{Records, Standing, ThingRecord};

use aws_sdk_iot::types::ThingPrincipalType as Wire;

use crate::Aws;
use crate::error::{optional, refused};
use crate::permit::Command::Doctor;
use crate::permit::{On, Permit};

pub(crate) const PERMITS: &[Permit] = &[
    Permit { call: "iot:GetEffectivePolicies", also: &[], on: On::Certificates, by: &[Doctor] },
    Permit { call: "iot:ListPrincipalThingsV2", also: &[], on: On::Anything, by: &[Doctor] },
];

impl Aws {
    /// Partition, region and account: the first call, which tells whether there are credentials at all.
    ///
    /// # Errors
    /// When nobody answers, or the credentials are missing or wrong.
    pub async fn place(&self) -> Result<Scope, ApiError> {
        self.scope().await
    }

    async fn effective_policies(
        &self,
        id: &CertificateId,
        thing: Option<&ThingName>,
    ) -> Result<Vec<(String, String)>, ApiError> {
        let call = self.iot.get_effective_policies().principal(self.arn_of(id).await?);
        let call = call.set_thing_name(thing.map(|thing| thing.as_str().to_owned()));
        let answer = call.send().await.map_err(refused)?;
        let pair = |policy: &aws_sdk_iot::types::EffectivePolicy| {
            Some((policy.policy_name()?.to_owned(), policy.policy_document()?.to_owned()))
        };
        Ok(answer.effective_policies().iter().filter_map(pair).collect())
    }

    async fn attachments(
        &self,
        id: &CertificateId,
    ) -> Result<BTreeMap<ThingName, ThingPrincipalType>, ApiError> {
        let call = self.iot.list_principal_things_v2().principal(self.arn_of(id).await?);
        let mut pages = call.into_paginator().items().send();
        let mut attached = BTreeMap::new();
        while let Some(object) = pages.next().await {
            let object = object.map_err(refused)?;
            let kind = match object.thing_principal_type() {
                Some(Wire::ExclusiveThing) => ThingPrincipalType::ExclusiveThing,
                _ => ThingPrincipalType::NonExclusiveThing,
            };
            attached.extend(ThingName::new(object.thing_name()).ok().map(|name| (name, kind)));
        }
        Ok(attached)
    }

    async fn thing_record(&self, thing: &ThingName) -> Result<Option<ThingRecord>, ApiError> {
        let call = self.iot.describe_thing().thing_name(thing.as_str()).send();
        let found = optional(call.await.map_err(refused))?;
        Ok(found.map(|found| ThingRecord {
            type_name: found.thing_type_name,
            attributes: found.attributes.unwrap_or_default().into_iter().collect(),
        }))
    }
}

impl Records for Aws {
    async fn standing(&self, certificate: &CertificateId, thing: &ThingName) -> Result<Standing, ApiError> {
        let record = self.thing_record(thing).await?;
        let Some(summary) = optional(self.summary(certificate).await)? else {
            return Ok(Standing { thing: record, ..Standing::default() });
        };
        let known = record.as_ref().map(|_| thing);
        Ok(Standing {
            status: Some(summary.status),
            policies: self.effective_policies(certificate, known).await?,
            attached: self.attachments(certificate).await?,
            thing: record,
        })
    }
}
