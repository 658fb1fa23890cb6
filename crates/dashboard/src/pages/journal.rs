//! The journal: who changed what, newest first.

use maud::{Markup, html};

use super::parts::badge;
use super::{View, device_path, frame};
use crate::fleet::{Fleet, JournalEntry, Tone};
use crate::http::{Answer, Request};

const ENTRIES: usize = 100;

pub(crate) fn journal(view: &View<'_>, fleet: &dyn Fleet, request: &Request) -> Answer {
    let before = request.query("before").parse().ok();
    let Some(page) = fleet.journal(before, ENTRIES) else {
        let content = html! { h1 { "Journal" } (frame::elsewhere("fleetkey journal")) };
        return frame::page(view, 200, "Journal", None, &content);
    };
    let content = html! {
        h1 { "Journal" }
        section id="journal" data-live aria-label="Journal" {
            @if !page.kept.is_empty() { p class="faint" { (page.kept) } }
            @match &page.chain {
                None => {}
                Some(Ok(words)) => { p { (badge(Tone::Good, "its chain holds")) " " (words) } }
                Some(Err(words)) => { p class="notice" { (badge(Tone::Bad, "its chain is broken")) " " (words) } }
            }
            (table(&page.entries))
            p class="pages" {
                @if before.is_some() { a href="/journal" { "Newest" } " " }
                @if let Some(next) = page.next { a rel="next" href={ "/journal?before=" (next) } { "Older" } }
            }
        }
    };
    frame::page(view, 200, "Journal", None, &content)
}

fn table(entries: &[JournalEntry]) -> Markup {
    html! {
        @if entries.is_empty() {
            p class="empty" { "Nothing has been changed." }
        } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Table of changes" {
                table {
                    thead {
                        tr {
                            th scope="col" { "No." } th scope="col" { "When (UTC)" } th scope="col" { "Who" } th scope="col" { "Did" }
                            th scope="col" { "To what" } th scope="col" { "Device" } th scope="col" { "Outcome" }
                        }
                    }
                    tbody { @for entry in entries { (row(entry)) } }
                }
            }
        }
    }
}

fn row(entry: &JournalEntry) -> Markup {
    html! {
        tr {
            th scope="row" { (entry.number) }
            td class="nowrap" { time datetime=(entry.at) { (entry.at) } }
            td { (entry.who) }
            td { (entry.action) }
            td class="text" {
                (entry.what)
                @if !entry.why.is_empty() { " " span class="faint" { "because " (entry.why) } }
            }
            td { @if let Some(thing) = &entry.thing { a href=(device_path(thing)) { (thing) } } }
            td { (badge(entry.tone, &entry.outcome)) }
        }
    }
}
