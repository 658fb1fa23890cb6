//! From a request's body to a checked order. That it is JSON keeps other sites' forms out.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, PolicyName, SerialNumber, ThingName};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Deserialize;

use super::{Ordered, Refusal, bad};
use crate::backend::{Draft, Leaked, Order};

/// The most bytes of a reason, and of a campaign or a window, which may name its devices: some thousands of them.
const MOST_REASON: usize = 16 * 1024;
const MOST_DRAFT: usize = 1024 * 1024;

/// Why something is ordered.
#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    why: String,
}

/// What is decided on, and why.
#[derive(Deserialize)]
struct Decision {
    #[serde(default)]
    why: String,
    certificate: CertificateId,
}

/// Who may come back, and for how long.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    #[serde(default)]
    why: String,
    serials: BTreeSet<SerialNumber>,
    #[serde(rename = "for")]
    seconds: u64,
}

/// A panic; `clients` is of one about claims.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stopping {
    #[serde(default)]
    why: String,
    #[serde(default)]
    clients: Vec<ClientId>,
    #[serde(default)]
    dry_run: bool,
}

/// The order of a request; `segment` is what stands in its path in a variable's place.
pub(super) async fn read(
    ordered: Ordered,
    segment: String,
    request: Request<Incoming>,
) -> Result<Order, Refusal> {
    let most = if matches!(ordered, Ordered::Start | Ordered::Open) { MOST_DRAFT } else { MOST_REASON };
    let body = Limited::new(request.into_body(), most).collect().await;
    let body = body.map_err(|_| Refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long".into()))?;
    understood(ordered, segment, &body.to_bytes())
}

fn understood(ordered: Ordered, segment: String, body: &Bytes) -> Result<Order, Refusal> {
    let thing = |name: String| ThingName::new(name).map_err(|error| bad(&error));
    Ok(match ordered {
        Ordered::Release => Order::Release { thing: thing(segment)?, why: why(body)? },
        Ordered::Rotate => Order::Rotate { thing: thing(segment)?, why: why(body)? },
        Ordered::Certificate(fate) => {
            let certificate = segment.parse().map_err(|error| bad(&error))?;
            Order::Certificate { certificate, fate, why: why(body)? }
        }
        Ordered::Recovered(verdict) => {
            let Decision { why, certificate } = serde_json::from_slice(body).map_err(|error| bad(&error))?;
            Order::Recovered { thing: thing(segment)?, certificate, verdict, why: said(&why)? }
        }
        Ordered::Open => opened(body)?,
        Ordered::Close => {
            let window = segment.parse().map_err(|_| Refusal::bad("the number of a recovery window"))?;
            Order::Close { window, why: why(body)? }
        }
        Ordered::StopClaims => {
            let Stopping { why, clients, dry_run } = stopping(body)?;
            Order::Stop { leaked: Leaked::Claims { clients }, why, dry_run }
        }
        Ordered::StopPolicy => {
            let policy = PolicyName::new(segment).map_err(|error| bad(&error))?;
            match stopping(body)? {
                Stopping { why, clients, dry_run } if clients.is_empty() => {
                    Order::Stop { leaked: Leaked::Policy(policy), why, dry_run }
                }
                _ => return Err(Refusal::bad("clients: of a panic about claims only")),
            }
        }
        Ordered::Restore => Order::Restore { why: why(body)? },
        Ordered::Start => Order::Start(Box::new(draft(body)?)),
        Ordered::Campaign(step) => Order::Campaign { name: segment, step, why: why(body)? },
    })
}

fn why(body: &Bytes) -> Result<String, Refusal> {
    let Reason { why } = serde_json::from_slice(body).map_err(|error| bad(&error))?;
    said(&why)
}

fn opened(body: &Bytes) -> Result<Order, Refusal> {
    let Opening { why, serials, seconds } = serde_json::from_slice(body).map_err(|error| bad(&error))?;
    match (serials.is_empty(), seconds) {
        (true, _) => Err(Refusal::bad("serials: who may recover; at least one")),
        (_, 0) => Err(Refusal::bad("for: how many seconds; at least one")),
        _ => Ok(Order::Open { serials, span: Duration::from_secs(seconds), why: said(&why)? }),
    }
}

fn stopping(body: &Bytes) -> Result<Stopping, Refusal> {
    let mut stopping: Stopping = serde_json::from_slice(body).map_err(|error| bad(&error))?;
    stopping.why = said(&stopping.why)?;
    Ok(stopping)
}

/// A reason that is one.
fn said(why: &str) -> Result<String, Refusal> {
    match why.trim() {
        "" => Err(Refusal::bad("why: what it is for, or what was found; it goes into the journal")),
        why => Ok(why.to_owned()),
    }
}

fn draft(body: &Bytes) -> Result<Draft, Refusal> {
    let mut draft: Draft = serde_json::from_slice(body).map_err(|error| bad(&error))?;
    draft.why = said(&draft.why)?;
    let Draft { thing, older_than, rule, group, things, .. } = &draft;
    let by_what = thing.is_some() || older_than.is_some() || rule.is_some() || group.is_some();
    match (by_what, things.is_empty()) {
        (false, true) => {
            Err(Refusal::bad("which devices: thing (* for all), older_than, rule, group, or things"))
        }
        (true, false) => {
            Err(Refusal::bad("things: these devices and no others; without thing, older_than, rule, group"))
        }
        _ => Ok(draft),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{CampaignStep, Fate, Verdict};

    fn refusal(ordered: Ordered, segment: &str, body: &'static str) -> String {
        understood(ordered, segment.to_owned(), &Bytes::from_static(body.as_bytes())).unwrap_err().1
    }

    #[test]
    fn an_order_says_why_or_is_refused() {
        let body = Bytes::from_static(br#"{"why":" yearly "}"#);
        let order = understood(Ordered::Rotate, "press-1".into(), &body).unwrap();
        let Order::Rotate { thing, why } = order else { panic!("{order:?}") };
        assert_eq!((thing.as_str(), why.as_str()), ("press-1", "yearly"));
        let pause = Ordered::Campaign(CampaignStep::Pause);
        for (body, words) in [("{}", "journal"), (r#"{"why":" "}"#, "journal"), ("why=x", "expected")] {
            let why = refusal(pause, "spring", body);
            assert!(why.contains(words), "{body}: {why}");
        }
        let why = refusal(Ordered::Certificate(Fate::Revoke), "0a", r#"{"why":"stolen"}"#);
        assert!(why.contains("64 hexadecimal"), "{why}");
    }

    #[test]
    fn a_decision_on_a_recovery_names_the_certificate_that_it_is_about() {
        let id = CertificateId::of_der(b"x");
        let body = Bytes::from(format!(r#"{{"why":"seen there","certificate":"{id}"}}"#));
        let reject = Ordered::Recovered(Verdict::Reject);
        let order = understood(reject, "press-1".into(), &body).unwrap();
        let Order::Recovered { thing, certificate, verdict, why } = order else { panic!("{order:?}") };
        assert_eq!((thing.as_str(), certificate, verdict), ("press-1", id, Verdict::Reject));
        assert_eq!(why, "seen there");
        let why = refusal(reject, "press-1", r#"{"why":"seen there"}"#);
        assert!(why.contains("certificate"), "{why}");
    }

    #[test]
    fn a_recovery_window_names_its_devices_and_how_long_it_is() {
        let body = Bytes::from_static(br#"{"why":"back from repair","serials":["press-1"],"for":3600}"#);
        let order = understood(Ordered::Open, String::new(), &body).unwrap();
        let Order::Open { serials, span, why } = order else { panic!("{order:?}") };
        assert_eq!((serials.len(), span, why.as_str()), (1, Duration::from_secs(3600), "back from repair"));
        for (body, words) in [
            (r#"{"why":"x","serials":[],"for":1}"#, "at least one"),
            (r#"{"why":"x","serials":["a"],"for":0}"#, "seconds"),
            (r#"{"why":"x","serials":["a"]}"#, "for"),
            (r#"{"serials":["a"],"for":1}"#, "journal"),
            (r#"{"why":"x","serials":["a b"],"for":1}"#, "contains"),
            (r#"{"why":"x","serials":["a"],"for":1,"until":2}"#, "until"),
        ] {
            let why = refusal(Ordered::Open, "", body);
            assert!(why.contains(words), "{body}: {why}");
        }
        assert!(refusal(Ordered::Close, "x", r#"{"why":"x"}"#).contains("number"));
    }

    #[test]
    fn a_panic_is_about_claims_and_their_connections_or_about_one_policy() {
        let body = Bytes::from_static(br#"{"why":"copied","clients":["claim-1"],"dry_run":true}"#);
        let order = understood(Ordered::StopClaims, String::new(), &body).unwrap();
        let Order::Stop { leaked: Leaked::Claims { clients }, dry_run: true, .. } = order else {
            panic!("{order:?}")
        };
        assert_eq!(clients.len(), 1);
        let why = refusal(Ordered::StopPolicy, "fleetkey-device", r#"{"why":"x","clients":["claim-1"]}"#);
        assert!(why.contains("claims only"), "{why}");
        assert!(refusal(Ordered::StopPolicy, "a b", r#"{"why":"x"}"#).contains("contains"));
        assert!(refusal(Ordered::StopClaims, "", "{}").contains("journal"));
        assert!(refusal(Ordered::Restore, "", "{}").contains("journal"));
    }

    #[test]
    fn a_campaign_says_which_devices_in_one_of_two_ways() {
        let body = br#"{"name":"spring","why":"yearly","group":"hall-3","older_than":86400,"patience":60,"dry_run":true}"#;
        let order = understood(Ordered::Start, String::new(), &Bytes::from_static(body)).unwrap();
        let Order::Start(draft) = order else { panic!("{order:?}") };
        assert_eq!(draft.group.map(|group| group.to_string()).as_deref(), Some("hall-3"));
        assert_eq!(
            (draft.older_than, draft.patience, draft.canary, draft.dry_run),
            (Some(86_400), Some(60), None, true)
        );
        for (body, words) in [
            (r#"{"name":"spring","why":"yearly"}"#, "which devices"),
            (r#"{"name":"spring","why":"yearly","thing":"*","things":["a"]}"#, "no others"),
            (r#"{"name":"spring","thing":"*"}"#, "why"),
            (r#"{"name":"spring","why":"yearly","things":["a b"]}"#, "contains"),
            (r#"{"name":"spring","why":"yearly","thing":"*","canary":300}"#, "300"),
            (r#"{"name":"spring","why":"yearly","thing":"*","colour":"red"}"#, "colour"),
        ] {
            let why = refusal(Ordered::Start, "", body);
            assert!(why.contains(words), "{body}: {why}");
        }
    }
}
