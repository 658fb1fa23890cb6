//! The operations of IAM: roles, their policies, managed policies.
//!
//! Source: botocore 1.44.5, iam/2010-05-08. Documents go back percent-encoded, as the API reference says of each.

use fleetkey_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::owner;
use super::{Context, Page, PageQuery, Refusal, Reply, Reset, Resetting, Route, action, text};
use crate::iam::{Iam, IamError};

mod attached;
mod policies;
mod roles;

/// IAM's table of operations.
pub(super) fn routes() -> Vec<Route> {
    let mut all = vec![action("GetUser", get_user)];
    all.extend(roles::routes());
    all.extend(attached::routes());
    all.extend(policies::routes());
    all
}

impl From<IamError> for Refusal {
    fn from(error: IamError) -> Self {
        if error.status() >= 500 {
            tracing::error!(%error, "an operation of IAM failed");
            return Self::new(500, "ServiceFailure", "An unexpected error has occurred.");
        }
        Self::new(error.status(), error.code(), error.to_string())
    }
}

impl Reset for Iam {
    fn reset(&self) -> Resetting<'_> {
        Box::pin(async { Self::reset(self).await.map_err(|error| error.to_string()) })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetUser {
    user_name: Option<String>,
}

/// The one user that there is, whom the account's key belongs to. A session of a role is no user.
async fn get_user(context: Context, input: GetUser) -> Result<Reply, Refusal> {
    let owner = owner(&context.scope, "");
    let own = |arn: &str| arn.split_once(":user/").map(|(_, name)| name.to_owned());
    let Some(name) = input.user_name.or_else(|| own(&context.caller.arn)) else {
        let message = "Must specify userName when calling with non-User credentials";
        return Err(Refusal::new(400, "ValidationError", message));
    };
    context.iam.check_user_name(&name)?;
    if own(&owner.arn).as_ref() != Some(&name) {
        return Err(IamError::NoSuchEntity(format!("The user with name {name} cannot be found.")).into());
    }
    Ok(Reply::json(&json!({"User": {
        "Path": "/",
        "UserName": name,
        "UserId": owner.principal_id,
        "Arn": owner.arn,
        "CreateDate": moment(Timestamp::from_secs(0)),
    }})))
}

fn pairs(tags: Vec<Tag>) -> Vec<(String, String)> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

fn tags<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<Value> {
    tags.into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

/// IAM's and STS's moments have no fraction of a second.
pub(super) fn moment(at: Timestamp) -> String {
    let whole: String = at.to_string().chars().take("2026-11-21T08:00:00".len()).collect();
    whole + "Z"
}

fn encoded(document: &str) -> String {
    text::percent_encode(document, false)
}

/// A page of IAM: up to 1000 items, 100 by default.
fn page(query: &PageQuery) -> Result<Page, Refusal> {
    query.page(1..=1000, 100).map_err(|refusal| refusal.with_code("ValidationError"))
}

/// An answer with a page of items under `member`.
fn listed(member: &str, items: &[Value], marker: Option<&str>) -> Reply {
    Reply::json(&json!({member: items, "IsTruncated": marker.is_some(), "Marker": marker}))
}
