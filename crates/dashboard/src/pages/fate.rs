//! What becomes of a certificate: the look before, and the proof that an admin is there.

use maud::{Markup, html};

use super::chain::is_untold;
use super::parts::{badge, status};
use super::words::{WHOLE, foreign, moment};
use super::{View, device_path, frame, proof};
use crate::access::Scope;
use crate::fleet::{Certificate, Device, Fate, Holder, Tone};
use crate::http::Answer;

/// What was entered with the last attempt, and what was wrong with it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attempt<'a> {
    pub(crate) why: &'a str,
    pub(crate) trouble: Option<&'a str>,
}

/// The page before the order.
pub(crate) fn confirm_fate(
    view: &View<'_>,
    code: u16,
    device: &Device,
    certificate: &Certificate,
    fate: Fate,
    attempt: Attempt<'_>,
) -> Answer {
    let thing = &device.row.thing;
    let title = format!("{} a certificate of {thing}?", name(fate));
    let action = format!("{}/certificates/{}/{}", device_path(thing), certificate.id, fate.verb());
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/devices" { "Devices" } " / " a href=(device_path(thing)) { (thing) } }
        h1 { (title) }
        (proof::trouble(attempt.trouble))
        section aria-label="What would be done" {
            (consequence(certificate, fate))
            dl class="facts" {
                div { dt { "Certificate" } dd { code class="long" { (certificate.id) } } }
                div { dt { "Subject" } dd { @if is_untold(certificate) { "not told yet" } @else { (foreign(&certificate.subject, WHOLE)) } } }
                div { dt { "Status now" } dd { (status(certificate.status)) ", " (certificate.holder.word()) } }
                div { dt { "Registered" } dd { (moment(certificate.created, view.now)) } }
            }
        }
        section aria-label="Order" {
            form method="post" action=(action) class="order" {
                input type="hidden" name="confirm" value="yes";
                (proof::why(attempt.why))
                (proof::token(view, Scope::Admin))
                button id="confirm" type="submit" { (name(fate)) }
                " " a href=(device_path(thing)) { "Cancel" }
            }
        }
    };
    frame::page(view, code, &title, None, &content)
}

/// A button to each page of what can become of it.
pub(super) fn choices(device: &Device, certificate: &Certificate) -> Markup {
    html! {
        @for fate in Fate::ALL.into_iter().filter(|fate| fate.fits(certificate.status)) {
            form method="post" action={ (device_path(&device.row.thing)) "/certificates/" (certificate.id) "/" (fate.verb()) } {
                button id={ (fate.verb()) "-" (certificate.id) } type="submit" aria-label={ (name(fate)) " certificate " (certificate.id.short()) } { (name(fate)) " …" }
            }
            " "
        }
    }
}

const fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::Reactivate => "Reactivate",
        Fate::Deactivate => "Deactivate",
        Fate::Revoke => "Revoke",
    }
}

fn consequence(certificate: &Certificate, fate: Fate) -> Markup {
    let cut = certificate.holder == Holder::InUse && fate != Fate::Reactivate;
    html! {
        @if cut {
            p class="notice" { (badge(Tone::Bad, "in use")) " This is the identity in use. The device is cut off, and only an earlier certificate that is ACTIVE or the recovery template brings it back." }
        }
        p {
            @match fate {
                Fate::Reactivate => { "It may connect again. If somebody has a copy of its key, so may they." }
                Fate::Deactivate => { "Its connections end and it cannot connect. It can be brought back." }
                Fate::Revoke => { "Its connections end and it can never connect again. Nothing brings it back." }
            }
        }
    }
}
