//! The operations of STS: who the caller is, and taking a role.
//!
//! Source: API reference of STS, GetCallerIdentity and AssumeRole; botocore 1.44.5, sts/2011-06-15. Temporary
//! credentials live in memory: a restart forgets them. What a role may do is not enforced, so session policies and
//! tags are checked or left aside, and nothing more. Not here: the trust policy ([`crate::iam`]), and what becomes of
//! a request that is signed with temporary credentials ([`super::auth`]).

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::auth::Credential;
use super::context::Caller;
use super::{Context, Refusal, Reply, Route, action, text};
use crate::access_key::{AccessKey, session_token};
use crate::iam::{Assumption, Role};

/// Seconds that a session may last.
const SECONDS: RangeInclusive<u32> = 900..=43_200;
/// What a session lasts when nobody says, and at most when a session takes another role.
const HOUR: u32 = 3600;

/// STS's table of operations.
pub(super) fn routes() -> Vec<Route> {
    vec![action("GetCallerIdentity", get_caller_identity), action("AssumeRole", assume_role)]
}

#[derive(Deserialize)]
struct NoInput {}

async fn get_caller_identity(context: Context, _: NoInput) -> Result<Reply, Refusal> {
    let caller = &context.caller;
    Ok(Reply::json(&json!({"UserId": caller.principal_id, "Account": caller.account, "Arn": caller.arn})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRole {
    role_arn: String,
    role_session_name: String,
    #[serde(default, deserialize_with = "text::optional_number")]
    duration_seconds: Option<u32>,
    external_id: Option<String>,
    policy: Option<String>,
    serial_number: Option<String>,
}

async fn assume_role(context: Context, input: AssumeRole) -> Result<Reply, Refusal> {
    input.check(&context)?;
    let denied = |message| Refusal::new(403, "AccessDenied", message);
    if input.serial_number.is_some() {
        // There are no devices for multi-factor authentication.
        let message = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
        return Err(denied(message.to_owned()));
    }
    let caller = &context.caller;
    let assumption = Assumption {
        caller: &caller.arn,
        role: context.iam.role_of_session(&caller.arn),
        account: &caller.account,
        session: &input.role_session_name,
        external_id: input.external_id.as_deref(),
    };
    let role = context.iam.taken_by(&input.role_arn, &assumption).ok_or_else(|| {
        let (arn, role) = (&caller.arn, &input.role_arn);
        denied(format!("User: {arn} is not authorized to perform: sts:AssumeRole on resource: {role}"))
    })?;
    let seconds = lasting(input.duration_seconds, &role, assumption.role.is_some())?;
    let credential = credential(&context, &role, &input.role_session_name, seconds)?;
    let answer = json!({
        "Credentials": {
            "AccessKeyId": credential.caller.access_key,
            "SecretAccessKey": credential.secret.expose(),
            "SessionToken": credential.token.as_ref().map(|token| token.expose()),
            "Expiration": credential.expires.map(super::iam::moment),
        },
        "AssumedRoleUser": {"AssumedRoleId": credential.caller.principal_id, "Arn": credential.caller.arn},
    });
    context.keys.add(credential, context.now);
    Ok(Reply::json(&answer))
}

impl AssumeRole {
    fn check(&self, context: &Context) -> Result<(), Refusal> {
        length("roleArn", &self.role_arn, 20..=2048)?;
        length("roleSessionName", &self.role_session_name, 2..=64)?;
        pattern("roleSessionName", &self.role_session_name, "_=,.@-+", r"[\w+=,.@-]*")?;
        if let Some(id) = &self.external_id {
            length("externalId", id, 2..=1224)?;
            pattern("externalId", id, "_=,.@-+:/", r"[\w+=,.@:\/-]*")?;
        }
        if let Some(seconds) = self.duration_seconds.filter(|seconds| !SECONDS.contains(seconds)) {
            let bound = if seconds < *SECONDS.start() {
                format!("greater than or equal to {}", SECONDS.start())
            } else {
                format!("less than or equal to {}", SECONDS.end())
            };
            let constraint = format!("Member must have value {bound}");
            return Err(Refusal::constraint(Some(&seconds.to_string()), "durationSeconds", &constraint));
        }
        if !self.role_arn.starts_with("arn:") || !self.role_arn.contains(":role/") {
            return Err(validation(format!("{} is invalid", self.role_arn)));
        }
        match &self.policy {
            Some(policy) => Ok(context.iam.check_policy(policy)?),
            None => Ok(()),
        }
    }
}

/// How long the session lasts, in seconds.
fn lasting(asked: Option<u32>, role: &Role, chained: bool) -> Result<u32, Refusal> {
    let seconds = asked.unwrap_or(HOUR);
    if chained && seconds > HOUR {
        return Err(validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    if seconds > role.max_session {
        return Err(validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(seconds)
}

/// New temporary credentials of a role.
fn credential(context: &Context, role: &Role, session: &str, seconds: u32) -> Result<Credential, Refusal> {
    let key = AccessKey::random("ASIA").map_err(|_| Refusal::internal())?;
    let token = session_token().map_err(|_| Refusal::internal())?;
    let scope = &context.scope;
    let (partition, account) = (&scope.partition, &scope.account);
    Ok(Credential {
        secret: key.secret_access_key,
        token: Some(token),
        expires: Some(context.now + Duration::from_secs(seconds.into())),
        caller: Caller {
            access_key: key.access_key_id,
            account: account.clone(),
            arn: format!("arn:{partition}:sts::{account}:assumed-role/{}/{session}", role.name),
            principal_id: format!("{}:{session}", role.id),
        },
    })
}

fn length(member: &str, value: &str, bounds: RangeInclusive<usize>) -> Result<(), Refusal> {
    let count = value.chars().count();
    if bounds.contains(&count) {
        return Ok(());
    }
    let bound = if count < *bounds.start() {
        format!("greater than or equal to {}", bounds.start())
    } else {
        format!("less than or equal to {}", bounds.end())
    };
    Err(Refusal::constraint(Some(value), member, &format!("Member must have length {bound}")))
}

/// Letters, digits and some others.
fn pattern(member: &str, value: &str, others: &str, written: &str) -> Result<(), Refusal> {
    if value.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c)) {
        return Ok(());
    }
    let constraint = format!("Member must satisfy regular expression pattern: {written}");
    Err(Refusal::constraint(Some(value), member, &constraint))
}

fn validation(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ValidationError", message)
}
