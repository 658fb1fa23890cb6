//! One device: how it stands, its certificates side by side, its timeline.

use maud::{Markup, html};

use super::chain::{chain, changed, is_untold};
use super::parts::{badge, button, certificate, connection, incidents, status};
use super::strip::strip;
use super::words::{BRIEF, date, foreign, moment, span};
use super::{View, device_path, fate, frame, rotation_path};
use crate::fleet::{Certificate, Device, Tone};
use crate::http::Answer;

/// `console` is where it is tried by hand.
pub(crate) fn device(view: &View<'_>, device: &Device, console: Option<&str>) -> Answer {
    let thing = &device.row.thing;
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/devices" { "Devices" } }
        h1 { (thing) }
        section id="state" data-live aria-label="State" { (state(view, device)) }
        section id="rotation" data-live aria-labelledby="rotation-head" {
            h2 id="rotation-head" { "Last rotation" }
            @match &device.rotation {
                Some(rotation) => { (strip(rotation)) p { a href=(rotation_path(thing)) { "Follow it" } } }
                None => { p class="empty" { "None since the dashboard started." } }
            }
        }
        section id="orders" data-live aria-label="Orders" {
            @if frame::may_order(view) && device.obeys {
                (button(&format!("{}/rotate", device_path(thing)), "Rotate now", "rotate"))
            } @else {
                p class="faint" { "This device cannot be ordered from here." }
            }
            @if let Some(path) = console { p { a href=(path) { "Console: connect, publish and subscribe by hand" } } }
        }
        section id="certificates" data-live aria-labelledby="certificates-head" {
            h2 id="certificates-head" { "Certificates" }
            (certificates(view, device))
            p { a href={ (device_path(thing)) "/policies" } { "What it may do" } }
        }
        section id="chain" data-live aria-labelledby="chain-head" {
            h2 id="chain-head" { "Chain of the certificate in use" }
            (chain(view, &device.certificates))
        }
        section id="changed" data-live aria-labelledby="changed-head" {
            h2 id="changed-head" { "Old and new" }
            (changed(view, &device.certificates))
        }
        section id="timeline" data-live aria-labelledby="timeline-head" {
            h2 id="timeline-head" { "Timeline" }
            (incidents(view, &device.timeline, false))
        }
    };
    frame::page(view, 200, thing.as_str(), Some(thing.as_str()), &content)
}

fn state(view: &View<'_>, device: &Device) -> Markup {
    let row = &device.row;
    html! {
        p { (connection(row.connection)) " " (badge(row.tone, &row.state)) }
        @for alarm in &device.alarms { p class="notice" { (badge(Tone::Bad, "alarm")) " " (alarm) } }
        @if let Some(why) = &device.blocked { p class="notice" { (badge(Tone::Warn, "waits")) " " (why) } }
        dl class="facts" {
            div { dt { "Certificate in use" } dd { (certificate(row.certificate.as_ref())) } }
            @if let Some(age) = row.age { div { dt { "Age" } dd { (span(age)) } } }
            @if let Some(due) = row.due { div { dt { "Next rotation" } dd { (moment(due, view.now)) } } }
        }
    }
}

fn certificates(view: &View<'_>, device: &Device) -> Markup {
    html! {
        @if device.certificates.is_empty() {
            p class="empty" { "No certificate is attached to this thing." }
        } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Table of certificates" {
                table {
                    thead {
                        tr {
                            th scope="col" { "SHA-256" } th scope="col" { "Status" } th scope="col" { "Role" }
                            th scope="col" { "Registered" } th scope="col" { "Valid" } th scope="col" { "Subject" } th scope="col" { "Policies" } th scope="col" { "File" }
                            @if frame::may_decide(view) { th scope="col" { "Decide" } }
                        }
                    }
                    tbody { @for known in &device.certificates { (row(view, device, known)) } }
                }
            }
            @if device.more_certificates > 0 { p class="faint" { (device.more_certificates) " older ones are not shown." } }
        }
    }
}

fn row(view: &View<'_>, device: &Device, known: &Certificate) -> Markup {
    let policies = known.policies.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    html! {
        tr {
            th scope="row" { code title=(known.id) { (known.id.short()) } }
            td { (status(known.status)) }
            td { (known.holder.word()) }
            td { (moment(known.created, view.now)) }
            @if is_untold(known) {
                td colspan="3" class="faint" { "not told yet" }
            } @else {
                td class="nowrap" { (date(known.not_before)) " to " (date(known.not_after)) }
                td class="text" { (foreign(&known.subject, BRIEF)) }
                td { (policies) }
            }
            td { a href={ (device_path(&device.row.thing)) "/certificates/" (known.id) } aria-label={ "Certificate " (known.id.short()) ", PEM" } { "PEM" } }
            @if frame::may_decide(view) { td { (fate::choices(device, known)) } }
        }
    }
}
