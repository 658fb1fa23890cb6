//! The frame of every page: head, navigation, what is served, who looks.

use maud::{DOCTYPE, Markup, html};

use super::View;
use super::parts::symbols;
use crate::access::Scope;
use crate::assets;
use crate::http::Answer;

/// The areas: first part of the path, name.
const AREAS: [(&str, &str); 11] = [
    ("", "Overview"),
    ("devices", "Devices"),
    ("rotations", "Rotations"),
    ("campaigns", "Campaigns"),
    ("findings", "Findings"),
    ("inventory", "Inventory"),
    ("policies", "Policies"),
    ("provisioning", "Provisioning"),
    ("journal", "Journal"),
    (BENCH, "Try a device"),
    ("settings", "Settings"),
];

/// The area that is there only where devices are.
const BENCH: &str = "try";

/// A page in its frame. `only` names the device whose changes alone concern it.
pub(super) fn page(
    view: &View<'_>,
    status: u16,
    title: &str,
    only: Option<&str>,
    content: &Markup,
) -> Answer {
    let body = html! {
        body data-last=(view.last) data-thing=[only] {
            (symbols())
            a class="skip" href="#content" { "Skip to the content" }
            @if view.open {
                p class="alarm" role="alert" {
                    "SKIP_AUTH is set: whoever has a login on this computer can use this page, without a token."
                }
            }
            div class="frame" {
                header { (brand(view)) (navigation(view)) (who(view)) }
                main id="content" tabindex="-1" { (content) }
            }
        }
    };
    Answer::page(status, document(title, &body))
}

/// A page without a session: nothing of the fleet on it.
pub(super) fn bare(title: &str, refresh: bool, content: &Markup) -> Markup {
    let body = html! { body class="bare" { main id="content" { (content) } } };
    let head = html! { @if refresh { meta http-equiv="refresh" content="0; url=/"; } };
    whole(title, &head, &body)
}

fn document(title: &str, body: &Markup) -> Markup {
    let script = html! { script type="module" src={ "/assets/" (assets::all().script.name) } {} };
    whole(title, &script, body)
}

fn whole(title: &str, head: &Markup, body: &Markup) -> Markup {
    let assets = assets::all();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · fleetkey" }
                link rel="icon" href={ "/assets/" (assets.icon.name) } type="image/svg+xml";
                link rel="stylesheet" href={ "/assets/" (assets.style.name) };
                (head)
            }
            (body)
        }
    }
}

fn brand(view: &View<'_>) -> Markup {
    html! {
        div class="brand" {
            strong { "fleetkey" }
            span class="faint" { (view.site.name) }
            span class="faint wide" { (view.site.endpoint) }
            span class="faint wide" { (view.site.region) " · " (view.site.account) }
        }
    }
}

fn navigation(view: &View<'_>) -> Markup {
    html! {
        nav aria-label="Areas" {
            ul {
                @for (area, name) in AREAS.into_iter().filter(|(area, _)| view.bench || *area != BENCH) {
                    li { a href={ "/" (area) } aria-current=[(area == view.area).then_some("page")] { (name) } }
                }
            }
        }
    }
}

fn who(view: &View<'_>) -> Markup {
    html! {
        div class="who" {
            span id="live-state" class="live-state tone-quiet" role="status" { "not live: reload to see changes" }
            button id="live-pause" type="button" hidden { "Pause" }
            span class="faint wide" { (view.actor.name) ", " (view.actor.scope.word()) }
        }
    }
}

/// Whether whoever looks may decide of certificates.
pub(super) fn may_decide(view: &View<'_>) -> bool {
    view.decides && view.actor.scope >= Scope::Admin
}

/// In place of what this dashboard does not have: the command that tells it.
pub(super) fn elsewhere(command: &str) -> Markup {
    html! { p class="empty" { "This dashboard does not have it. On the command line: " code { (command) } } }
}

/// Whether whoever looks may give orders.
pub(super) fn may_order(view: &View<'_>) -> bool {
    view.actor.scope >= Scope::Operator
}
