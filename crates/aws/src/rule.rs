//! Topic rules with the one action that attests: republish.

use aws_sdk_iot::types::{Action, RepublishAction, TopicRulePayload};
use fleetkey_operator::cloud::{Found, Spec, Tags};
use fleetkey_operator::control_plane::{ApiError, Done};

use crate::Aws;
use crate::error::{gone, incomplete, optional, refused};
use crate::permit::Command::{Cleanup, Setup, Status};
use crate::permit::{On, Permit};
use crate::tags::unfinished;

pub(crate) const PERMITS: &[Permit] = &[
    Permit { call: "iot:GetTopicRule", also: &[], on: On::Rule, by: &[Setup, Cleanup, Status] },
    Permit { call: "iot:ListTopicRules", also: &[], on: On::Anything, by: &[Setup, Cleanup, Status] },
    Permit {
        call: "iot:CreateTopicRule",
        also: &["iot:TagResource", "iam:PassRole"],
        on: On::Rule,
        by: &[Setup],
    },
    Permit { call: "iot:ReplaceTopicRule", also: &["iam:PassRole"], on: On::Rule, by: &[Setup] },
    Permit { call: "iot:DeleteTopicRule", also: &[], on: On::Rule, by: &[Cleanup] },
];

/// The version of the SQL that has every function the rule uses.
const SQL_VERSION: &str = "2016-03-23";
/// A request that is attested must not be lost on the way.
const QOS: i32 = 1;

/// A rule as it is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) sql: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) role: &'a str,
}

impl Aws {
    /// GetTopicRule answers `UnauthorizedException` for a rule that is not there, so the list is asked.
    pub(crate) async fn look_at_rule(&self, name: &str) -> Result<Option<Found>, ApiError> {
        let answer = match self.iot.get_topic_rule().rule_name(name).send().await.map_err(refused) {
            Err(ApiError::Other(reason)) if reason.starts_with("UnauthorizedException") => {
                return if self.lists_rule(name).await? { Err(ApiError::Other(reason)) } else { Ok(None) };
            }
            answer => answer,
        };
        let Some(found) = optional(answer)? else {
            return Ok(None);
        };
        let rule = found.rule().ok_or_else(|| incomplete("rule"))?;
        let republish = rule.actions().first().and_then(|action| action.republish());
        let spec = Spec::Rule {
            sql: rule.sql().unwrap_or_default().to_owned(),
            topic: republish.map_or_else(String::new, |action| action.topic().to_owned()),
            role: republish.map_or_else(String::new, |action| action.role_arn().to_owned()),
        };
        let arn = found.rule_arn().ok_or_else(|| incomplete("ruleArn"))?;
        Ok(optional(self.iot_tags(arn).await)?.map(|tags| Found { spec, tags }))
    }

    async fn lists_rule(&self, name: &str) -> Result<bool, ApiError> {
        let mut pages = self.iot.list_topic_rules().into_paginator().items().send();
        while let Some(rule) = pages.next().await {
            if rule.map_err(refused)?.rule_name() == Some(name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tags of a rule travel in a header, as a query string.
    pub(crate) async fn make_rule(&self, wanted: Wanted<'_>, tags: &Tags) -> Done {
        let tags: Vec<_> =
            tags.iter().map(|(key, value)| format!("{}={}", escape(key), escape(value))).collect();
        let call = self.iot.create_topic_rule().rule_name(wanted.name).topic_rule_payload(payload(wanted)?);
        call.tags(tags.join("&")).send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn change_rule(&self, wanted: Wanted<'_>) -> Done {
        let call = self.iot.replace_topic_rule().rule_name(wanted.name).topic_rule_payload(payload(wanted)?);
        call.send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn drop_rule(&self, name: &str) -> Done {
        match self.iot.delete_topic_rule().rule_name(name).send().await.map_err(refused) {
            Err(ApiError::Other(reason)) if reason.starts_with("UnauthorizedException") => {
                if self.lists_rule(name).await? { Err(ApiError::Other(reason)) } else { Ok(()) }
            }
            answer => gone(answer),
        }
    }
}

fn payload(wanted: Wanted<'_>) -> Result<TopicRulePayload, ApiError> {
    let republish = RepublishAction::builder().role_arn(wanted.role).topic(wanted.topic).qos(QOS).build();
    let action = Action::builder().republish(republish.map_err(unfinished)?).build();
    TopicRulePayload::builder()
        .sql(wanted.sql)
        .description("fleetkey: the broker's word on who sent a request")
        .aws_iot_sql_version(SQL_VERSION)
        .actions(action)
        .build()
        .map_err(unfinished)
}

/// Percent-encoding of everything but unreserved characters (RFC 3986, 2.3).
fn escape(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_travels_in_a_query_string() {
        assert_eq!(escape("fleetkey:fleet"), "fleetkey%3Afleet");
    }
}
