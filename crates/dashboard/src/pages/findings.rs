//! What needs somebody to look: what was seen, why it matters, what to do.

use maud::{Markup, html};

use super::parts::{calm, severity};
use super::words::{counted, moment};
use super::{View, device_path, frame};
use crate::fleet::{Finding, FindingPage, FindingQuery, Fleet};
use crate::http::{Answer, Request, text};

const ROWS: usize = 50;
/// The longest place of a finding.
const PLACE: usize = 256;

pub(crate) fn findings(view: &View<'_>, fleet: &dyn Fleet, request: &Request) -> Answer {
    let after: String = request.query("after").chars().take(PLACE).collect();
    let query = FindingQuery { after, limit: ROWS };
    let page = fleet.findings(&query);
    let starting = fleet.overview().starting;
    let content = html! {
        h1 { "Findings" }
        section id="findings" data-live aria-label="Findings" {
            (calm(starting.as_deref(), page.total == 0))
            @if page.total > 0 {
                p { (counted(page.total, "finding")) ", the gravest first" }
            }
            @for finding in &page.findings { (one(view, finding)) }
            (further(&query, &page))
        }
    };
    frame::page(view, 200, "Findings", None, &content)
}

fn further(query: &FindingQuery, page: &FindingPage) -> Markup {
    html! {
        p class="pages" {
            @if !query.after.is_empty() { a href="/findings" { "First page" } " " }
            @if let Some(next) = &page.next {
                a rel="next" href={ "/findings?after=" (text::encode(next)) } { "Next page" }
            }
        }
    }
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
