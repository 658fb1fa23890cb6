//! One policy: its versions, and what changed from one to another.

use maud::{Markup, html};

use super::diff::diff;
use super::parts::badge;
use super::words::moment;
use super::{View, frame};
use crate::fleet::{Fleet, PolicyVersion, Tone};
use crate::http::{Answer, Request, text};

/// Where a policy's page is.
pub(super) fn policy_path(name: &str) -> String {
    format!("/policies/{}", text::encode(name))
}

/// The page; `None` when there is no such policy.
pub(crate) fn policy(view: &View<'_>, fleet: &dyn Fleet, name: &str, request: &Request) -> Option<Answer> {
    let versions = fleet.policy_versions(name);
    let current = versions.iter().find(|version| version.in_effect).or_else(|| versions.last())?;
    let asked = |name| request.query(name).parse::<u32>().ok();
    let find = |id: Option<u32>| versions.iter().find(|version| Some(version.id) == id);
    let to = find(asked("to")).unwrap_or(current);
    let before = versions.iter().rfind(|version| version.id < to.id);
    let from = find(asked("from")).or(before);
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/policies" { "Policies" } }
        h1 { (name) }
        section id="versions" aria-labelledby="versions-head" {
            h2 id="versions-head" { "Versions" }
            (table(view, &versions))
        }
        section id="difference" aria-labelledby="difference-head" {
            h2 id="difference-head" { "What changed" }
            @match from {
                None => { p class="empty" { "There is no version before it." } }
                Some(from) => {
                    (choose(name, &versions, from, to))
                    (diff(&from.text, &to.text))
                }
            }
        }
        section id="document" aria-labelledby="document-head" {
            h2 id="document-head" { "Version " (to.id) @if to.in_effect { ", in effect" } }
            pre tabindex="0" { code { (to.text) } }
        }
    };
    Some(frame::page(view, 200, name, None, &content))
}

fn table(view: &View<'_>, versions: &[PolicyVersion]) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Version" } th scope="col" { "Made" } th scope="col" { "State" } } }
            tbody {
                @for version in versions.iter().rev() {
                    tr {
                        th scope="row" { (version.id) }
                        td { @match version.created { Some(at) => { (moment(at, view.now)) } None => { "–" } } }
                        td { @if version.in_effect { (badge(Tone::Good, "in effect")) } @else { (badge(Tone::Quiet, "not in effect")) } }
                    }
                }
            }
        }
    }
}

fn choose(name: &str, versions: &[PolicyVersion], from: &PolicyVersion, to: &PolicyVersion) -> Markup {
    let options = |chosen: u32| {
        html! { @for version in versions { option value=(version.id) selected[version.id == chosen] { "version " (version.id) } } }
    };
    html! {
        form method="get" action=(policy_path(name)) class="search" {
            label for="from" { "From" }
            select id="from" name="from" { (options(from.id)) }
            label for="to" { "to" }
            select id="to" name="to" { (options(to.id)) }
            button type="submit" { "Compare" }
        }
    }
}
