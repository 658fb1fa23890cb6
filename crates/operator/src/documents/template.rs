//! Provisioning templates (Developer Guide, provision-template).
//!
//! All attach `EXCLUSIVE_THING`, so that thing variables resolve for `<thing>~verify` too, and all write the
//! certificate's id as a thing attribute. A thing without a type holds three attributes: one is fleetkey's, a second
//! only after a recovery.

use fleetkey_model::provisioning::SERIAL_PARAMETER;
use serde_json::{Value, json};

use super::{CERTIFICATE_ATTRIBUTE, Names, RECOVERED_ATTRIBUTE};

/// The id of the certificate being provisioned, which the service supplies.
const CERTIFICATE_ID: &str = "AWS::IoT::Certificate::Id";

/// `FAIL` on the attributes refuses a thing that exists: a leaked claim takes over nothing.
pub(super) fn claim(names: &Names) -> Value {
    let overrides = json!({ "AttributePayload": "FAIL", "ThingGroups": "FAIL" });
    template(names, &[CERTIFICATE_ATTRIBUTE], &overrides)
}

/// Groups stay as the operator arranged them; the certificate's id is the one thing that changes.
pub(super) fn rotation(names: &Names) -> Value {
    template(names, &[CERTIFICATE_ATTRIBUTE], &keep())
}

/// As a rotation, and marked, so that what came of a recovery can be told from what came of a rotation.
pub(super) fn recovery(names: &Names) -> Value {
    template(names, &[CERTIFICATE_ATTRIBUTE, RECOVERED_ATTRIBUTE], &keep())
}

/// The same template with a thing type for what it makes; a thing that exists keeps the type it has.
pub(super) fn typed(mut template: Value, thing_type: &str) -> Value {
    let properties = template.pointer_mut("/Resources/thing/Properties").and_then(Value::as_object_mut);
    if let Some(properties) = properties {
        properties.insert("ThingTypeName".to_owned(), json!(thing_type));
    }
    template
}

fn keep() -> Value {
    json!({ "AttributePayload": "MERGE", "ThingGroups": "DO_NOTHING" })
}

fn template(names: &Names, attributes: &[&str], overrides: &Value) -> Value {
    let id = json!({ "Ref": CERTIFICATE_ID });
    let attributes: serde_json::Map<String, Value> =
        attributes.iter().map(|&name| (name.to_owned(), id.clone())).collect();
    json!({
        "Parameters": {
            SERIAL_PARAMETER: { "Type": "String" },
            CERTIFICATE_ID: { "Type": "String" },
        },
        "Resources": {
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": { "CertificateId": id, "Status": "ACTIVE", "ThingPrincipalType": "EXCLUSIVE_THING" },
            },
            "policy": {
                "Type": "AWS::IoT::Policy",
                "Properties": { "PolicyName": names.device_policy },
            },
            "thing": {
                "Type": "AWS::IoT::Thing",
                "OverrideSettings": overrides,
                "Properties": {
                    "ThingName": { "Ref": SERIAL_PARAMETER },
                    "ThingGroups": [names.group],
                    "AttributePayload": attributes,
                },
            },
        },
        "DeviceConfiguration": {},
    })
}
