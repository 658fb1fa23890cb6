//! What a request says of itself: its key, its scope, its date, what was signed, the signature.

use std::time::Duration;

use fleetkey_model::time::Timestamp;

use super::flaw::Flaw;
use super::{Head, UNSIGNED_PAYLOAD, date};
use crate::rest::text;

/// The only algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// A presigned URL lives for seven days at most.
const MAX_LIFE: u64 = 7 * 86_400;

/// The claims of a request, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rest) struct Claims {
    /// The access key's id.
    pub(in crate::rest) access_key: String,
    /// `YYYYMMDD` of the scope.
    pub(super) date: String,
    /// The region of the scope.
    pub(in crate::rest) region: String,
    /// The service of the scope.
    pub(in crate::rest) service: String,
    /// The session token, if there is one.
    pub(in crate::rest) token: Option<String>,
    /// Lower case, as listed.
    pub(super) signed_headers: Vec<String>,
    /// Hexadecimal, as it came.
    pub(super) signature: String,
    /// When the request was signed, as it was written.
    pub(super) date_time: String,
    /// The same.
    pub(super) moment: Timestamp,
    /// How long a presigned request is good for.
    pub(super) expires: Option<Duration>,
    /// Whether the query string says that the body was not signed.
    pub(super) unsigned_payload: bool,
}

impl Claims {
    /// Reads the claims of a request.
    ///
    /// # Errors
    /// When it is not signed, or its signature lacks a part.
    pub(in crate::rest) fn read(head: &Head<'_>) -> Result<Self, Flaw> {
        match head.headers.get("authorization") {
            Some(value) => {
                let value = value.to_str().map_err(|_| Flaw::Incomplete(String::new()))?;
                from_header(head, value)
            }
            None => from_query(head),
        }
    }

    /// `20261121/us-east-1/iot/aws4_request`.
    pub(super) fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

fn from_header(head: &Head<'_>, value: &str) -> Result<Claims, Flaw> {
    let Some((algorithm, rest)) = value.split_once(' ') else {
        return Err(Flaw::MissingToken);
    };
    if algorithm != ALGORITHM {
        return Err(Flaw::Incomplete(format!("Unsupported AWS 'algorithm': '{}'.", clip(algorithm))));
    }
    let part = |name: &str| {
        let mut parts = rest.split(',').filter_map(|part| part.trim().split_once('='));
        parts.find(|(found, _)| *found == name).map(|(_, value)| value)
    };
    let (credential, signature) = (part("Credential"), part("Signature"));
    let signed = part("SignedHeaders");
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let date_time = header("x-amz-date").or_else(|| header("date"));
    let (Some(credential), Some(signature), Some(signed), Some(date_time)) =
        (credential, signature, signed, date_time)
    else {
        let mut missing = String::new();
        let parts = [("Credential", credential), ("Signature", signature), ("SignedHeaders", signed)];
        for (name, _) in parts.iter().filter(|(_, part)| part.is_none()) {
            missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
        }
        if date_time.is_none() {
            missing.push_str(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
            );
        }
        return Err(Flaw::Incomplete(missing.trim_end().to_owned()));
    };
    let token = header("x-amz-security-token").map(str::to_owned);
    let claims = assemble(Parts { credential, signature, signed, date_time, token, expires: None })?;
    // A date that is not signed could be changed by whoever replays the request.
    let dated = ["x-amz-date", "date"].into_iter().find(|name| head.headers.contains_key(*name));
    match dated {
        Some(name) if !claims.signed_headers.iter().any(|signed| signed == name) => Err(Flaw::Unsigned(name)),
        _ => Ok(claims),
    }
}

fn from_query(head: &Head<'_>) -> Result<Claims, Flaw> {
    let pairs = text::query_pairs(head.query).unwrap_or_default();
    let find = |name: &str| pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let Some(algorithm) = find("X-Amz-Algorithm") else {
        return Err(Flaw::MissingToken);
    };
    if algorithm != ALGORITHM {
        return Err(Flaw::Incomplete(format!("Unsupported AWS 'algorithm': '{}'.", clip(algorithm))));
    }
    let needed = ["X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];
    let [Some(credential), Some(signature), Some(signed), Some(date_time)] = needed.map(find) else {
        let missing = needed.into_iter().filter(|name| find(name).is_none());
        let words: Vec<_> =
            missing.map(|name| format!("AWS query-string parameters must include '{name}'.")).collect();
        return Err(Flaw::Incomplete(words.join(" ")));
    };
    let expires = match find("X-Amz-Expires") {
        None => None,
        Some(text) => Some(life(text)?),
    };
    let token = find("X-Amz-Security-Token").map(str::to_owned);
    let mut claims = assemble(Parts { credential, signature, signed, date_time, token, expires })?;
    claims.unsigned_payload = find("X-Amz-Content-Sha256") == Some(UNSIGNED_PAYLOAD);
    Ok(claims)
}

fn life(text: &str) -> Result<Duration, Flaw> {
    match text.parse::<u64>() {
        Ok(secs) if (1..=MAX_LIFE).contains(&secs) => Ok(Duration::from_secs(secs)),
        Ok(_) => Err(Flaw::Incomplete("X-Amz-Expires must be between 1 and 604800 seconds.".to_owned())),
        Err(_) => Err(Flaw::Incomplete("X-Amz-Expires should be a number.".to_owned())),
    }
}

struct Parts<'a> {
    credential: &'a str,
    signature: &'a str,
    signed: &'a str,
    date_time: &'a str,
    token: Option<String>,
    expires: Option<Duration>,
}

fn assemble(parts: Parts<'_>) -> Result<Claims, Flaw> {
    // A key's id may hold a slash, at least as far as clients care; the scope is counted from the end.
    let mut scope = parts.credential.rsplitn(5, '/');
    let [Some(end), Some(service), Some(region), Some(date), Some(access_key)] =
        std::array::from_fn(|_| scope.next())
    else {
        let message = "Credential must have exactly 5 slash-delimited elements, e.g. \
                       keyid/date/region/service/term, got";
        return Err(Flaw::Incomplete(format!("{message} '{}'.", clip(parts.credential))));
    };
    if end != "aws4_request" {
        let message = "Credential should be scoped with a valid terminator: 'aws4_request', not";
        return Err(Flaw::Scope(format!("{message} '{}'.", clip(end))));
    }
    let Some(moment) = date::parse(parts.date_time) else {
        let message = "Date must be in ISO-8601 'basic format'. Got";
        return Err(Flaw::Incomplete(format!("{message} '{}'.", clip(parts.date_time))));
    };
    if parts.date_time.get(..8) != Some(date) {
        return Err(Flaw::Scope(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '{}' != '{}', from '{}'.",
            clip(date),
            parts.date_time.get(..8).unwrap_or_default(),
            parts.date_time
        )));
    }
    let signed_headers: Vec<String> = parts.signed.split(';').map(str::to_ascii_lowercase).collect();
    if !signed_headers.iter().any(|name| name == "host") {
        return Err(Flaw::Unsigned("host"));
    }
    Ok(Claims {
        access_key: access_key.to_owned(),
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        token: parts.token,
        signed_headers,
        signature: parts.signature.to_owned(),
        date_time: parts.date_time.to_owned(),
        moment,
        expires: parts.expires,
        unsigned_payload: false,
    })
}

fn clip(text: &str) -> String {
    text.chars().take(128).collect()
}
