//! The table of devices: search, filter, pages by cursor, and orders to many with a look before.

use fleetkey_model::name::ThingName;
use maud::{Markup, html};

use super::parts::{badge, certificate, connection};
use super::words::{BRIEF, counted, foreign, moment, number, span};
use super::{View, device_path, frame};
use crate::fleet::{DevicePage, DeviceQuery, DeviceRow, Filter, Fleet, Sorted};
use crate::http::{Answer, Request, text};

const ROWS: usize = 100;
/// The longest search.
const TEXT: usize = 128;

pub(crate) fn devices(view: &View<'_>, fleet: &dyn Fleet, request: &Request) -> Answer {
    let query = DeviceQuery {
        text: request.query("q").chars().take(TEXT).collect(),
        filter: Filter::named(request.query("filter")),
        after: ThingName::new(request.query("after")).ok(),
        limit: ROWS,
    };
    let page = fleet.devices(&query);
    let content = html! {
        h1 { "Devices" }
        (search(&query))
        form method="post" action="/devices/rotate" {
            section id="devices" data-live aria-label="Devices" {
                p { (counted(page.total, "device")) }
                (table(view, &page))
                (further(&query, &page))
            }
            @if frame::may_order(view) && !page.rows.is_empty() {
                p class="bulk" { button type="submit" { "Rotate the selected …" } }
            }
        }
    };
    frame::page(view, 200, "Devices", None, &content)
}

/// What would be done, before it is.
pub(crate) fn confirm_rotation(view: &View<'_>, sorted: &Sorted) -> Answer {
    let count = counted(sorted.told.len(), "device");
    let content = html! {
        @if sorted.told.is_empty() {
            h1 { "Nobody to rotate" }
        } @else {
            h1 { "Rotate " (count) "?" }
            p { "Each gets a new certificate, proves it, and moves over; its old one is retired. No message is lost." }
            @if sorted.away > 0 {
                p { (number(u64::try_from(sorted.away).ok())) " of them not connected: told when they come back, if the broker keeps their session." }
            }
            (names(&sorted.told))
        }
        @for (why, things) in others(sorted) {
            @if !things.is_empty() {
                h2 { (counted(things.len(), "device")) " left out: " (why) }
                (names(things))
            }
        }
        @if !sorted.unknown.is_empty() {
            h2 { (counted(sorted.unknown.len(), "name")) " left out: no such device" }
            ul class="names" { @for name in &sorted.unknown { li { (foreign(name, BRIEF)) } } }
        }
        form method="post" action="/devices/rotate" {
            @for thing in &sorted.told { input type="hidden" name="thing" value=(thing); }
            input type="hidden" name="confirm" value="yes";
            @if !sorted.told.is_empty() { button id="confirm" type="submit" { "Rotate " (count) } " " }
            a href="/devices" { "Cancel" }
        }
    };
    frame::page(view, 200, "Rotate devices", None, &content)
}

/// Who is not told, and why; nothing where everybody is.
pub(crate) fn left_out(sorted: &Sorted) -> String {
    let others = others(sorted).into_iter().filter(|(_, things)| !things.is_empty());
    let others = others.map(|(why, things)| format!("{} left out: {why}.", counted(things.len(), "device")));
    others.collect::<Vec<_>>().join(" ")
}

fn others(sorted: &Sorted) -> [(&'static str, &[ThingName]); 3] {
    [
        ("under way already", &sorted.under_way),
        ("frozen, see their pages", &sorted.frozen),
        ("they cannot be told from here", &sorted.unreachable),
    ]
}

fn names(things: &[ThingName]) -> Markup {
    html! { ul class="names" { @for thing in things { li { a href=(device_path(thing)) { (thing) } } } } }
}

fn search(query: &DeviceQuery) -> Markup {
    html! {
        form method="get" action="/devices" role="search" class="search" {
            span class="field" {
                label for="q" { "Name contains" }
                input id="q" name="q" type="search" value=(query.text) maxlength=(TEXT) autocomplete="off";
            }
            span class="field" {
                label for="filter" { "Show" }
                select id="filter" name="filter" {
                    @for filter in Filter::ALL {
                        option value=(filter.name()) selected[filter == query.filter] { (filter.name()) }
                    }
                }
            }
            button type="submit" { "Search" }
        }
    }
}

fn table(view: &View<'_>, page: &DevicePage) -> Markup {
    html! {
        @if page.rows.is_empty() {
            p class="empty" { "No device matches. " a href="/devices" { "Show all" } }
        } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Table of devices" {
                table {
                    thead {
                        tr {
                            th scope="col" { span class="unseen" { "Selected" } }
                            th scope="col" { "Device" } th scope="col" { "Connection" } th scope="col" { "State" }
                            th scope="col" { "Certificate" } th scope="col" { "Age" } th scope="col" { "Next rotation" }
                        }
                    }
                    tbody { @for device in &page.rows { (row(view, device)) } }
                }
            }
        }
    }
}

fn row(view: &View<'_>, device: &DeviceRow) -> Markup {
    html! {
        tr {
            td { input type="checkbox" id={ "select-" (device.thing) } name="thing" value=(device.thing) aria-label={ "Select " (device.thing) }; }
            th scope="row" { a href=(device_path(&device.thing)) { (device.thing) } }
            td { (connection(device.connection)) }
            td { (badge(device.tone, &device.state)) }
            td { (certificate(device.certificate.as_ref())) }
            td { @if let Some(age) = device.age { (span(age)) } }
            td { @if let Some(due) = device.due { (moment(due, view.now)) } }
        }
    }
}

fn further(query: &DeviceQuery, page: &DevicePage) -> Markup {
    let first = format!("/devices?q={}&filter={}", text::encode(&query.text), query.filter.name());
    html! {
        p class="pages" {
            @if query.after.is_some() { a href=(first) { "First page" } " " }
            @if let Some(next) = &page.next {
                a rel="next" href={ (first) "&after=" (text::encode(next.as_str())) } { "Next page" }
            }
        }
    }
}
