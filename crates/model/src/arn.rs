//! Amazon Resource Names of AWS IoT: one account and region, and the names in it.

use alloc::format;
use alloc::string::String;

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
}
