//! The first page: what needs attention, figures, the fleet at a glance, rotations, charts, what happened.

use maud::{Markup, html};

use super::chart::bars;
use super::parts::{calm, class, icon, incidents, severity};
use super::rotation::table;
use super::words::{counted, moment, number};
use super::{View, device_path, frame};
use crate::fleet::{DevicePage, DeviceQuery, Figures, FindingPage, FindingQuery, Fleet};
use crate::http::Answer;

/// Devices that fit into one glance.
const GLANCE: usize = 200;
/// Rotations shown here; all are on their own page.
const ROTATIONS: usize = 8;
const INCIDENTS: usize = 25;
const FINDINGS: usize = 6;

pub(crate) fn overview(view: &View<'_>, fleet: &dyn Fleet) -> Answer {
    let overview = fleet.overview();
    let glance = fleet.devices(&DeviceQuery { limit: GLANCE, ..DeviceQuery::default() });
    let worst = fleet.findings(&FindingQuery { limit: FINDINGS, ..FindingQuery::default() });
    let ages = caption(&overview.ages_caption, overview.ages_unknown);
    let content = html! {
        h1 class="unseen" { "Overview" }
        section id="attention" data-live aria-labelledby="attention-head" {
            h2 id="attention-head" { "Attention" }
            (attention(view, overview.starting.as_deref(), &worst))
        }
        section id="figures" data-live aria-label="Figures" { (figures(&overview.figures)) }
        section id="glance" data-live aria-labelledby="glance-head" {
            h2 id="glance-head" { "Fleet" }
            (tiles(&glance))
        }
        section id="rotations" data-live aria-labelledby="rotations-head" {
            h2 id="rotations-head" { "Rotations" }
            (table(view, &fleet.rotations(ROTATIONS)))
            p { a href="/rotations" { "All rotations" } }
        }
        div class="columns" {
            section id="charts" data-live aria-label="Charts" {
                (bars("ages", "Age of the certificates in use", &ages, &overview.ages))
                (bars("expiries", "Year in which they end", &caption("", overview.expiries_unknown), &overview.expiries))
            }
            section id="feed" data-live aria-labelledby="feed-head" {
                h2 id="feed-head" { "What happened" }
                (incidents(view, &fleet.incidents(INCIDENTS), true))
            }
        }
    };
    frame::page(view, 200, "Overview", None, &content)
}

fn attention(view: &View<'_>, starting: Option<&str>, worst: &FindingPage) -> Markup {
    html! {
        (calm(starting, worst.findings.is_empty()))
        @if !worst.findings.is_empty() {
            ul class="findings" {
                @for finding in &worst.findings {
                    li {
                        (severity(finding.severity)) " "
                        @if let Some(thing) = &finding.thing { a href=(device_path(thing)) { (thing) } ": " }
                        (finding.seen)
                        @if let Some(since) = finding.since { " " span class="faint" { (moment(since, view.now)) } }
                    }
                }
            }
            p { a href="/findings" { "All findings (" (number(u64::try_from(worst.total).ok())) "), why they matter and what to do" } }
        }
    }
}

/// A chart's caption, and how many devices are in none of its bars.
fn caption(words: &str, unknown: u64) -> String {
    let unknown = (unknown > 0).then(|| format!("{} not known", number(Some(unknown))));
    let words = Some(words.to_owned()).filter(|words| !words.is_empty());
    words.into_iter().chain(unknown).collect::<Vec<_>>().join("; ")
}

fn figures(figures: &Figures) -> Markup {
    let all = [
        ("devices", figures.devices),
        ("connected", connected(figures)),
        ("rotating now", figures.rotating),
        ("rotations done", figures.rotated),
        ("given up", figures.failed),
        ("certificates ACTIVE", figures.active),
        ("INACTIVE", figures.inactive),
        ("REVOKED", figures.revoked),
        ("messages sent", figures.sent),
        ("messages arrived", figures.received),
    ];
    html! {
        dl class="figures" {
            @for (name, value) in all {
                div { dt { (name) @if name == "connected" { (of_observed(figures)) } } dd { (number(value)) } }
            }
        }
    }
}

/// Of whom nobody is observed, nobody knows how many are connected.
fn connected(figures: &Figures) -> Option<u64> {
    figures.connected.filter(|_| figures.observed != Some(0))
}

fn of_observed(figures: &Figures) -> String {
    match figures.observed {
        None => String::new(),
        Some(0) => ", none observed".to_owned(),
        observed => format!(" of {} observed", number(observed)),
    }
}

fn tiles(page: &DevicePage) -> Markup {
    html! {
        @if page.rows.is_empty() { p class="empty" { "No device yet. The first appears here when it is provisioned." } }
        ul class="tiles" {
            @for row in &page.rows {
                li {
                    a class={ "tile " (class(row.tone)) } href=(device_path(&row.thing)) {
                        (icon(row.tone))
                        span { (row.thing) }
                        span class="state" { (row.state) }
                    }
                }
            }
        }
        @if page.total > page.rows.len() {
            p { a href="/devices" { "All " (counted(page.total, "device")) } }
        }
    }
}
