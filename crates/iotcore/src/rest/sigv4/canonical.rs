//! The canonical request: what both sides make of a request before they sign it.
//!
//! For every service but S3 the path is normalized (RFC 3986, 5.2.4; empty segments go as well) and encoded once
//! more than it came: `a%2Fb` is signed as `a%252Fb`.

use super::Head;
use super::claims::Claims;
use crate::rest::text::{percent_encode, query_pairs};

/// The canonical request, ending in the body's hash.
pub(super) fn request(claims: &Claims, head: &Head<'_>, hash: &str) -> String {
    format!(
        "{}\n{}\n{}\n{}\n{}\n{hash}",
        head.method,
        percent_encode(&normalize(head.path), true),
        query(claims, head.query),
        headers(claims, head),
        claims.signed_headers.join(";"),
    )
}

/// A path without `.`, `..` and empty segments, still encoded.
pub(in crate::rest) fn normalize(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// Every pair but the signature, encoded anew and sorted by its encoded name, then value.
fn query(claims: &Claims, query: &str) -> String {
    let mut pairs: Vec<(String, String)> = match query_pairs(query) {
        Some(pairs) => pairs
            .iter()
            .map(|(name, value)| (percent_encode(name, false), percent_encode(value, false)))
            .collect(),
        // What cannot be decoded was signed as it stands, if it was signed at all.
        None => raw_pairs(query),
    };
    pairs.retain(|(name, _)| name != "X-Amz-Signature" && !late_token(claims, name));
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The device gateway's clients add the session token after signing (Developer Guide, "MQTT over WebSocket").
fn late_token(claims: &Claims, name: &str) -> bool {
    claims.service == "iotdevicegateway" && claims.expires.is_some() && name == "X-Amz-Security-Token"
}

fn raw_pairs(query: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    };
    query.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

/// Each signed header with its values: blanks at the ends and runs of blanks go, several values stand in one line.
fn headers(claims: &Claims, head: &Head<'_>) -> String {
    let mut lines = String::new();
    for name in &claims.signed_headers {
        let values = head.headers.get_all(name.as_str()).iter();
        let values: Vec<String> =
            values.map(|value| squeeze(&String::from_utf8_lossy(value.as_bytes()))).collect();
        lines.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    lines
}

fn squeeze(value: &str) -> String {
    value.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_normalized_without_being_decoded() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("//a//b/", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/../..", "/"),
            ("/a%2F%2Fb", "/a%2F%2Fb"),
        ] {
            assert_eq!(normalize(path), expected, "{path}");
        }
    }

    #[test]
    fn runs_of_blanks_count_as_one() {
        assert_eq!(squeeze("  a   b\tc "), "a b c");
    }
}
