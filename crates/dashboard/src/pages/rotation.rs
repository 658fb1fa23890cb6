//! Following rotations: those of the whole fleet in a table, one device's on a large strip.

use maud::{Markup, html};

use super::chain::{aged, is_untold, untold};
use super::parts::{badge, button, certificate, incidents, status};
use super::strip::{small, strip};
use super::words::{WHOLE, date, foreign, moment, span};
use super::{View, device_path, frame, rotation_path};
use crate::fleet::{Certificate, Device, Fleet, Outcome, Rotation, Tone};
use crate::http::Answer;

/// Rotations on their page.
const SHOWN: usize = 50;

pub(crate) fn rotations(view: &View<'_>, fleet: &dyn Fleet) -> Answer {
    let all = fleet.rotations(SHOWN);
    let under_way = all.iter().filter(|rotation| !rotation.outcome.is_over()).count();
    let content = html! {
        h1 { "Rotations" }
        section id="rotations" data-live aria-label="Rotations" {
            p { (under_way) " under way; the last " (SHOWN) " are shown." }
            (table(view, &all))
        }
    };
    frame::page(view, 200, "Rotations", None, &content)
}

pub(crate) fn rotation(view: &View<'_>, device: &Device) -> Answer {
    let thing = &device.row.thing;
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/devices" { "Devices" } " / " a href=(device_path(thing)) { (thing) } }
        h1 { "Rotation of " (thing) }
        section id="rotation" data-live aria-label="Rotation" { (one(view, device)) }
        section id="controls" aria-label="Orders" {
            @if frame::may_order(view) && device.obeys {
                (button(&format!("{}/rotate", device_path(thing)), "Rotate now", "rotate"))
            }
        }
        section id="timeline" data-live aria-labelledby="timeline-head" {
            h2 id="timeline-head" { "Timeline" }
            (incidents(view, &device.timeline, false))
        }
    };
    frame::page(view, 200, &format!("Rotation of {thing}"), Some(thing.as_str()), &content)
}

/// The strip and both certificates.
fn one(view: &View<'_>, device: &Device) -> Markup {
    let Some(rotation) = &device.rotation else {
        return html! { p class="empty" { "This device has not rotated since the dashboard started." } };
    };
    let find = |id: Option<_>| device.certificates.iter().find(|known| Some(known.id) == id);
    html! {
        p {
            (outcome(&rotation.outcome)) " started because of " strong { (rotation.reason) }
            @if let Some(start) = rotation.started() { ", " (moment(start, view.now)) }
            ", id " code { (rotation.id) }
        }
        @if let Some(why) = rotation.outcome.why() { p class="notice" { (why) } }
        (strip(rotation))
        div class="pair" {
            (side(view, "Before", rotation.old.as_ref().map(|id| id.to_string()), find(rotation.old)))
            (side(view, "After", rotation.new.as_ref().map(|id| id.to_string()), find(rotation.new)))
        }
    }
}

fn side(view: &View<'_>, name: &str, id: Option<String>, known: Option<&Certificate>) -> Markup {
    html! {
        article {
            h2 { (name) }
            @match (id, known) {
                (None, _) => { p class="empty" { "There is none." } }
                (Some(id), None) => { p { code class="long" { (id) } } p class="faint" { "Not registered any more." } }
                (Some(id), Some(known)) => {
                    p { (status(known.status)) " " span class="faint" { (known.holder.word()) } }
                    p { code class="long" { (id) } }
                    p class="faint" { "registered " (moment(known.created, view.now)) ", status since " (moment(known.modified, view.now)) }
                    @if is_untold(known) { (untold(&[known])) } @else { (said(view, known)) }
                }
            }
        }
    }
}

/// What a certificate says of itself, and when the account told it.
fn said(view: &View<'_>, known: &Certificate) -> Markup {
    let policies = known.policies.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    html! {
        (aged(view, &[known]))
        dl class="facts" {
            div { dt { "Subject" } dd { (foreign(&known.subject, WHOLE)) } }
            div { dt { "Issuer" } dd { (foreign(&known.issuer, WHOLE)) } }
            div { dt { "Valid" } dd { (date(known.not_before)) " to " (date(known.not_after)) } }
            div { dt { "Policies" } dd { (policies) } }
        }
    }
}

pub(super) fn outcome(outcome: &Outcome) -> Markup {
    let tone = match outcome {
        Outcome::UnderWay => Tone::Busy,
        Outcome::Waiting(_) => Tone::Warn,
        Outcome::Frozen(_) | Outcome::RolledBack(_) => Tone::Bad,
        Outcome::Done => Tone::Good,
    };
    badge(tone, outcome.word())
}

/// Rotations in a table.
pub(super) fn table(view: &View<'_>, rotations: &[Rotation]) -> Markup {
    html! {
        @if rotations.is_empty() {
            p class="empty" { "No rotation yet. One begins when a certificate reaches its age, or when somebody orders it." }
        } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Table of rotations" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Device" } th scope="col" { "How far" } th scope="col" { "State" }
                            th scope="col" { "Because of" } th scope="col" { "Before" } th scope="col" { "After" }
                            th scope="col" { "Started" } th scope="col" { "Took" }
                        }
                    }
                    tbody { @for rotation in rotations { (row(view, rotation)) } }
                }
            }
        }
    }
}

fn row(view: &View<'_>, rotation: &Rotation) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(rotation_path(&rotation.thing)) { (rotation.thing) } }
            td { (small(rotation)) }
            td title=[rotation.outcome.why()] { (outcome(&rotation.outcome)) }
            td { (rotation.reason) }
            td { (certificate(rotation.old.as_ref())) }
            td { (certificate(rotation.new.as_ref())) }
            td { @if let Some(start) = rotation.started() { (moment(start, view.now)) } }
            td {
                @if rotation.outcome.is_over() {
                    @if let (Some(start), Some(end)) = (rotation.started(), rotation.latest()) { (span(end.since(start))) }
                }
            }
        }
    }
}
