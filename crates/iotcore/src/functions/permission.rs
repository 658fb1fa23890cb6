//! A function's resource policy: AddPermission, RemovePermission, GetPolicy, and whether a service may invoke.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::change::seen_is;
use super::create::revision;
use super::{FunctionError, Functions, check};

/// Bytes of a resource policy.
const MAX_POLICY: usize = 20_480;

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Permission {
    /// Unique in the function.
    pub(crate) sid: String,
    /// `lambda:InvokeFunction`, `lambda:*`, …
    pub(crate) action: String,
    /// A service's name, an account, an ARN, or `*`.
    pub(crate) principal: String,
    /// On whose behalf: an ARN, with `*` and `?`.
    pub(crate) source_arn: Option<String>,
    /// On whose behalf: an account.
    pub(crate) source_account: Option<String>,
}

/// AddPermission's input.
#[derive(Debug, Clone)]
pub(crate) struct NewPermission {
    pub(crate) permission: Permission,
    /// The revision that the caller has seen.
    pub(crate) revision: Option<String>,
}

impl Functions {
    /// AddPermission: the statement as it now stands in the policy.
    ///
    /// # Errors
    /// When there is no such function, the id is taken, or a member is wrong.
    pub(crate) async fn add_permission(
        &self,
        name: &str,
        new: NewPermission,
    ) -> Result<Value, FunctionError> {
        check_permission(&new.permission)?;
        let after = revision()?;
        self.edit_version(name, |function| {
            seen_is(function, new.revision.as_deref())?;
            if function.permissions.iter().any(|other| other.sid == new.permission.sid) {
                return Err(FunctionError::StatementExists(new.permission.sid));
            }
            let arn = self.arn_of(function);
            let statement = new.permission.statement(&arn);
            function.permissions.push(new.permission);
            function.revision = after;
            if policy(&function.permissions, &arn).to_string().len() > MAX_POLICY {
                let message = format!("The final policy size is bigger than the limit ({MAX_POLICY}).");
                return Err(FunctionError::InvalidParameter(message));
            }
            Ok(statement)
        })
        .await
    }

    /// RemovePermission.
    ///
    /// # Errors
    /// When there is no such function or statement.
    pub(crate) async fn remove_permission(
        &self,
        name: &str,
        sid: &str,
        seen: Option<&str>,
    ) -> Result<(), FunctionError> {
        let after = revision()?;
        self.edit_version(name, |function| {
            seen_is(function, seen)?;
            let before = function.permissions.len();
            function.permissions.retain(|permission| permission.sid != sid);
            if function.permissions.len() == before {
                let message = format!("Statement {sid} is not found in resource policy.");
                return Err(FunctionError::NoStatement(message));
            }
            function.revision = after;
            Ok(())
        })
        .await
    }

    /// GetPolicy: the policy and its revision.
    ///
    /// # Errors
    /// When there is no such function, or it has no policy.
    pub(crate) fn policy(&self, name: &str) -> Result<(Value, String), FunctionError> {
        let function = self.function(name)?;
        if function.permissions.is_empty() {
            return Err(FunctionError::NoStatement("The resource you requested does not exist.".to_owned()));
        }
        Ok((policy(&function.permissions, &self.arn_of(&function)), function.revision.clone()))
    }
}

impl Permission {
    /// Whether `service` may invoke the function on behalf of the resource `source` of `account`.
    pub(super) fn allows(&self, service: &str, source: &str, account: &str) -> bool {
        let action = matches!(self.action.as_str(), "lambda:InvokeFunction" | "lambda:*" | "*");
        let principal = self.principal == service || self.principal == "*";
        let arn = self.source_arn.as_deref().is_none_or(|pattern| arn_like(pattern, source));
        action && principal && arn && self.source_account.as_deref().is_none_or(|other| other == account)
    }

    /// The statement as Lambda writes it for the function with this ARN.
    fn statement(&self, arn: &str) -> Value {
        let principal = match self.principal.as_str() {
            "*" => json!("*"),
            service if service.ends_with(".amazonaws.com") => json!({"Service": service}),
            account if account.bytes().all(|byte| byte.is_ascii_digit()) => {
                json!({"AWS": format!("arn:aws:iam::{account}:root")})
            }
            other => json!({"AWS": other}),
        };
        let mut statement = json!({
            "Sid": self.sid,
            "Effect": "Allow",
            "Principal": principal,
            "Action": self.action,
            "Resource": arn,
        });
        let mut conditions = Map::new();
        if let Some(account) = &self.source_account {
            conditions.insert("StringEquals".into(), json!({"AWS:SourceAccount": account}));
        }
        if let Some(source) = &self.source_arn {
            conditions.insert("ArnLike".into(), json!({"AWS:SourceArn": source}));
        }
        if let (false, Value::Object(members)) = (conditions.is_empty(), &mut statement) {
            members.insert("Condition".into(), Value::Object(conditions));
        }
        statement
    }
}

