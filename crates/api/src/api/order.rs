//! From a request's body to a checked order. That it is JSON keeps other sites' forms out.

use bytes::Bytes;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Deserialize;

use super::{Ordered, Refusal, bad};
use crate::backend::{Draft, Order};

/// The most bytes of a reason, and of a campaign, which may name its devices: some thousands of them.
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

/// The order of a request; `segment` is what stands in its path in a variable's place.
pub(super) async fn read(
    ordered: Ordered,
    segment: String,
    request: Request<Incoming>,
) -> Result<Order, Refusal> {
    let most = if ordered == Ordered::Start { MOST_DRAFT } else { MOST_REASON };
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
        Ordered::Start => Order::Start(Box::new(draft(body)?)),
        Ordered::Campaign(step) => Order::Campaign { name: segment, step, why: why(body)? },
    })
}

fn why(body: &Bytes) -> Result<String, Refusal> {
    let Reason { why } = serde_json::from_slice(body).map_err(|error| bad(&error))?;
    said(&why)
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
