//! The chain of a device's certificate, link by link, and what differs between its old certificate and its new one.

use fleetkey_model::certificate::Details;
use maud::{Markup, html};

use super::View;
use super::parts::{badge, icon};
use super::provisioning::being_asked;
use super::words::{WHOLE, date, foreign, moment};
use crate::fleet::{Certificate, Holder, Told, Tone};

/// The certificate in use and whoever signed it, as far as the registry's text goes; who is beyond is told by name.
pub(super) fn chain(view: &View<'_>, all: &[Certificate]) -> Markup {
    let Some(used) = all.iter().find(|known| known.holder == Holder::InUse) else {
        return html! { p class="empty" { "No certificate is in use." } };
    };
    if used.pem.is_empty() {
        return untold(&[used]);
    }
    let links = match Details::chain_from_pem(&used.pem) {
        Ok(links) => links,
        Err(error) => {
            return html! { p class="notice" { (badge(Tone::Warn, "not readable")) " " (error) } };
        }
    };
    let last = links.last();
    html! {
        (aged(view, &[used]))
        ol class="chain" aria-label="From the device's certificate to the root" {
            @for (index, link) in links.iter().enumerate() { li { (drawn(link, part(index, link))) } }
            @if let Some(last) = last.filter(|last| !last.self_issued) {
                li {
                    h3 { (icon(Tone::Quiet)) " Its issuer" }
                    dl class="facts" {
                        div { dt { "Subject" } dd { (foreign(&last.issuer, WHOLE)) } }
                        @if let Some(key) = &last.issuer_key { div { dt { "Key id" } dd { code class="long" { (key) } } } }
                    }
                    p class="faint" { "By the word of the certificate above: the registry holds no certificate of its issuer, nor of a root beyond." }
                }
            }
        }
    }
}

const fn part(index: usize, link: &Details) -> &'static str {
    match (index, link.self_issued) {
        (0, false) => "The device's",
        (0, true) => "The device's, issued by itself",
        (_, false) => "Its issuer",
        (_, true) => "The root",
    }
}

fn drawn(link: &Details, part: &str) -> Markup {
    html! {
        h3 { (icon(Tone::Good)) " " (part) }
        dl class="facts" {
            div { dt { "Subject" } dd { (foreign(&link.subject, WHOLE)) } }
            div { dt { "Issuer" } dd { (foreign(&link.issuer, WHOLE)) } }
            div { dt { "Valid" } dd { (date(link.facts.not_before)) " to " (date(link.facts.not_after)) } }
            div { dt { "Key" } dd { (link.key) ", signed by " (link.signature) } }
            div { dt { "Speaks for" } dd { @if link.names.is_empty() { "no host or address" } @else { (foreign(&link.names.join(", "), WHOLE)) } } }
            div { dt { "Serial number" } dd { code class="long" { (link.serial) } } }
            div { dt { "SHA-256" } dd { code class="long" { (link.facts.id) } } }
            div { dt { "May sign others" } dd { @if link.authority { "yes" } @else { "no" } } }
        }
    }
}

/// The certificate in use beside the one before it; while one is on its way to be used, that beside the one in use.
pub(super) fn changed(view: &View<'_>, all: &[Certificate]) -> Markup {
    let find = |holder| all.iter().find(|known| known.holder == holder);
    let pair = match (find(Holder::Candidate), find(Holder::InUse), find(Holder::Former)) {
        (Some(new), Some(old), _) | (None, Some(new), Some(old)) => Some((old, new)),
        _ => None,
    };
    let Some((old, new)) = pair else {
        return html! { p class="empty" { "There is one certificate only: nothing to set it beside." } };
    };
    if old.pem.is_empty() || new.pem.is_empty() {
        return untold(&[old, new]);
    }
    let rows = rows(old, new);
    let differing = rows.iter().filter(|row| row.old != row.new).count();
    html! {
        (aged(view, &[old, new]))
        p { (differing) " of " (rows.len()) " differ." }
        div class="scroll" tabindex="0" role="region" aria-label="Table of differences" {
            table {
                thead { tr { th scope="col" { "What" } th scope="col" { (old.holder.word()) } th scope="col" { (new.holder.word()) } th scope="col" { "Compared" } } }
                tbody {
                    @for Row { what, old, new } in &rows {
                        tr {
                            th scope="row" { (what) }
                            td class="text" { (foreign(old, WHOLE)) }
                            td class="text" { (foreign(new, WHOLE)) }
                            td { @if old == new { (badge(Tone::Quiet, "the same")) } @else { (badge(Tone::Busy, "differs")) } }
                        }
                    }
                }
            }
        }
    }
}

/// Whether the account has told nothing yet of what a certificate says of itself: its validity and names are then made up.
pub(super) const fn is_untold(known: &Certificate) -> bool {
    known.pem.is_empty() && known.told.is_some()
}

/// In place of what certificates would say of themselves.
pub(super) fn untold(certificates: &[&Certificate]) -> Markup {
    match refusal(certificates) {
        Some(why) => html! {
            p class="notice" { (badge(Tone::Warn, "the account does not tell")) " " (why) }
            p { "Load the page again in half a minute to have it asked again." }
        },
        None => being_asked(),
    }
}

/// How old what they say of themselves is, and why it is no younger.
pub(super) fn aged(view: &View<'_>, certificates: &[&Certificate]) -> Markup {
    let oldest = told(certificates).filter_map(|told| told.at).min();
    html! {
        @if let Some(at) = oldest { p class="faint" { "The account told it " (moment(at, view.now)) "." } }
        @if let Some(why) = refusal(certificates) {
            p class="notice" { (badge(Tone::Warn, "the account does not tell")) " It was asked again since: " (why) }
        }
    }
}

fn refusal<'a>(certificates: &[&'a Certificate]) -> Option<&'a str> {
    told(certificates).find_map(|told| told.refused.as_deref())
}

fn told<'a>(certificates: &[&'a Certificate]) -> impl Iterator<Item = &'a Told> {
    certificates.iter().filter_map(|known| known.told.as_ref())
}

/// One thing that is compared.
struct Row {
    what: &'static str,
    old: String,
    new: String,
}

fn rows(old: &Certificate, new: &Certificate) -> Vec<Row> {
    let row = |what, tell: &dyn Fn(&Certificate) -> String| Row { what, old: tell(old), new: tell(new) };
    let first = |known: &Certificate| Details::chain_from_pem(&known.pem).ok()?.into_iter().next();
    let (before, after) = (first(old), first(new));
    let read = |what, tell: &dyn Fn(&Details) -> String| {
        let tell = |details: &Option<Details>| details.as_ref().map(tell).unwrap_or_default();
        Row { what, old: tell(&before), new: tell(&after) }
    };
    vec![
        row("SHA-256", &|known| known.id.to_string()),
        row("Status", &|known| known.status.to_string()),
        row("Registered", &|known| known.created.to_string()),
        row("Valid from", &|known| known.not_before.to_string()),
        row("Valid to", &|known| known.not_after.to_string()),
        row("Subject", &|known| known.subject.clone()),
        row("Issuer", &|known| known.issuer.clone()),
        read("Serial number", &|details| details.serial.clone()),
        read("Key", &|details| details.key.clone()),
        read("SHA-256 of the key", &|details| details.key_hash.clone()),
        read("Speaks for", &|details| details.names.join(", ")),
        row("Policies", &|known| known.policies.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    ]
}
