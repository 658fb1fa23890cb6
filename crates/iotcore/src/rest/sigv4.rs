//! AWS Signature Version 4 as the server sees it: what a request claims, and whether its signature bears it out.
//!
//! Source: "AWS Signature Version 4 for API requests" (IAM User Guide, reference_sigv); what clients really send is
//! proved with vectors that botocore made (`tests/fixtures/sigv4.json`).
//!
//! # Modules
//! - [`claims`]: key, scope, date and signature out of the header or the query string
//! - [`canonical`]: the canonical request
//! - [`date`]: the basic form of ISO 8601, as in `20261121T080000Z`
//! - [`flaw`]: what can be wrong, in AWS's words
//!
//! Not here: whose key it is ([`super::auth`]), and the time, which is given.

use std::time::Duration;

use aws_lc_rs::{constant_time, digest, hmac};
use fleetkey_model::secret::SecretAccessKey;
use fleetkey_model::time::Timestamp;
use hyper::{HeaderMap, Method};

pub(super) use canonical::normalize;
pub(super) use claims::Claims;
pub(super) use flaw::Flaw;

mod canonical;
mod claims;
mod date;
mod flaw;

/// How far the date of a request may be from ours.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// The parts of a request that a signature covers, but for its body.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) method: &'a Method,
    /// As it came, encoded.
    pub(super) path: &'a str,
    /// As it came, without the question mark.
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
}

/// Whether the signature is of `secret`, made for this request, and fresh at `now`.
///
/// # Errors
/// The [`Flaw`] that AWS would name first: the dates, then the body's hash, then the signature.
pub(super) fn verify(
    claims: &Claims,
    head: &Head<'_>,
    body: &[u8],
    secret: &SecretAccessKey,
    now: Timestamp,
) -> Result<(), Flaw> {
    fresh(claims, now)?;
    let hash = body_hash(claims, head, body)?;
    let canonical = canonical::request(claims, head, &hash);
    let to_sign = string_to_sign(claims, &canonical);
    let expected = hex(sign(&key(claims, secret), to_sign.as_bytes()).as_ref());
    match constant_time::verify_slices_are_equal(expected.as_bytes(), claims.signature.as_bytes()) {
        Ok(()) => Ok(()),
        Err(_) => Err(Flaw::Mismatch { canonical, to_sign }),
    }
}

fn fresh(claims: &Claims, now: Timestamp) -> Result<(), Flaw> {
    let moment = claims.moment;
    if moment > now + SKEW {
        return Err(Flaw::NotYet { signed: moment, now, skew: SKEW });
    }
    match claims.expires {
        Some(life) if now > moment + life => Err(Flaw::UrlExpired { signed: moment, now, life }),
        None if now > moment + SKEW => Err(Flaw::Expired { signed: moment, now, skew: SKEW }),
        _ => Ok(()),
    }
}

/// The hash that the canonical request ends with: what the client says it is, if the body agrees.
fn body_hash(claims: &Claims, head: &Head<'_>, body: &[u8]) -> Result<String, Flaw> {
    let actual = || hex(digest::digest(&digest::SHA256, body).as_ref());
    let stated = head.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    match stated {
        // Presigned requests are made before there is a body; S3's clients name it in the query string.
        None if claims.unsigned_payload => Ok(UNSIGNED_PAYLOAD.to_owned()),
        None => Ok(actual()),
        Some(UNSIGNED_PAYLOAD) => Ok(UNSIGNED_PAYLOAD.to_owned()),
        Some(stated) => {
            let actual = actual();
            if stated == actual { Ok(actual) } else { Err(Flaw::Payload) }
        }
    }
}

/// In place of the body's hash.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

fn string_to_sign(claims: &Claims, canonical: &str) -> String {
    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    format!("AWS4-HMAC-SHA256\n{}\n{}\n{hash}", claims.date_time, claims.scope())
}

fn key(claims: &Claims, secret: &SecretAccessKey) -> hmac::Tag {
    let start = zeroize::Zeroizing::new(format!("AWS4{}", secret.expose()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, start.as_bytes());
    let date = hmac::sign(&key, claims.date.as_bytes());
    let region = sign(&date, claims.region.as_bytes());
    let service = sign(&region, claims.service.as_bytes());
    sign(&service, b"aws4_request")
}

fn sign(key: &hmac::Tag, data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), data)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
