//! Service Quotas of AWS IoT Core: what the account may do how often, as far as the local IoT Core knows.
//!
//! Source: botocore 1.44.5, service-quotas/2019-06-24; names and codes as `iotcore` lists them; values are AWS's defaults
//! (AWS IoT Core endpoints and quotas), and this broker's own where it has a limit. The broker keeps
//! to them; whether calls do, those of the REST API and of Fleet Provisioning, is a switch ([`Limits::account_rates`]). A limit
//! that is lifted is not listed.

use base64ct::{Base64, Encoding};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, Refusal, Reply, Route, target};
use crate::limits::Limits;
use crate::provisioning::Rates;

mod table;

pub(super) use table::rate_of;

/// What Service Quotas calls AWS IoT Core.
const SERVICE: &str = "iotcore";
/// The most that a page may have, and what it has when nobody says.
const MOST: u32 = 100;

/// The table of operations.
pub(super) fn routes() -> Vec<Route> {
    vec![target("ListServiceQuotas", list_service_quotas), target("GetServiceQuota", get_service_quota)]
}

/// A quota.
#[derive(Debug, Clone, PartialEq)]
struct Quota {
    code: &'static str,
    name: String,
    value: f64,
    unit: &'static str,
    adjustable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListServiceQuotas {
    service_code: String,
    quota_code: Option<String>,
    #[serde(default)]
    quota_applied_at_level: Level,
    max_results: Option<u32>,
    next_token: Option<String>,
}

/// All quotas here are the account's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    #[default]
    Account,
    Resource,
    All,
}

async fn list_service_quotas(context: Context, input: ListServiceQuotas) -> Result<Reply, Refusal> {
    let all = quotas_of(&context, &input.service_code)?;
    let after = input.next_token.as_deref().filter(|token| !token.is_empty()).map(place).transpose()?;
    let limit = limit(input.max_results)?;
    let meant = |quota: &Quota| {
        input.quota_applied_at_level != Level::Resource
            && input.quota_code.as_ref().is_none_or(|code| code == quota.code)
    };
    let rest: Vec<_> =
        all.into_iter().filter(meant).filter(|quota| after.as_deref() < Some(quota.code)).collect();
    let page = rest.get(..limit).unwrap_or(&rest);
    let last = page.last().filter(|_| page.len() < rest.len());
    let next = last.map(|quota| Base64::encode_string(quota.code.as_bytes()));
    let quotas: Vec<_> = page.iter().map(|quota| described(&context, quota)).collect();
    Ok(Reply::json(&json!({"Quotas": quotas, "NextToken": next})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetServiceQuota {
    service_code: String,
    quota_code: String,
}

async fn get_service_quota(context: Context, input: GetServiceQuota) -> Result<Reply, Refusal> {
    let all = quotas_of(&context, &input.service_code)?;
    let found = all.iter().find(|quota| quota.code == input.quota_code);
    let quota = found.ok_or_else(|| missing("quota"))?;
    Ok(Reply::json(&json!({"Quota": described(&context, quota)})))
}

/// All there are, by code.
fn quotas_of(context: &Context, service: &str) -> Result<Vec<Quota>, Refusal> {
    if service != SERVICE {
        return Err(missing("service"));
    }
    let mut all = table::rates();
    all.extend(table::provisioning(Rates::AWS));
    all.extend(table::broker(context.broker.limits()));
    all.sort_unstable_by_key(|quota| quota.code);
    Ok(all)
}

fn missing(what: &str) -> Refusal {
    let message = format!("The request failed because the specified {what} does not exist.");
    Refusal::new(400, "NoSuchResourceException", message)
}

/// The code that a page begins behind.
fn place(token: &str) -> Result<String, Refusal> {
    let code = Base64::decode_vec(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    code.filter(|code| code.starts_with("L-")).ok_or_else(|| {
        Refusal::new(
            400,
            "InvalidPaginationTokenException",
            "The request failed because the pagination token is invalid.",
        )
    })
}

fn limit(asked: Option<u32>) -> Result<usize, Refusal> {
    let asked = asked.unwrap_or(MOST);
    let constraint = match asked {
        0 => "Member must have value greater than or equal to 1".to_owned(),
        1..=MOST => return Ok(usize::try_from(asked).unwrap_or(usize::MAX)),
        _ => format!("Member must have value less than or equal to {MOST}"),
    };
    Err(Refusal::constraint(Some(&asked.to_string()), "maxResults", &constraint))
}

/// `ServiceQuota`.
fn described(context: &Context, quota: &Quota) -> Value {
    let scope = &context.scope;
    let arn = format!("arn:{}:servicequotas:{}:{}", scope.partition, scope.region, scope.account);
    json!({
        "ServiceCode": SERVICE,
        "ServiceName": "AWS IoT Core",
        "QuotaArn": format!("{arn}:{SERVICE}/{}", quota.code),
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": quota.value,
        "Unit": quota.unit,
        "Adjustable": quota.adjustable,
        "GlobalQuota": false,
        "QuotaAppliedAtLevel": "ACCOUNT",
    })
}
