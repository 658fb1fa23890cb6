//! Small parts that several pages use. Each state has a shape and a word; colour only repeats it.

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use maud::{Markup, html};

use super::words::{clock, moment};
use super::{View, device_path};
use crate::fleet::{Connection, Incident, Severity, Tone};

/// The class that gives a tone its colour.
pub(super) const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Quiet => "tone-quiet",
        Tone::Good => "tone-good",
        Tone::Busy => "tone-busy",
        Tone::Warn => "tone-warn",
        Tone::Bad => "tone-bad",
    }
}

/// The shape of a tone: ring, tick, half disc, triangle, cross. Each page has them once, in its frame.
pub(super) fn icon(tone: Tone) -> Markup {
    html! { svg class="icon" aria-hidden="true" { use href={ "#" (symbol(tone)) } {} } }
}

/// The shapes themselves.
pub(super) fn symbols() -> Markup {
    let ring = html! { circle class="stroke" cx="6" cy="6" r="4" {} };
    let shape = |tone, shape: Markup| html! { symbol id=(symbol(tone)) viewBox="0 0 12 12" { (shape) } };
    html! {
        svg class="unseen" aria-hidden="true" focusable="false" {
            (shape(Tone::Quiet, ring.clone()))
            (shape(Tone::Good, html! { path class="stroke" d="M2 6.5 5 9.5 10 3" {} }))
            (shape(Tone::Busy, html! { (ring) path class="fill" d="M6 2a4 4 0 0 1 0 8z" {} }))
            (shape(Tone::Warn, html! { path class="fill" d="M6 1 11.5 10.5H.5z" {} }))
            (shape(Tone::Bad, html! { path class="stroke" d="M2.5 2.5 9.5 9.5M9.5 2.5 2.5 9.5" {} }))
        }
    }
}

const fn symbol(tone: Tone) -> &'static str {
    match tone {
        Tone::Quiet => "ring",
        Tone::Good => "tick",
        Tone::Busy => "half",
        Tone::Warn => "triangle",
        Tone::Bad => "cross",
    }
}

/// A state: shape and word.
pub(super) fn badge(tone: Tone, words: &str) -> Markup {
    html! { span class={ "badge " (class(tone)) } { (icon(tone)) (words) } }
}

pub(super) fn connection(connection: Connection) -> Markup {
    let tone = match connection {
        Connection::Up => Tone::Good,
        Connection::Down => Tone::Warn,
        Connection::Unknown => Tone::Quiet,
    };
    badge(tone, connection.word())
}

pub(super) fn status(status: CertificateStatus) -> Markup {
    let tone = match status {
        CertificateStatus::Active => Tone::Good,
        CertificateStatus::Inactive => Tone::Warn,
        CertificateStatus::Revoked => Tone::Quiet,
        CertificateStatus::PendingActivation | CertificateStatus::PendingTransfer => Tone::Busy,
    };
    badge(tone, status.as_str())
}

pub(super) fn severity(severity: Severity) -> Markup {
    let tone = match severity {
        Severity::Critical => Tone::Bad,
        Severity::High => Tone::Warn,
        Severity::Medium => Tone::Busy,
    };
    badge(tone, severity.word())
}

/// A certificate's first digits; the whole id for who points at it.
pub(super) fn certificate(id: Option<&CertificateId>) -> Markup {
    match id {
        Some(id) => html! { code title=(id) { (id.short()) } },
        None => html! { span class="faint" { "none yet" } },
    }
}

/// While the fleet is not known yet, nothing is all clear; `is_calm` when nothing was found.
pub(super) fn calm(starting: Option<&str>, is_calm: bool) -> Markup {
    html! {
        @if let Some(words) = starting {
            p class="notice" { (badge(Tone::Busy, "starting")) " " (words) }
        } @else if is_calm {
            p class="notice" { (badge(Tone::Good, "all clear")) " Nothing asks for attention." }
        }
    }
}

/// A form of one button.
pub(super) fn button(action: &str, words: &str, id: &str) -> Markup {
    html! {
        form method="post" action=(action) { button id=(id) type="submit" { (words) } }
    }
}

/// What happened, newest first.
pub(super) fn incidents(view: &View<'_>, incidents: &[Incident], with_thing: bool) -> Markup {
    html! {
        @if incidents.is_empty() { p class="empty" { "Nothing has happened yet." } }
        ol class="feed" {
            @for incident in incidents {
                li {
                    span class="faint when" { (clock(incident.at)) " " span class="ago" { (moment(incident.at, view.now)) } }
                    span class={ "what " (class(incident.tone)) } { (icon(incident.tone)) }
                    span {
                        @if with_thing {
                            @if let Some(thing) = &incident.thing {
                                a href=(device_path(thing)) { (thing) } " "
                            }
                        }
                        (incident.words)
                    }
                }
            }
        }
    }
}
