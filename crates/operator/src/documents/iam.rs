//! The documents of IAM: who may assume a fleet's roles, and what each may do.
//!
//! Every trust is confined to this account and to the resources that the role is for, so that nobody has AWS IoT use
//! it for something else (Developer Guide, cross-service-confused-deputy-prevention).

use fleetkey_model::arn::Scope;
use serde_json::{Value, json};

use super::Fleet;

/// May be assumed by AWS IoT for resources with one of these ARNs.
pub(super) fn trust_iot(scope: &Scope, sources: &[String]) -> Value {
    document(&json!({
        "Effect": "Allow",
        "Principal": { "Service": "iot.amazonaws.com" },
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": { "aws:SourceAccount": scope.account },
            "ArnLike": { "aws:SourceArn": sources },
        },
    }))
}

/// May be assumed by Lambda.
pub(super) fn trust_lambda() -> Value {
    document(&json!({
        "Effect": "Allow",
        "Principal": { "Service": "lambda.amazonaws.com" },
        "Action": "sts:AssumeRole",
    }))
}

/// What provisioning needs for the three templates, on this fleet's group, type and policy alone.
///
/// The managed policy AWSIoTThingsRegistration has the same actions and more on every resource, CreatePolicy among
/// them. AttachPolicy cannot be confined to a policy: its resource is the certificate.
pub(super) fn provisioning(fleet: &Fleet, thing_type: &str) -> Value {
    let scope = &fleet.scope;
    let things = scope.arn("thing/*");
    let group = scope.group(&fleet.names.group);
    let certificates = scope.arn("cert/*");
    let statement = |actions: &[&str], resources: &[&String]| {
        let actions: Vec<_> = actions.iter().map(|action| format!("iot:{action}")).collect();
        json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
    };
    let policy = scope.policy(&fleet.names.device_policy);
    let kind = scope.arn(&format!("thingtype/{thing_type}"));
    let everything = "*".to_owned();
    documents(&[
        statement(&["CreateThing"], &[&things, &kind]),
        statement(
            &["DescribeThing", "UpdateThing", "ListThingPrincipals", "ListThingGroupsForThing"],
            &[&things],
        ),
        statement(&["DescribeThingType"], &[&kind]),
        statement(&["DescribeThingGroup"], &[&group]),
        statement(&["AddThingToThingGroup", "UpdateThingGroupsForThing"], &[&things, &group]),
        statement(&["AttachThingPrincipal", "DetachThingPrincipal"], &[&things, &certificates]),
        statement(
            &[
                "AttachPolicy",
                "AttachPrincipalPolicy",
                "DescribeCertificate",
                "UpdateCertificate",
                "ListAttachedPolicies",
            ],
            &[&certificates],
        ),
        statement(&["ListPrincipalPolicies", "ListPrincipalThings"], &[&certificates]),
        statement(&["GetPolicy", "ListTargetsForPolicy"], &[&policy]),
        statement(&["RegisterThing"], &[&everything]),
    ])
}

/// What the hook needs: to write its log, nothing else.
pub(super) fn hook(scope: &Scope, log_group: &str) -> Value {
    let Scope { partition, region, account, .. } = scope;
    document(&json!({
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": format!("arn:{partition}:logs:{region}:{account}:log-group:{log_group}:*"),
    }))
}

/// What the attesting rule needs: to publish what it attests.
pub(super) fn rule(scope: &Scope, topics: &str) -> Value {
    document(&json!({ "Effect": "Allow", "Action": "iot:Publish", "Resource": scope.topic(topics) }))
}

fn document(statement: &Value) -> Value {
    documents(std::slice::from_ref(statement))
}

fn documents(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}
