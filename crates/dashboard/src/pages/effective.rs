//! What a device may do: the policies that count for it, with the variables that its connection gives a value.

use fleetkey_model::name::{ClientId, ThingName};
use maud::html;

use super::diff::one_a_line;
use super::parts::certificate;
use super::policy::policy_path;
use super::provisioning::being_asked;
use super::words::counted;
use super::{View, device_path, frame};
use crate::fleet::{Action, Fleet, Question, Verdict};
use crate::http::Answer;

/// The page; `None` when there is no such device.
pub(crate) fn effective(view: &View<'_>, fleet: &dyn Fleet, thing: &ThingName) -> Option<Answer> {
    fleet.device(thing)?;
    let client = ClientId::live(thing);
    let question = Question { thing: thing.clone(), client, action: Action::Connect, topic: String::new() };
    let answer = fleet.decide(&question);
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/devices" { "Devices" } " / " a href=(device_path(thing)) { (thing) } }
        h1 { "What " (thing) " may do" }
        div id="effective" data-live { @match &answer {
            Err(refused) => { p class="notice" { (refused) } }
            Ok(None) => { (being_asked()) }
            Ok(Some(verdict)) => {
                p {
                    (counted(verdict.asked.len(), "policy document")) " counted for certificate " (certificate(Some(&verdict.certificate)))
                    " as client " code { (question.client) } ". Variables that this connection gives a value are replaced by it."
                }
                @for policy in &verdict.asked {
                    section aria-label=(policy.name) {
                        h2 {
                            @if policy.spread.is_some() { a href=(policy_path(&policy.name)) { (policy.name) } }
                            @else { (policy.name) }
                        }
                        pre tabindex="0" { code { (resolved(&policy.text, &question, verdict)) } }
                    }
                }
            }
        } }
        p { a href={ "/policies?thing=" (thing) "&action=iot:Publish" } { "Ask whether it may do something" } }
    };
    Some(frame::page(view, 200, &format!("What {thing} may do"), None, &content))
}

/// The document with the values in place of the variables (Developer Guide, thing and certificate policy variables). What
/// needs more than names, such as attributes, stays as it is written.
fn resolved(text: &str, question: &Question, verdict: &Verdict) -> String {
    let values = [
        ("${iot:Connection.Thing.ThingName}", question.thing.to_string()),
        ("${iot:ClientId}", question.client.to_string()),
        ("${iot:CertificateId}", verdict.certificate.to_string()),
    ];
    let known = values.iter().filter(|(variable, _)| {
        let name = variable.trim_start_matches("${").trim_end_matches('}');
        !verdict.missing.iter().any(|missing| missing == name)
    });
    let text = known.fold(text.to_owned(), |text, (variable, value)| text.replace(variable, value));
    one_a_line(&text).unwrap_or(text)
}
