//! Whether a text is a policy in IAM's grammar: enough of it that a mistake in a set-up shows here as it does there.
//!
//! Checked: JSON, version, statements, which elements a statement must and must not have. Not checked: whether the
//! actions and condition keys exist. Source: IAM User Guide, reference_policies_grammar.

use serde_json::{Map, Value};

use super::IamError;

/// Which kind of policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Who may take a role.
    Trust,
    /// What a role may do.
    Identity,
}

const TOP: [&str; 3] = ["Version", "Id", "Statement"];
const STATEMENT: [&str; 9] = [
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Principal",
    "NotPrincipal",
    "Condition",
];

/// Checks `text`.
///
/// # Errors
/// [`IamError::Malformed`] in IAM's words.
pub(super) fn check(text: &str, kind: Kind) -> Result<(), IamError> {
    let value: Value =
        serde_json::from_str(text).map_err(|_| malformed("This policy contains invalid Json"))?;
    let Value::Object(policy) = value else {
        return Err(malformed("Syntax errors in policy."));
    };
    known(&policy, &TOP)?;
    match policy.get("Version") {
        None => {}
        Some(Value::String(version)) if version == "2012-10-17" || version == "2008-10-17" => {}
        Some(_) => return Err(malformed("The policy must contain a valid version string")),
    }
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return Err(malformed("Missing required field Statement")),
    };
    let mut sids = Vec::new();
    for statement in statements {
        let Value::Object(statement) = statement else {
            return Err(malformed("Syntax errors in policy."));
        };
        check_statement(statement, kind)?;
        if let Some(sid) = statement.get("Sid") {
            if sids.contains(&sid) {
                return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
            }
            sids.push(sid);
        }
    }
    Ok(())
}

fn check_statement(statement: &Map<String, Value>, kind: Kind) -> Result<(), IamError> {
    known(statement, &STATEMENT)?;
    match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow" | "Deny") => {}
        Some(other) => return Err(malformed(&format!("Invalid effect: {other}"))),
        None => return Err(malformed("Missing required field Effect")),
    }
    match statement.get("Sid") {
        None => {}
        Some(Value::String(sid)) if sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {}
        Some(_) => return Err(malformed("Statement IDs (SID) must be alpha-numeric.")),
    }
    if !statement.get("Condition").is_none_or(is_condition) {
        return Err(malformed("Syntax errors in policy."));
    }
    let actions = one_of(statement, "Action", "NotAction")?;
    match kind {
        Kind::Identity => {
            for field in ["Principal", "NotPrincipal"] {
                prohibited(statement, field)?;
            }
            if !actions.iter().all(|action| is_action(action)) {
                return Err(malformed(
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
                ));
            }
            let resources = one_of(statement, "Resource", "NotResource").map_err(|error| match error {
                IamError::Malformed(text) if text.starts_with("Missing") => {
                    malformed("Policy statement must contain resources.")
                }
                other => other,
            })?;
            match resources.iter().find(|resource| **resource != "*" && resource.split(':').count() < 6) {
                Some(resource) => {
                    Err(malformed(&format!("Resource {resource} must be in ARN format or \"*\".")))
                }
                None => Ok(()),
            }
        }
        Kind::Trust => {
            for field in ["Resource", "NotResource"] {
                prohibited(statement, field)?;
            }
            if !actions.iter().all(|action| action.starts_with("sts:") || *action == "*") {
                return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
            }
            check_principal(statement)
        }
    }
}

fn check_principal(statement: &Map<String, Value>) -> Result<(), IamError> {
    match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (None, None) => Err(malformed("Missing required field Principal")),
        (Some(Value::String(all)), None) if all == "*" => Ok(()),
        (Some(Value::Object(kinds)), None) | (None, Some(Value::Object(kinds))) if !kinds.is_empty() => {
            for (kind, names) in kinds {
                if !matches!(kind.as_str(), "AWS" | "Service" | "Federated" | "CanonicalUser") {
                    return Err(malformed(&format!("Unsupported principal: {kind}")));
                }
                if texts(names).is_none_or(|names| names.is_empty()) {
                    return Err(malformed("Invalid principal in policy"));
                }
            }
            Ok(())
        }
        _ => Err(malformed("Invalid principal in policy")),
    }
}

