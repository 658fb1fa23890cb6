//! The policies of AWS itself that a fleet's roles attach.
//!
//! Source: AWS managed policy reference, AWSIoTThingsRegistration (v3) and AWSLambdaBasicExecutionRole (v1).

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetkey_model::time::Timestamp;
use serde_json::json;

use super::policy::{Policy, PolicyVersion};

/// What the front of their ARNs is.
const OWNER: &str = "arn:aws:iam::aws:policy";

const THINGS_REGISTRATION: [&str; 29] = [
    "iot:AddThingToThingGroup",
    "iot:AttachPolicy",
    "iot:AttachPrincipalPolicy",
    "iot:AttachThingPrincipal",
    "iot:CreateCertificateFromCsr",
    "iot:CreatePolicy",
    "iot:CreateThing",
    "iot:DescribeCertificate",
    "iot:DescribeThing",
    "iot:DescribeThingGroup",
    "iot:DescribeThingType",
    "iot:DetachPolicy",
    "iot:DetachThingPrincipal",
    "iot:GetPolicy",
    "iot:ListAttachedPolicies",
    "iot:ListPolicyPrincipals",
    "iot:ListPrincipalPolicies",
    "iot:ListPrincipalThings",
    "iot:ListTargetsForPolicy",
    "iot:ListThingGroupsForThing",
    "iot:ListThingPrincipals",
    "iot:RegisterCertificate",
    "iot:RegisterThing",
    "iot:RemoveThingFromThingGroup",
    "iot:UpdateCertificate",
    "iot:UpdateThing",
    "iot:UpdateThingGroupsForThing",
    "iot:AddThingToBillingGroup",
    "iot:DescribeBillingGroup",
];
const BASIC_EXECUTION: [&str; 3] = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];

/// Whether AWS has a policy with this ARN, as far as we know them.
pub(super) fn exists(arn: &str) -> bool {
    all().any(|policy| policy.arn == arn)
}

/// Those policies.
pub(super) fn all() -> impl Iterator<Item = Arc<Policy>> {
    let things: Vec<_> = THINGS_REGISTRATION.into_iter().chain(["iot:RemoveThingFromBillingGroup"]).collect();
    [
        // 2017-12-01T20:21:52Z and 2015-04-09T15:03:43Z, as the reference tells.
        policy("AWSIoTThingsRegistration", "ANPAI3YQXTC5XAEVTJNEU", 1_512_159_712, &things),
        policy("AWSLambdaBasicExecutionRole", "ANPAJNCQGXC42545SKXIK", 1_428_591_823, &BASIC_EXECUTION),
    ]
    .into_iter()
}

fn policy(name: &str, id: &str, created: u64, actions: &[&str]) -> Arc<Policy> {
    let statement = json!([{"Effect": "Allow", "Action": actions, "Resource": ["*"]}]);
    let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    let created_at = Timestamp::from_secs(created);
    Arc::new(Policy {
        arn: format!("{OWNER}/service-role/{name}"),
        name: name.to_owned(),
        path: "/service-role/".to_owned(),
        id: id.to_owned(),
        description: None,
        default_version: 1,
        newest_version: 1,
        versions: BTreeMap::from([(1, PolicyVersion { document, created_at })]),
        created_at,
        updated_at: created_at,
        tags: BTreeMap::new(),
    })
}
