//! Amazon Resource Names of AWS IoT: one account and region, and the names in it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::certificate::CertificateId;
use crate::name::{ClientId, GroupName, PolicyName, RuleName, TemplateName, ThingName};

/// The account and region that every resource of a deployment lives in; the front half of each ARN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// For example `us-east-1`.
    pub region: String,
    /// Twelve digits.
    pub account: String,
}

impl Scope {
    /// The scope of the local IoT Core: `us-east-1`, account `123456789012`.
    pub fn local() -> Self {
        Self { partition: "aws".into(), region: "us-east-1".into(), account: "123456789012".into() }
    }

    /// The same in another region, with the partition that the region is in; `None` when no region is called so (General
    /// Reference, "Regional endpoints": `eu-central-1`, `us-gov-west-1`).
    pub fn local_in(region: &str) -> Option<Self> {
        let parts: Vec<&str> = region.split('-').collect();
        let (number, words) = parts.split_last()?;
        let lower = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
        let named = words.len() >= 2 && words.iter().all(lower) && region.len() <= 32;
        let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let partition = match (words.first()?, words.get(1)?) {
            (&"cn", _) => "aws-cn",
            (_, &"gov") => "aws-us-gov",
            _ => "aws",
        };
        (named && numbered).then(|| Self {
            partition: partition.into(),
            region: region.into(),
            ..Self::local()
        })
    }

    /// `arn:PARTITION:iot:REGION:ACCOUNT:` followed by `tail`.
    pub fn arn(&self, tail: &str) -> String {
        format!("arn:{}:iot:{}:{}:{tail}", self.partition, self.region, self.account)
    }

    /// The resource of `iot:Connect`.
    pub fn client(&self, id: &ClientId) -> String {
        self.arn(&format!("client/{id}"))
    }

    /// The resource of `iot:Publish`, `iot:Receive` and `iot:RetainPublish`; `topic` as it stands on the wire.
    pub fn topic(&self, topic: &str) -> String {
        self.arn(&format!("topic/{topic}"))
    }

    /// The resource of `iot:Subscribe`; `filter` as it stands on the wire.
    pub fn topic_filter(&self, filter: &str) -> String {
        self.arn(&format!("topicfilter/{filter}"))
    }

    /// A certificate.
    pub fn certificate(&self, id: &CertificateId) -> String {
        self.arn(&format!("cert/{id}"))
    }

    /// A thing.
    pub fn thing(&self, name: &ThingName) -> String {
        self.arn(&format!("thing/{name}"))
    }

    /// A thing group.
    pub fn group(&self, name: &GroupName) -> String {
        self.arn(&format!("thinggroup/{name}"))
    }

    /// A policy.
    pub fn policy(&self, name: &PolicyName) -> String {
        self.arn(&format!("policy/{name}"))
    }

    /// A topic rule.
    pub fn rule(&self, name: &RuleName) -> String {
        self.arn(&format!("rule/{name}"))
    }

    /// A provisioning template.
    pub fn template(&self, name: &TemplateName) -> String {
        self.arn(&format!("provisioningtemplate/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_written_as_aws_writes_them() {
        let scope = Scope::local();
        let thing = ThingName::new("a").unwrap();
        assert_eq!(scope.thing(&thing), "arn:aws:iot:us-east-1:123456789012:thing/a");
        assert_eq!(scope.topic_filter("a/+"), "arn:aws:iot:us-east-1:123456789012:topicfilter/a/+");
    }

    #[test]
    fn a_region_decides_the_partition_and_what_is_none_is_refused() {
        let scope = |region| Scope::local_in(region).map(|scope| scope.arn("cert/x"));
        assert_eq!(scope("us-east-1").as_deref(), Some("arn:aws:iot:us-east-1:123456789012:cert/x"));
        assert_eq!(
            scope("us-gov-west-1").as_deref(),
            Some("arn:aws-us-gov:iot:us-gov-west-1:123456789012:cert/x")
        );
        assert_eq!(scope("cn-north-1").as_deref(), Some("arn:aws-cn:iot:cn-north-1:123456789012:cert/x"));
        for bad in [
            "",
            "eu",
            "eu-1",
            "eu-central",
            "EU-central-1",
            "eu-central-1:x",
            "eu--1",
            "*-*-1",
            "eu-central-1/../x",
        ] {
            assert_eq!(scope(bad), None, "{bad}");
        }
    }
}
