//! The quotas by name and code. Source: `iotcore` in Service Quotas for names and codes; AWS IoT Core endpoints and quotas
//! for values and for what can be raised.

use super::super::service::Service;
use super::{Limits, Quota, Rates};

/// Calls a second of each operation of the REST API: code, operation, number, whether it can be raised.
const CALLS: &[(&str, &str, u32, bool)] = &[
    ("L-2904683A", "AddThingToThingGroup", 100, true),
    ("L-CA7D4E3E", "AttachPolicy", 15, true),
    ("L-81689EEF", "AttachPrincipalPolicy", 15, true),
    ("L-F64D1AA6", "AttachThingPrincipal", 100, true),
    ("L-01BCDDCA", "CreateCertificateFromCsr", 15, true),
    ("L-40B55430", "CreateKeysAndCertificate", 10, true),
    ("L-1B2EEF52", "CreatePolicy", 10, true),
    ("L-BD4A365E", "CreatePolicyVersion", 10, true),
    ("L-33A2AE15", "CreateProvisioningClaim", 10, true),
    ("L-0DF9E6AC", "CreateProvisioningTemplate", 10, true),
    ("L-7C43D13A", "CreateProvisioningTemplateVersion", 10, true),
    ("L-64CBACAC", "CreateThing", 100, true),
    ("L-512F449C", "CreateThingGroup", 25, true),
    ("L-8650816F", "CreateThingType", 15, true),
    ("L-E817179B", "CreateTopicRule", 5, true),
    ("L-EEB8F0B1", "DeleteCertificate", 10, true),
    ("L-58129C66", "DeletePolicy", 10, true),
    ("L-2990EF9F", "DeletePolicyVersion", 10, true),
    ("L-066C37B5", "DeleteProvisioningTemplate", 10, true),
    ("L-307251B7", "DeleteProvisioningTemplateVersion", 10, true),
    ("L-889800F7", "DeleteThing", 100, true),
    ("L-FCAB1AF4", "DeleteThingGroup", 15, true),
    ("L-CFBDB489", "DeleteThingType", 15, true),
    ("L-7F1DBFAE", "DeprecateThingType", 15, true),
    ("L-FC864907", "DescribeCertificate", 10, true),
    ("L-F30831DF", "DescribeEndpoint", 10, false),
    ("L-261C415C", "DescribeProvisioningTemplate", 10, true),
    ("L-35130141", "DescribeProvisioningTemplateVersion", 10, true),
    ("L-0EF0F5EE", "DescribeThing", 350, true),
    ("L-52E1E197", "DescribeThingGroup", 100, true),
    ("L-EC88D510", "DetachPolicy", 15, true),
    ("L-A20A8794", "DetachPrincipalPolicy", 15, true),
    ("L-B5EE4A16", "DetachThingPrincipal", 100, true),
    ("L-CE45290D", "GetEffectivePolicies", 5, true),
    ("L-5CE9072D", "GetPolicy", 10, true),
    ("L-1FE17093", "GetPolicyVersion", 15, true),
    ("L-B2DA2A45", "ListAttachedPolicies", 15, true),
    ("L-97DA2C60", "ListCertificates", 10, true),
    ("L-2B86A5A0", "ListPolicies", 10, true),
    ("L-E67DF416", "ListPolicyVersions", 10, true),
    ("L-129466FE", "ListPrincipalPolicies", 15, true),
    ("L-C481616A", "ListPrincipalThings", 10, true),
    ("L-ED45A70B", "ListPrincipalThingsV2", 10, true),
    ("L-53E8A280", "ListProvisioningTemplates", 10, true),
    ("L-80CBA176", "ListProvisioningTemplateVersions", 10, true),
    ("L-D127B7BE", "ListTagsForResource", 10, true),
    ("L-D7C50543", "ListTargetsForPolicy", 10, true),
    ("L-1E5260D6", "ListThingGroups", 10, true),
    ("L-75F129AD", "ListThingGroupsForThing", 100, true),
    ("L-FC3EF4D9", "ListThingPrincipals", 20, true),
    ("L-00ACEBE9", "ListThingPrincipalsV2", 20, true),
    ("L-57AAC135", "ListThings", 10, true),
    ("L-D33FD5F9", "ListThingsInThingGroup", 25, true),
    ("L-F9EBF527", "ListThingTypes", 10, true),
    ("L-860C3E36", "ListTopicRules", 2, true),
    ("L-8C0011A3", "RegisterCertificate", 10, true),
    ("L-4671C7C8", "RegisterCertificateWithoutCA", 10, true),
    ("L-C0B2EF8B", "RegisterThing", 10, true),
    ("L-2A81A394", "RemoveThingFromThingGroup", 100, true),
    ("L-4F16A45D", "SetDefaultPolicyVersion", 10, true),
    ("L-06E76376", "TagResource", 10, true),
    ("L-31D9CC26", "TestAuthorization", 10, false),
    ("L-8996ACA8", "UntagResource", 10, true),
    ("L-77B523DC", "UpdateCertificate", 10, true),
    ("L-1FD03A8A", "UpdateProvisioningTemplate", 10, true),
    ("L-211F680E", "UpdateThing", 100, true),
    ("L-5D84F9FE", "UpdateThingGroup", 15, true),
];

