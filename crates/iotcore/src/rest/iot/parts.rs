//! What several families of operations share: members that recur, and commits whose refusals AWS dresses alike.

use std::collections::BTreeMap;

use fleetkey_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::AccountError;
use crate::registry::{AttributeUpdate, Plan, Registry, RegistryError, Tags};
use crate::rest::{Context, PageQuery, Refusal, text};

use super::super::Page;

/// Characters of a description of a thing type or group (API Reference).
const MAX_DESCRIPTION: usize = 2028;

/// A moment as AWS writes it in JSON: seconds since the epoch.
#[allow(clippy::cast_precision_loss, reason = "milliseconds fit a double for 285 000 years")]
pub(super) fn seconds(at: Timestamp) -> Value {
    json!(at.as_millis() as f64 / 1000.0)
}

/// Makes a plan durable. A ResourceAlreadyExistsException tells what exists, as AWS's does.
pub(super) async fn commit<T>(
    context: &Context,
    plan: impl FnOnce(&Registry) -> Result<Plan<T>, RegistryError>,
) -> Result<T, Refusal> {
    context.account.commit(plan).await.map_err(|error| refusal(context, error))
}

/// What an operation of the account refuses.
pub(super) fn refusal(context: &Context, error: AccountError) -> Refusal {
    let existing = match &error {
        AccountError::Registry(error) => error.existing(&context.scope),
        _ => None,
    };
    let refusal = Refusal::from(error);
    match existing {
        Some((id, arn)) => refusal.with("resourceId", id).with("resourceArn", arn),
        None => refusal,
    }
}

/// `Tag`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    #[serde(default)]
    value: Option<String>,
}

impl From<Tag> for (String, String) {
    fn from(tag: Tag) -> Self {
        (tag.key, tag.value.unwrap_or_default())
    }
}

/// `TagList` of something new, where the operation has no LimitExceededException (API Reference).
pub(super) fn first_tags<T: Into<(String, String)>>(
    tags: impl IntoIterator<Item = T>,
) -> Result<Tags, Refusal> {
    Tags::new(tags.into_iter().map(Into::into)).map_err(|error| match error {
        RegistryError::TooManyTags(_) => Refusal::invalid(error.to_string()),
        other => other.into(),
    })
}

/// `TagList`.
pub(super) fn tags(tags: Vec<Tag>) -> Result<Tags, Refusal> {
    Ok(Tags::new(tags.into_iter().map(Into::into))?)
}

/// A description of something for people.
pub(super) fn described(text: Option<String>, member: &str) -> Result<Option<String>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    if text.chars().count() > MAX_DESCRIPTION {
        let constraint = format!("Member must have length less than or equal to {MAX_DESCRIPTION}");
        return Err(Refusal::constraint(Some(&text), member, &constraint));
    }
    if text.chars().any(|c| c.is_control() || (c.is_whitespace() && c != ' ')) {
        let constraint = r"Member must satisfy regular expression pattern: [\p{Graph}\x20]*";
        return Err(Refusal::constraint(Some(&text), member, constraint));
    }
    Ok(Some(text))
}

/// `AttributePayload`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AttributePayload {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "text::boolean")]
    merge: bool,
}

impl From<AttributePayload> for AttributeUpdate {
    fn from(payload: AttributePayload) -> Self {
        Self { attributes: payload.attributes, merge: payload.merge }
    }
}

impl AttributePayload {
    /// The attributes of something new: an empty value is none.
    pub(super) fn fresh(payload: Option<Self>) -> BTreeMap<String, String> {
        let mut attributes = payload.unwrap_or_default().attributes;
        attributes.retain(|_, value| !value.is_empty());
        attributes
    }
}

/// The page that a list operation is asked for: 1 to 250 items, 25 when no number is given.
pub(super) fn page(query: &PageQuery) -> Result<Page, Refusal> {
    query.page(1..=250, 25)
}

/// The same for lists in the order of creation, which falls unless asked to rise.
pub(super) fn page_by_age(query: &PageQuery) -> Result<Page, Refusal> {
    let page = page(query)?;
    Ok(Page { ascending: Some(page.ascending.unwrap_or(false)), ..page })
}

/// The key of a list in the order of creation.
pub(super) fn age(created_at: Timestamp, name: &str) -> String {
    format!("{:020} {name}", created_at.as_millis())
}
