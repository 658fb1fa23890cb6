//! The verifier against what botocore signs, and against every change of it.

use std::collections::BTreeMap;

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::*;
use crate::rest::protocol::Protocol;

/// What `conformance/make_signatures.py` wrote.
#[derive(Deserialize)]
struct Vectors {
    access_key: String,
    secret: String,
    vectors: Vec<Vector>,
}

#[derive(Clone, Deserialize)]
struct Vector {
    name: String,
    service: String,
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: String,
    token: Option<String>,
    now: u64,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../tests/fixtures/sigv4.json")).unwrap()
}

fn vector(name: &str) -> Vector {
    vectors().vectors.into_iter().find(|vector| vector.name == name).unwrap()
}

impl Vector {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.now)
    }

    /// Reads and verifies the vector as if it arrived at `now`.
    fn check(&self, secret: &str, now: Timestamp) -> Result<Claims, Flaw> {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let header = |(name, value): (&String, &String)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let headers = self.headers.iter().map(header).collect();
        let head = Head { method: &method, path, query, headers: &headers };
        let claims = Claims::read(&head)?;
        verify(&claims, &head, self.body.as_bytes(), &SecretAccessKey::new(secret), now)?;
        Ok(claims)
    }
}

#[test]
fn what_botocore_signs_is_accepted() {
    let Vectors { access_key, secret, vectors } = vectors();
    assert!(vectors.len() >= 30);
    for vector in vectors {
        let claims =
            vector.check(&secret, vector.now()).unwrap_or_else(|flaw| panic!("{}: {flaw}", vector.name));
        assert_eq!(claims.access_key, access_key, "{}", vector.name);
        assert_eq!(claims.service, vector.service, "{}", vector.name);
        assert_eq!(claims.token, vector.token, "{}", vector.name);
    }
}

#[test]
fn another_secret_is_refused_for_every_vector() {
    for vector in vectors().vectors {
        let flaw = vector.check("another", vector.now()).unwrap_err();
        assert!(matches!(flaw, Flaw::Mismatch { .. }), "{}: {flaw:?}", vector.name);
    }
}

#[test]
fn any_change_after_signing_is_refused() {
    let secret = vectors().secret;
    let changes: [fn(&mut Vector); 5] = [
        |vector| vector.method = "PUT".into(),
        |vector| vector.target.push('x'),
        |vector| vector.body.push('x'),
        |vector| vector.headers.insert("host".into(), "localhost:1".into()).map_or((), drop),
        |vector| vector.headers.insert("content-type".into(), "text/plain".into()).map_or((), drop),
    ];
    for change in changes {
        let mut vector = vector("a body");
        change(&mut vector);
        assert!(
            matches!(vector.check(&secret, vector.now()), Err(Flaw::Mismatch { .. })),
            "{:?}",
            vector.target
        );
    }
    let mut unsigned = vector("an unsigned body");
    unsigned.body.push('x');
    assert!(unsigned.check(&secret, unsigned.now()).is_ok());
    let mut hashed = vector("a body");
    hashed.headers.insert("x-amz-content-sha256".into(), "0".repeat(64));
    assert_eq!(hashed.check(&secret, hashed.now()), Err(Flaw::Payload));
}

#[test]
fn a_date_beyond_a_quarter_of_an_hour_is_refused_in_the_words_of_aws() {
    let secret = vectors().secret;
    let vector = vector("only a slash");
    let now = vector.now();
    for near in [now - SKEW, now + SKEW] {
        assert!(vector.check(&secret, near).is_ok());
    }
    let late = vector.check(&secret, now + SKEW + Duration::from_secs(1)).unwrap_err();
    let expected = "Signature expired: 20261121T080000Z is now earlier than 20261121T080001Z \
                    (20261121T081501Z - 15 min.)";
    assert_eq!(late.to_string(), expected);
    assert_eq!(late.refusal(Protocol::RestJson).code, "InvalidSignatureException");
    assert_eq!(late.refusal(Protocol::Query("")).code, "SignatureDoesNotMatch");
    let early = vector.check(&secret, now - SKEW - Duration::from_secs(1)).unwrap_err();
    let expected = "Signature not yet current: 20261121T080000Z is still later than 20261121T075959Z \
                    (20261121T074459Z + 15 min.)";
    assert_eq!(early.to_string(), expected);
}

#[test]
fn a_presigned_request_lives_as_long_as_it_says_and_seven_days_at_most() {
    let secret = vectors().secret;
    for (name, life) in [("presigned", 3600), ("presigned with a session token", 604_800)] {
        let vector = vector(name);
        let end = vector.now() + Duration::from_secs(life);
        assert!(vector.check(&secret, end).is_ok(), "{name}");
        let flaw = vector.check(&secret, end + Duration::from_secs(1)).unwrap_err();
        assert_eq!(flaw.refusal(Protocol::RestJson).code, "RequestExpired");
    }
    for life in ["0", "604801", "-1", "x", "99999999999999999999"] {
        let mut vector = vector("presigned");
        vector.target = vector.target.replace("X-Amz-Expires=3600", &format!("X-Amz-Expires={life}"));
        assert!(matches!(vector.check(&secret, vector.now()), Err(Flaw::Incomplete(_))), "{life}");
    }
}

#[test]
fn a_part_that_is_missing_is_named() {
    for (part, named) in [
        ("Credential=", "'Credential'"),
        ("Signature=", "'Signature'"),
        ("SignedHeaders=", "'SignedHeaders'"),
    ] {
        let mut vector = vector("a body");
        let header = vector.headers["authorization"].replace(part, "X=");
        vector.headers.insert("authorization".into(), header);
        let flaw = vector.check("", vector.now()).unwrap_err();
        assert!(matches!(&flaw, Flaw::Incomplete(why) if why.contains(named)), "{flaw:?}");
    }
    let mut undated = vector("a body");
    undated.headers.remove("x-amz-date");
    assert!(undated.check("", undated.now()).unwrap_err().to_string().contains("'X-Amz-Date'"));
    let mut unsigned = vector("a body");
    unsigned.headers.remove("authorization");
    assert_eq!(unsigned.check("", unsigned.now()), Err(Flaw::MissingToken));
}

#[test]
fn a_scope_that_contradicts_itself_is_refused() {
    for (from, to) in [("20261121/", "20261122/"), ("aws4_request", "aws5_request")] {
        let mut vector = vector("a body");
        let header = vector.headers["authorization"].replace(from, to);
        vector.headers.insert("authorization".into(), header);
        assert!(matches!(vector.check("", vector.now()), Err(Flaw::Scope(_))), "{to}");
    }
    for (from, to) in [("host;", ""), (";x-amz-date", "")] {
        let mut vector = vector("a body");
        let header = vector.headers["authorization"].replace(from, to);
        vector.headers.insert("authorization".into(), header);
        assert!(matches!(vector.check("", vector.now()), Err(Flaw::Unsigned(_))), "{from}");
    }
}
