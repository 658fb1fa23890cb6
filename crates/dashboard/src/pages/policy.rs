//! One policy: its versions, and what changed from one to another.

use maud::{Markup, html};

use super::diff::diff;
use super::parts::badge;
use super::provisioning::known;
use super::words::moment;
use super::{View, frame};
use crate::fleet::{Fleet, Known, PolicyVersion, Tone};
use crate::http::{Answer, Request, text};

/// Where a policy's page is.
pub(super) fn policy_path(name: &str) -> String {
    format!("/policies/{}", text::encode(name))
}

/// The page; `None` when there is no such policy. What is being asked for comes into its parts by itself, so all of them are
/// there from the first.
pub(crate) fn policy(view: &View<'_>, fleet: &dyn Fleet, name: &str, request: &Request) -> Option<Answer> {
    let all = fleet.policy_versions(name);
    let parts = match &all {
        Known::Told(versions) => told(view, name, versions, request)?,
        _ => [known(&all, "fleetkey status", &|_| html! {}), html! {}, html! {}],
    };
    let [versions, difference, document] = parts;
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/policies" { "Policies" } }
        h1 { (name) }
        section id="versions" data-live aria-label="Versions" { (versions) }
        section id="difference" data-live aria-label="What changed" { (difference) }
        section id="document" data-live aria-label="Document" { (document) }
    };
    Some(frame::page(view, 200, name, None, &content))
}

fn told(view: &View<'_>, name: &str, versions: &[PolicyVersion], request: &Request) -> Option<[Markup; 3]> {
    let current = versions.iter().find(|version| version.in_effect).or_else(|| versions.last())?;
    let asked = |name| request.query(name).parse::<u32>().ok();
    let find = |id: Option<u32>| versions.iter().find(|version| Some(version.id) == id);
    let to = find(asked("to")).unwrap_or(current);
    let before = versions.iter().rfind(|version| version.id < to.id);
    let from = find(asked("from")).or(before);
    Some([
        html! { h2 { "Versions" } (table(view, versions)) },
        html! {
            h2 { "What changed" }
            @match from {
                None => { p class="empty" { "There is no version before it." } }
                Some(from) => {
                    (choose(name, versions, from, to))
                    (diff(&from.text, &to.text))
                }
            }
        },
        html! {
            h2 { "Version " (to.id) @if to.in_effect { ", in effect" } }
            pre tabindex="0" { code { (to.text) } }
        },
    ])
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
            span class="field" {
                label for="from" { "From" }
                select id="from" name="from" { (options(from.id)) }
            }
            span class="field" {
                label for="to" { "to" }
                select id="to" name="to" { (options(to.id)) }
            }
            button type="submit" { "Compare" }
        }
    }
}
