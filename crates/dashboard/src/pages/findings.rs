//! What needs somebody to look: what was seen, why it matters, what to do.

use maud::{Markup, html};

use super::parts::{badge, severity};
use super::words::moment;
use super::{View, device_path, frame};
use crate::fleet::{Finding, Fleet, Tone};
use crate::http::Answer;

pub(crate) fn findings(view: &View<'_>, fleet: &dyn Fleet) -> Answer {
    let findings = fleet.findings();
    let content = html! {
        h1 { "Findings" }
        section id="findings" data-live aria-label="Findings" {
            @if findings.is_empty() {
                p class="notice" { (badge(Tone::Good, "all clear")) " Nothing asks for attention." }
            }
            @for finding in &findings { (one(view, finding)) }
        }
    };
    frame::page(view, 200, "Findings", None, &content)
}

fn one(view: &View<'_>, finding: &Finding) -> Markup {
    html! {
        article class="finding" {
            h2 {
                (severity(finding.severity)) " "
                @if let Some(thing) = &finding.thing { a href=(device_path(thing)) { (thing) } ": " }
                (finding.seen)
            }
            dl class="facts" {
                div { dt { "Why it matters" } dd { (finding.matters) } }
                div { dt { "What to do" } dd { (finding.remedy) } }
                @if let Some(since) = finding.since { div { dt { "Since" } dd { (moment(since, view.now)) } } }
            }
        }
    }
}