/// The texts of the one of two elements that must be there.
fn one_of<'a>(statement: &'a Map<String, Value>, one: &str, other: &str) -> Result<Vec<&'a str>, IamError> {
    match (statement.get(one), statement.get(other)) {
        (Some(value), None) | (None, Some(value)) => match texts(value) {
            Some(texts) if !texts.is_empty() => Ok(texts),
            _ => Err(malformed("Syntax errors in policy.")),
        },
        (None, None) => Err(malformed(&format!("Missing required field {one}"))),
        (Some(_), Some(_)) => Err(malformed("Syntax errors in policy.")),
    }
}

/// A text, or a list of texts.
pub(super) fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// Operators, each with keys, each with values.
fn is_condition(value: &Value) -> bool {
    let is_values = |value: &Value| match value {
        Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
        other => !other.is_object() && !other.is_null(),
    };
    let is_keys = |keys: &Value| keys.as_object().is_some_and(|keys| keys.values().all(is_values));
    value.as_object().is_some_and(|operators| operators.values().all(is_keys))
}

fn is_action(action: &str) -> bool {
    action == "*"
        || action.split_once(':').is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty())
}

fn known(object: &Map<String, Value>, names: &[&str]) -> Result<(), IamError> {
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        Some(_) => Err(malformed("Syntax errors in policy.")),
        None => Ok(()),
    }
}

fn prohibited(statement: &Map<String, Value>, field: &str) -> Result<(), IamError> {
    if statement.contains_key(field) {
        return Err(malformed(&format!("Has prohibited field {field}")));
    }
    Ok(())
}

fn malformed(text: &str) -> IamError {
    IamError::Malformed(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(policy: &str, kind: Kind) -> String {
        check(policy, kind).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn the_policies_of_a_fleet_are_policies() {
        let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"Service": ["iot.amazonaws.com"]}, "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}}]});
        let identity = json!({"Version": "2012-10-17", "Statement": {"Sid": "a1", "Effect": "Deny",
            "NotAction": ["iot:*"], "Resource": ["*", "arn:aws:iot:us-east-1:123456789012:topic/a"]}});
        assert_eq!(said(&trust.to_string(), Kind::Trust), "fine");
        assert_eq!(said(&identity.to_string(), Kind::Identity), "fine");
        assert_eq!(said(&trust.to_string(), Kind::Identity), "Has prohibited field Principal");
        assert_eq!(said(&identity.to_string(), Kind::Trust), "Has prohibited field Resource");
    }

    #[test]
    fn what_is_no_policy_is_told_in_iams_words() {
        let allow = |rest: &str| format!(r#"{{"Statement":[{{"Effect":"Allow",{rest}}}]}}"#);
        let table = [
            ("{".to_owned(), "This policy contains invalid Json"),
            ("[]".to_owned(), "Syntax errors in policy."),
            ("{}".to_owned(), "Missing required field Statement"),
            (
                r#"{"Version":"2020-01-01","Statement":[]}"#.to_owned(),
                "The policy must contain a valid version string",
            ),
            (
                r#"{"Statement":[{"Action":"a:b","Resource":"*"}]}"#.to_owned(),
                "Missing required field Effect",
            ),
            (allow(r#""Resource":"*""#), "Missing required field Action"),
            (allow(r#""Action":"a:b""#), "Policy statement must contain resources."),
            (
                allow(r#""Action":"ab","Resource":"*""#),
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
            ),
            (allow(r#""Action":"a:b","Resource":"b""#), "Resource b must be in ARN format or \"*\"."),
            (allow(r#""Action":[],"Resource":"*""#), "Syntax errors in policy."),
            (allow(r#""Action":"a:b","Resource":"*","Whatever":1"#), "Syntax errors in policy."),
        ];
        for (policy, words) in table {
            assert_eq!(said(&policy, Kind::Identity), words, "{policy}");
        }
    }
}
