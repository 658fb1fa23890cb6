//! Whether a role's trust policy lets a service or a caller take it.
//!
//! A statement counts when it names who asks and an action that covers `sts:AssumeRole`; a Deny wins. Conditions: for a
//! service, `aws:SourceAccount` must be this account and `aws:SourceArn` is taken to hold; for a caller, the keys of
//! [`Assumption`] are compared; anything else does not hold. Source: IAM User Guide, reference_policies_elements_principal
//! and reference_policies_iam-condition-keys.

use serde_json::Value;

use super::document::texts;
use crate::hook::matches;

/// What AssumeRole is asked with, as far as trust policies look at it.
#[derive(Debug, Clone)]
pub(crate) struct Assumption<'a> {
    /// The caller's ARN.
    pub(crate) caller: &'a str,
    /// The role whose session the caller is, if it is one.
    pub(crate) role: Option<String>,
    /// The caller's account.
    pub(crate) account: &'a str,
    /// What the new session is to be called.
    pub(crate) session: &'a str,
    /// What a third party proves itself with.
    pub(crate) external_id: Option<&'a str>,
}

/// Who wants to take a role.
#[derive(Debug, Clone, Copy)]
pub(super) enum Taker<'a> {
    /// A service, on behalf of an account.
    Service { name: &'a str, account: &'a str },
    /// Somebody who has signed.
    Caller(&'a Assumption<'a>),
}

/// Whether `policy` lets `taker` assume the role.
pub(super) fn allows(policy: &str, taker: Taker<'_>) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return false;
    };
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let applies = |effect: &str| {
        statements.iter().any(|statement| {
            statement.get("Effect").and_then(Value::as_str) == Some(effect)
                && covers_action(statement)
                && taker.is_named_by(statement)
                && taker.meets(statement)
        })
    };
    applies("Allow") && !applies("Deny")
}

fn covers_action(statement: &Value) -> bool {
    let covers =
        |action: &&str| ["sts:assumerole", "sts:*", "*"].contains(&action.to_ascii_lowercase().as_str());
    statement.get("Action").and_then(texts).is_some_and(|actions| actions.iter().any(covers))
}

impl Taker<'_> {
    fn is_named_by(self, statement: &Value) -> bool {
        let Some(principal) = statement.get("Principal") else {
            return false;
        };
        let listed = |kind: &str| principal.get(kind).and_then(texts).unwrap_or_default();
        match self {
            Self::Service { name, .. } => listed("Service").contains(&name),
            Self::Caller(assumption) => {
                principal.as_str() == Some("*") || listed("AWS").iter().any(|arn| assumption.is_of(arn))
            }
        }
    }

    fn meets(self, statement: &Value) -> bool {
        let Some(Value::Object(operators)) = statement.get("Condition") else {
            return true;
        };
        operators.iter().all(|(operator, keys)| {
            keys.as_object().is_some_and(|keys| {
                keys.iter().all(|(key, values)| {
                    let values = texts(values).unwrap_or_default();
                    self.holds(operator, &key.to_ascii_lowercase(), &values)
                })
            })
        })
    }

    fn holds(self, operator: &str, key: &str, values: &[&str]) -> bool {
        match self {
            Self::Service { .. } if key == "aws:sourcearn" => true,
            Self::Service { account, .. } => {
                let equality = matches!(operator, "StringEquals" | "StringEqualsIgnoreCase" | "StringLike");
                key == "aws:sourceaccount" && equality && (values.contains(&account) || values.contains(&"*"))
            }
            Self::Caller(assumption) => assumption.value(key).is_some_and(|value| match operator {
                "StringEquals" => values.contains(&value),
                "StringEqualsIgnoreCase" => values.iter().any(|other| other.eq_ignore_ascii_case(value)),
                "StringLike" | "ArnLike" | "ArnEquals" => {
                    values.iter().any(|pattern| matches(pattern, value))
                }
                _ => false,
            }),
        }
    }
}

