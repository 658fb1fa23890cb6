//! The inventory: every certificate with its age and its end, filtered, by pages, and whole as a file.

use std::fmt::Write;
use std::time::Duration;

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::time::Timestamp;
use maud::{Markup, html};

use super::parts::{certificate, status};
use super::words::{counted, date, moment, span};
use super::{View, device_path, frame};
use crate::fleet::{Fleet, InventoryPage, InventoryQuery, InventoryRow, STATES};
use crate::http::{Answer, Request, text};

const ROWS: usize = 100;
const DAY: u64 = 86_400;
/// The longest search, and the most days that are asked for: a century.
const TEXT: usize = 128;
const DAYS: u64 = 36_500;

const STATUSES: [CertificateStatus; 5] = [
    CertificateStatus::Active,
    CertificateStatus::Inactive,
    CertificateStatus::Revoked,
    CertificateStatus::PendingActivation,
    CertificateStatus::PendingTransfer,
];

/// What a request asks for; `limit` rows a page.
pub(crate) fn inventory_query(request: &Request, limit: usize) -> InventoryQuery {
    let days = |name| {
        let days = request.query(name).trim().parse::<u64>().ok().filter(|days| *days <= DAYS);
        days.map(|days| Duration::from_secs(days * DAY))
    };
    InventoryQuery {
        text: request.query("q").chars().take(TEXT).collect(),
        status: STATUSES.into_iter().find(|status| status.as_str() == request.query("status")),
        state: STATES.into_iter().find(|state| *state == request.query("state")),
        older_than: days("older"),
        ends_within: days("ends"),
        after: request.query("after").parse().ok(),
        limit,
        count: false,
    }
}

pub(crate) fn inventory(view: &View<'_>, fleet: &dyn Fleet, request: &Request) -> Answer {
    let query = InventoryQuery { count: true, ..inventory_query(request, ROWS) };
    let Some(page) = fleet.inventory(&query) else {
        let content = html! { h1 { "Inventory" } (frame::elsewhere("fleetkey inventory")) };
        return frame::page(view, 200, "Inventory", None, &content);
    };
    let same = same(&query);
    let content = html! {
        h1 { "Inventory" }
        (search(&query))
        section id="inventory" data-live aria-label="Inventory" {
            p {
                (counted(page.total, "certificate")) ". "
                @if !page.told.is_empty() { span class="faint" { (page.told) " " } }
                a href={ "/inventory.csv?" (same) } download { "All of them as CSV" }
            }
            (table(view, &page))
            p class="pages" {
                @if query.after.is_some() { a href={ "/inventory?" (same) } { "First page" } " " }
                @if let Some(next) = &page.next {
                    a rel="next" href={ "/inventory?" (same) "&after=" (next) } { "Next page" }
                }
            }
        }
    };
    frame::page(view, 200, "Inventory", None, &content)
}

/// The first line of the file.
pub(crate) const INVENTORY_HEAD: &str =
    "certificate,thing,status,part,state,registered,ends,rotation_due,connected,last_seen\r\n";

/// Rows of the file (RFC 4180). No value can be a formula: names have no `=`, `+` or `@`, and all is quoted.
pub(crate) fn inventory_lines(rows: &[InventoryRow]) -> String {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let mut lines = String::new();
    for row in rows {
        let thing = row.thing.as_ref().map(|thing| thing.as_str()).unwrap_or_default();
        let part = row.part.as_deref().unwrap_or_default().replace('"', "\"\"");
        // Writing to a String cannot fail.
        let _ = write!(
            lines,
            "\"{}\",\"{thing}\",\"{}\",\"{part}\",\"{}\",\"{}\",\"{}\",\"{}\",\"{}\",\"{}\"\r\n",
            row.certificate,
            row.status.map_or("", CertificateStatus::as_str),
            row.state.unwrap_or_default(),
            at(row.created),
            at(row.not_after),
            at(row.due),
            row.connected.map_or("", |connected| if connected { "yes" } else { "no" }),
            at(row.seen),
        );
    }
    lines
}

/// The query again, as it stands in a link, from its first page.
fn same(query: &InventoryQuery) -> String {
    let days =
        |span: Option<Duration>| span.map(|span| (span.as_secs() / DAY).to_string()).unwrap_or_default();
    format!(
        "q={}&status={}&state={}&older={}&ends={}",
        text::encode(&query.text),
        query.status.map_or("", CertificateStatus::as_str),
        query.state.unwrap_or_default(),
        days(query.older_than),
        days(query.ends_within)
    )
}

fn search(query: &InventoryQuery) -> Markup {
    let days = |span: Option<Duration>| span.map(|span| span.as_secs() / DAY);
    html! {
        form method="get" action="/inventory" role="search" class="search" {
            span class="field" {
                label for="q" { "Device contains" }
                input id="q" name="q" type="search" value=(query.text) maxlength=(TEXT) autocomplete="off";
            }
            span class="field" {
                label for="status" { "Status" }
                select id="status" name="status" {
                    option value="" selected[query.status.is_none()] { "any" }
                    @for status in STATUSES {
                        option value=(status) selected[query.status == Some(status)] { (status) }
                    }
                }
            }
            span class="field" {
                label for="state" { "State" }
                select id="state" name="state" {
                    option value="" selected[query.state.is_none()] { "any" }
                    @for state in STATES {
                        option value=(state) selected[query.state == Some(state)] { (state) }
                    }
                }
            }
            span class="field" {
                label for="older" { "At least … days old" }
                input id="older" name="older" type="number" min="0" max=(DAYS) value=[days(query.older_than)] class="short";
            }
            span class="field" {
                label for="ends" { "Ends within … days" }
                input id="ends" name="ends" type="number" min="0" max=(DAYS) value=[days(query.ends_within)] class="short";
            }
            button type="submit" { "Search" }
        }
    }
}

fn table(view: &View<'_>, page: &InventoryPage) -> Markup {
    html! {
        @if page.rows.is_empty() {
            p class="empty" { "No certificate matches. " a href="/inventory" { "Show all" } }
        } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Table of certificates" {
                table {
                    thead {
                        tr {
                            th scope="col" { "SHA-256" } th scope="col" { "Device" } th scope="col" { "Status" }
                            th scope="col" { "Part" } th scope="col" { "State" } th scope="col" { "Age" } th scope="col" { "Ends" }
                            th scope="col" { "Next rotation" } th scope="col" { "Connected" }
                        }
                    }
                    tbody { @for row in &page.rows { (one(view, row)) } }
                }
            }
        }
    }
}

fn one(view: &View<'_>, row: &InventoryRow) -> Markup {
    html! {
        tr {
            th scope="row" { (certificate(Some(&row.certificate))) }
            td { @match &row.thing { Some(thing) => { a href=(device_path(thing)) { (thing) } } None => { "–" } } }
            td { @match row.status { Some(known) => { (status(known)) } None => { "–" } } }
            td { (row.part.as_deref().unwrap_or("–")) }
            td { (row.state.unwrap_or("–")) }
            td { @match row.created { Some(at) => { (span(view.now.since(at))) } None => { "–" } } }
            td class="nowrap" { @match row.not_after { Some(at) => { (date(at)) } None => { "–" } } }
            td { @match row.due { Some(at) => { (moment(at, view.now)) } None => { "–" } } }
            td {
                @match (row.connected, row.seen) {
                    (Some(true), _) => { "yes" }
                    (_, Some(seen)) => { "last " (moment(seen, view.now)) }
                    (Some(false), None) => { "no" }
                    (None, None) => { "–" }
                }
            }
        }
    }
}
