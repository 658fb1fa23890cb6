//! Whether a role's trust policy lets a service take it.
//!
//! A statement counts when it names the service and an action that covers `sts:AssumeRole`; a Deny wins. Conditions:
//! `aws:SourceAccount` must be this account, `aws:SourceArn` is taken to hold, anything else does not hold.

use serde_json::Value;

use super::document::texts;

/// Whether `policy` lets `service` assume the role on behalf of `account`.
pub(super) fn allows(policy: &str, service: &str, account: &str) -> bool {
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
                && names(statement, service)
                && holds(statement, account)
        })
    };
    applies("Allow") && !applies("Deny")
}

fn covers_action(statement: &Value) -> bool {
    let covers =
        |action: &&str| ["sts:assumerole", "sts:*", "*"].contains(&action.to_ascii_lowercase().as_str());
    statement.get("Action").and_then(texts).is_some_and(|actions| actions.iter().any(covers))
}

fn names(statement: &Value, service: &str) -> bool {
    let services = statement.get("Principal").and_then(|principal| principal.get("Service")).and_then(texts);
    services.is_some_and(|services| services.contains(&service))
}

fn holds(statement: &Value, account: &str) -> bool {
    let Some(Value::Object(operators)) = statement.get("Condition") else {
        return true;
    };
    operators.iter().all(|(operator, keys)| {
        let equality = matches!(operator.as_str(), "StringEquals" | "StringEqualsIgnoreCase" | "StringLike");
        keys.as_object().is_some_and(|keys| {
            keys.iter().all(|(key, values)| match key.to_ascii_lowercase().as_str() {
                "aws:sourcearn" => true,
                "aws:sourceaccount" if equality => texts(values)
                    .is_some_and(|values| values.iter().any(|value| [account, "*"].contains(value))),
                _ => false,
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_takes_only_a_role_that_names_it() {
        let allow = |more: Value| {
            let mut statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {"Service": ["iot.amazonaws.com", "lambda.amazonaws.com"]}});
            statement.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            statement
        };
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
            (json!({"Statement": [allow(json!({})), allow(json!({"Effect": "Deny"}))]}), false),
            (json!({}), false),
        ];
        for (policy, expected) in table {
            assert_eq!(allows(&policy.to_string(), "lambda.amazonaws.com", "1"), expected, "{policy}");
        }
    }
}
