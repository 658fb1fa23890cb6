//! Things of devices: their attributes, their certificates, their end.

use aws_sdk_iot::types::{AttributePayload, ThingPrincipalType};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_operator::cloud::Tags;
use fleetkey_operator::control_plane::{ApiError, CertificateSummary, Done};
use fleetkey_operator::documents::RECOVERED_ATTRIBUTE;
use fleetkey_operator::plan::Mark;

use crate::Aws;
use crate::error::{gone, optional, refused};
use crate::permit::Command::{
    Cleanup, Decommission, Doctor, RecoveryApprove, RecoveryReject, RecoveryShow, Revoke, Serve, SignRequest,
};
use crate::permit::{On, Permit};

pub(crate) const PERMITS: &[Permit] = &[
    Permit {
        call: "iot:DescribeThing",
        also: &[],
        on: On::Things,
        by: &[
            Cleanup,
            Decommission,
            Doctor,
            Serve,
            SignRequest,
            RecoveryShow,
            RecoveryApprove,
            RecoveryReject,
        ],
    },
    Permit { call: "iot:UpdateThing", also: &[], on: On::Things, by: &[RecoveryApprove, RecoveryReject] },
    Permit { call: "iot:AttachThingPrincipal", also: &[], on: On::Anything, by: &[SignRequest] },
    Permit {
        call: "iot:ListThingPrincipals",
        also: &[],
        on: On::Things,
        by: &[Cleanup, Decommission, Serve, Revoke, RecoveryApprove, RecoveryReject],
    },
    Permit {
        call: "iot:DetachThingPrincipal",
        also: &[],
        on: On::Anything,
        by: &[Cleanup, Decommission, Serve],
    },
    Permit { call: "iot:DeleteThing", also: &[], on: On::Things, by: &[Cleanup, Decommission] },
];

impl Aws {
    pub(crate) async fn attributes_of(&self, thing: &ThingName) -> Result<Option<Tags>, ApiError> {
        let call = self.iot.describe_thing().thing_name(thing.as_str()).send();
        let found = optional(call.await.map_err(refused))?;
        Ok(found.map(|found| found.attributes.unwrap_or_default().into_iter().collect()))
    }

    /// The mark of a recovery; an attribute of that name that names no certificate was not written by our template.
    pub(crate) async fn mark_of(&self, thing: &ThingName) -> Result<Option<Mark>, ApiError> {
        let call = self.iot.describe_thing().thing_name(thing.as_str()).send();
        let Some(found) = optional(call.await.map_err(refused))? else {
            return Ok(None);
        };
        let text = found.attributes().and_then(|all| all.get(RECOVERED_ATTRIBUTE));
        let unreadable = |text: &String| {
            ApiError::Other(format!(
                "{RECOVERED_ATTRIBUTE} of {thing} is {text:?}, which is no certificate's id"
            ))
        };
        let certificate = text.map(|text| text.parse().map_err(|_| unreadable(text))).transpose()?;
        Ok(Some(Mark { certificate, version: found.version() }))
    }

    /// An attribute goes when it is merged with nothing as its value (API Reference, AttributePayload).
    pub(crate) async fn take_mark(&self, thing: &ThingName, version: i64) -> Done {
        let payload = AttributePayload::builder().attributes(RECOVERED_ATTRIBUTE, "").merge(true).build();
        let call = self.iot.update_thing().thing_name(thing.as_str()).attribute_payload(payload);
        call.expected_version(version).send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn certificates_of(
        &self,
        thing: &ThingName,
    ) -> Result<Vec<CertificateSummary>, ApiError> {
        let call = self.iot.list_thing_principals().thing_name(thing.as_str());
        let mut pages = call.into_paginator().items().send();
        let mut ids: Vec<CertificateId> = Vec::new();
        while let Some(arn) = pages.next().await {
            let arn = arn.map_err(refused)?;
            ids.extend(arn.rsplit_once("cert/").and_then(|(_, id)| id.parse::<CertificateId>().ok()));
        }
        let mut certificates = Vec::with_capacity(ids.len());
        for id in ids {
            // One that went meanwhile is none.
            certificates.extend(optional(self.summary(&id).await)?);
        }
        Ok(certificates)
    }

    pub(crate) async fn detach_from(&self, thing: &ThingName, id: &CertificateId) -> Done {
        let call = self.iot.detach_thing_principal().thing_name(thing.as_str());
        call.principal(self.arn_of(id).await?).send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn attach_to(&self, thing: &ThingName, id: &CertificateId) -> Done {
        let call = self.iot.attach_thing_principal().thing_name(thing.as_str());
        let call =
            call.principal(self.arn_of(id).await?).thing_principal_type(ThingPrincipalType::ExclusiveThing);
        call.send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn drop_thing(&self, thing: &ThingName) -> Done {
        gone(self.iot.delete_thing().thing_name(thing.as_str()).send().await.map_err(refused))
    }
}