impl Assumption<'_> {
    /// Whether a principal means the caller: everybody, its account, itself, or the role whose session it is.
    fn is_of(&self, principal: &str) -> bool {
        let account = principal == self.account
            || principal.strip_prefix("arn:").is_some_and(|tail| {
                tail.split_once(':').is_some_and(|(_, tail)| tail == format!("iam::{}:root", self.account))
            });
        principal == "*" || account || principal == self.caller || self.role.as_deref() == Some(principal)
    }

    /// The value of a condition key, named in lower case.
    fn value(&self, key: &str) -> Option<&str> {
        match key {
            "sts:externalid" => self.external_id,
            "sts:rolesessionname" => Some(self.session),
            "aws:principalarn" => Some(self.role.as_deref().unwrap_or(self.caller)),
            "aws:principalaccount" => Some(self.account),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An Allow statement with these members too.
    fn allow(more: &[Value]) -> Value {
        let mut statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole"});
        for members in more {
            statement.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        }
        statement
    }

    fn principal(value: &Value) -> Value {
        json!({"Principal": value})
    }

    #[test]
    fn a_service_takes_only_a_role_that_names_it() {
        let services = principal(&json!({"Service": ["iot.amazonaws.com", "lambda.amazonaws.com"]}));
        let allow = |more: Value| allow(&[services.clone(), more]);
        let source = |account: &str| {
            json!({"Condition": {"StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": "arn:aws:iot:us-east-1:1:provisioningtemplate/x"}}})
        };
        let table = [
            (json!({"Statement": allow(json!({}))}), true),
            (json!({"Statement": [allow(source("1"))]}), true),
            (json!({"Statement": [allow(source("2"))]}), false),
            (
                json!({"Statement": allow(json!({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}))}),
                false,
            ),
            (json!({"Statement": allow(json!({"Action": ["sts:TagSession"]}))}), false),
            (json!({"Statement": allow(json!({"Principal": {"Service": "ec2.amazonaws.com"}}))}), false),
            (json!({"Statement": allow(json!({"Principal": {"AWS": "*"}}))}), false),
            (json!({"Statement": [allow(json!({})), allow(json!({"Effect": "Deny"}))]}), false),
            (json!({}), false),
        ];
        for (policy, expected) in table {
            let taker = Taker::Service { name: "lambda.amazonaws.com", account: "1" };
            assert_eq!(allows(&policy.to_string(), taker), expected, "{policy}");
        }
    }

    #[test]
    fn a_caller_takes_only_a_role_that_means_it() {
        let root = principal(&json!({"AWS": "arn:aws:iam::1:root"}));
        let on = |operator: &str, key: &str, value: &str| {
            allow(&[root.clone(), json!({"Condition": {operator: {key: value}}})])
        };
        let to = |value: Value| allow(&[principal(&value)]);
        let assumption = Assumption {
            caller: "arn:aws:sts::1:assumed-role/ci/run",
            role: Some("arn:aws:iam::1:role/ci".to_owned()),
            account: "1",
            session: "deploy-1",
            external_id: Some("x"),
        };
        let table = [
            (to(json!({"AWS": "arn:aws:iam::1:root"})), true),
            (to(json!("*")), true),
            (to(json!({"AWS": ["1"]})), true),
            (to(json!({"AWS": "arn:aws:iam::1:role/ci"})), true),
            (to(json!({"AWS": "arn:aws:sts::1:assumed-role/ci/run"})), true),
            (to(json!({"AWS": "arn:aws:iam::2:root"})), false),
            (to(json!({"AWS": "arn:aws:iam::1:role/*"})), false),
            (to(json!({"Service": "iot.amazonaws.com"})), false),
            (on("StringEquals", "sts:ExternalId", "x"), true),
            (on("StringEquals", "sts:ExternalId", "y"), false),
            (on("StringLike", "sts:RoleSessionName", "deploy-*"), true),
            (on("ArnLike", "aws:PrincipalArn", "arn:aws:iam::1:role/*"), true),
            (on("Bool", "aws:MultiFactorAuthPresent", "true"), false),
        ];
        for (statement, expected) in table {
            let policy = json!({"Statement": statement}).to_string();
            assert_eq!(allows(&policy, Taker::Caller(&assumption)), expected, "{policy}");
        }
        let policy = json!({"Statement": on("StringEquals", "sts:ExternalId", "x")});
        let without = Assumption { external_id: None, ..assumption };
        assert!(!allows(&policy.to_string(), Taker::Caller(&without)));
    }
}