fn policy(permissions: &[Permission], arn: &str) -> Value {
    let statements: Vec<_> = permissions.iter().map(|permission| permission.statement(arn)).collect();
    json!({"Version": "2012-10-17", "Id": "default", "Statement": statements})
}

fn check_permission(permission: &Permission) -> Result<(), FunctionError> {
    let Permission { sid, action, principal, source_arn, source_account } = permission;
    let pattern = |text: &str| format!("Member must satisfy regular expression pattern: {text}");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if sid.is_empty() || sid.len() > 100 || !sid.bytes().all(plain) {
        return Err(check::violation("statementId", sid, &pattern("([a-zA-Z0-9-_]+)")));
    }
    let known = action == "*"
        || action.strip_prefix("lambda:").is_some_and(|name| {
            name == "*" || (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()))
        });
    if !known {
        return Err(check::violation("action", action, &pattern(r"(lambda:[*]|lambda:[a-zA-Z]+|[*])")));
    }
    let service = principal.ends_with(".amazonaws.com") || principal == "*" || principal.starts_with("arn:");
    let account = principal.len() == 12 && principal.bytes().all(|byte| byte.is_ascii_digit());
    if !service && !account {
        let message = "The provided principal was invalid. Please check the principal and try again.";
        return Err(FunctionError::InvalidParameter(message.to_owned()));
    }
    if let Some(arn) =
        source_arn.as_ref().filter(|arn| arn.splitn(6, ':').count() < 6 || !arn.starts_with("arn:"))
    {
        return Err(check::violation("sourceArn", arn, &pattern("arn:…:(.*)")));
    }
    match source_account.as_ref().filter(|text| text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()))
    {
        Some(text) => Err(check::violation("sourceAccount", text, &pattern(r"\d{12}"))),
        None => Ok(()),
    }
}

/// IAM's `ArnLike`: each of the six parts by itself, `*` any run of characters, `?` any one.
fn arn_like(pattern: &str, arn: &str) -> bool {
    let (pattern, arn): (Vec<_>, Vec<_>) = (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    pattern.len() == arn.len()
        && pattern.iter().zip(&arn).all(|(pattern, text)| crate::hook::matches(pattern, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/claim";

    fn permission() -> Permission {
        Permission {
            sid: "iot".into(),
            action: "lambda:InvokeFunction".into(),
            principal: "iot.amazonaws.com".into(),
            source_arn: None,
            source_account: None,
        }
    }

    #[test]
    fn a_service_invokes_only_for_what_the_statement_names() {
        let allows =
            |permission: Permission| permission.allows("iot.amazonaws.com", TEMPLATE, "123456789012");
        let source = |arn: &str| Permission { source_arn: Some(arn.into()), ..permission() };
        assert!(allows(permission()));
        assert!(allows(source(TEMPLATE)));
        assert!(allows(source("arn:aws:iot:us-east-1:123456789012:*")));
        assert!(allows(source("arn:aws:iot:*:*:provisioningtemplate/cl???")));
        assert!(!allows(source("arn:*")), "a star stays in its part");
        assert!(!allows(source("arn:aws:iot:us-east-1:123456789012:provisioningtemplate/other")));
        assert!(!allows(Permission { source_account: Some("999999999999".into()), ..permission() }));
        assert!(!allows(Permission { principal: "s3.amazonaws.com".into(), ..permission() }));
        assert!(!allows(Permission { action: "lambda:GetFunction".into(), ..permission() }));
    }

    #[test]
    fn a_statement_is_written_as_lambda_writes_it() {
        let permission = Permission {
            source_arn: Some(TEMPLATE.into()),
            source_account: Some("123456789012".into()),
            ..permission()
        };
        let expected = json!({"Sid": "iot", "Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"},
            "Action": "lambda:InvokeFunction", "Resource": "arn:f", "Condition": {
                "StringEquals": {"AWS:SourceAccount": "123456789012"}, "ArnLike": {"AWS:SourceArn": TEMPLATE}}});
        assert_eq!(permission.statement("arn:f"), expected);
    }
}