/// The same of the data plane, of which Service Quotas lists none.
const DATA: &[(&str, u32)] = &[
    ("DeleteConnection", 100),
    ("GetConnection", 100),
    ("GetRetainedMessage", 500),
    ("ListRetainedMessages", 10),
    ("ListSubscriptions", 100),
];

/// Calls a second of the REST API.
pub(super) fn rates() -> Vec<Quota> {
    let quota = |(code, call, value, adjustable): &(&'static str, &str, u32, bool)| Quota {
        code,
        name: format!("{call} API TPS"),
        value: f64::from(*value),
        unit: "None",
        adjustable: *adjustable,
    };
    CALLS.iter().map(quota).collect()
}

/// The same of one operation, if there is a quota on it.
pub(crate) fn rate_of(service: Service, operation: &str) -> Option<u32> {
    match service {
        Service::Iot => {
            CALLS.iter().find(|(_, call, ..)| *call == operation).map(|(_, _, number, _)| *number)
        }
        Service::IotData => DATA.iter().find(|(call, _)| *call == operation).map(|(_, number)| *number),
        _ => None,
    }
}

/// Requests a second of Fleet Provisioning over MQTT.
pub(super) fn provisioning(rates: Rates) -> [Quota; 3] {
    [
        ("L-CAFFCA46", "CreateKeysAndCertificate", rates.create_keys),
        ("L-83161BB8", "CreateCertificateFromCsr", rates.create_from_csr),
        ("L-B2BBBD8C", "RegisterThing", rates.register),
    ]
    .map(|(code, call, rate)| Quota {
        code,
        name: format!("Fleet Provisioning {call} MQTT API TPS"),
        value: f64::from(rate),
        unit: "None",
        adjustable: true,
    })
}

/// What the broker keeps to.
pub(super) fn broker(limits: &Limits) -> Vec<Quota> {
    let count = |number: usize| u32::try_from(number).ok();
    let expiry = u32::try_from(limits.session_expiry.as_secs()).ok();
    let all = [
        (
            "L-083F3861",
            "Publish requests per second per connection",
            limits.publishes_per_second,
            "None",
            false,
        ),
        (
            "L-033DE216",
            "Connect requests per second per client ID",
            limits.connects_per_second,
            "None",
            false,
        ),
        ("L-45957C13", "Subscriptions per connection", count(limits.subscriptions), "None", true),
        (
            "L-A6574E9E",
            "Maximum subscriptions per subscribe request",
            count(limits.filters_per_subscribe),
            "None",
            false,
        ),
        ("L-850876C0", "Shared Subscription groups per account", count(limits.share_groups), "None", false),
        ("L-EB813241", "Shared Subscriptions per group", count(limits.share_members), "None", false),
        (
            "L-8736D8E0",
            "Maximum inbound unacknowledged QoS 1 publish requests",
            Some(limits.in_flight_in.into()),
            "None",
            false,
        ),
        (
            "L-0DD80F19",
            "Maximum outbound unacknowledged QoS 1 publish requests",
            Some(limits.in_flight_out.into()),
            "None",
            false,
        ),
        ("L-C0EA6C17", "Maximum MQTT5 Topic Alias value", Some(limits.topic_aliases.into()), "None", true),
        ("L-BD70FE3A", "Maximum Message Expiry Interval", Some(limits.message_expiry_max), "Seconds", false),
        ("L-3BB6AFBC", "Persistent session expiry period", expiry, "Seconds", true),
    ];
    let quota = |(code, name, value, unit, adjustable): (_, &str, Option<u32>, _, _)| {
        Some(Quota { code, name: name.to_owned(), value: f64::from(value?), unit, adjustable })
    };
    all.into_iter().filter_map(quota).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_code_or_name_is_given_twice_and_lifted_limits_are_left_out() {
        let all = |limits: &Limits| {
            let mut all = rates();
            all.extend(provisioning(Rates::AWS));
            all.extend(broker(limits));
            all
        };
        let quotas = all(&Limits::default());
        let codes: BTreeSet<_> = quotas.iter().map(|quota| quota.code).collect();
        let names: BTreeSet<_> = quotas.iter().map(|quota| &quota.name).collect();
        assert_eq!((codes.len(), names.len()), (quotas.len(), quotas.len()));
        assert!(codes.iter().all(|code| code.len() == 10 && code.starts_with("L-")));
        assert_eq!(all(&Limits::unthrottled()).len(), quotas.len() - 2);
    }
}
