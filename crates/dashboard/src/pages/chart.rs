//! Bar charts as SVG, with the same figures as a table for who reads instead of looks.

use maud::{Markup, html};

use super::words::number;
use crate::fleet::Bar;

/// Everything in units of the view box.
const BAR: usize = 40;
const GAP: usize = 8;
const HEIGHT: u64 = 96;
const FOOT: u64 = 18;
const HEAD: u64 = 16;

/// A chart of `bars`, called `title`; `id` is unique on the page.
pub(super) fn bars(id: &str, title: &str, caption: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    html! {
        figure {
            figcaption { strong { (title) } @if !caption.is_empty() { " " span class="faint" { (caption) } } }
            @if most == 0 {
                p class="empty" { "No figures yet." }
            } @else {
                (drawing(id, title, bars, most))
                (table(id, bars))
            }
        }
    }
}

fn drawing(id: &str, title: &str, bars: &[Bar], most: u64) -> Markup {
    let width = bars.len() * (BAR + GAP);
    html! {
        svg class="chart" role="img" aria-labelledby={ (id) "-title" } viewBox={ "0 0 " (width) " " (HEAD + HEIGHT + FOOT) } {
            title id={ (id) "-title" } { (title) ": " (in_words(bars)) }
            @for (index, bar) in bars.iter().enumerate() {
                @let tall = (bar.count.saturating_mul(HEIGHT) / most).max(u64::from(bar.count > 0));
                @let left = index * (BAR + GAP) + GAP / 2;
                rect class="bar" x=(left) y=(HEAD + HEIGHT - tall) width=(BAR) height=(tall) {}
                @if bar.count > 0 {
                    text class="count" x=(left + BAR / 2) y=(HEAD + HEIGHT - tall - 4) { (number(Some(bar.count))) }
                }
                text class="label" x=(left + BAR / 2) y=(HEAD + HEIGHT + FOOT - 4) { (bar.label) }
            }
            line class="axis" x1="0" x2=(width) y1=(HEAD + HEIGHT) y2=(HEAD + HEIGHT) {}
        }
    }
}

fn in_words(bars: &[Bar]) -> String {
    let counted = bars.iter().filter(|bar| bar.count > 0);
    counted.map(|bar| format!("{}: {}", bar.label, bar.count)).collect::<Vec<_>>().join(", ")
}

fn table(id: &str, bars: &[Bar]) -> Markup {
    html! {
        details id={ (id) "-figures" } {
            summary { "Figures" }
            table {
                thead { tr { th scope="col" { "Range" } th scope="col" { "Devices" } } }
                tbody { @for bar in bars { tr { th scope="row" { (bar.label) } td { (number(Some(bar.count))) } } } }
            }
        }
    }
}
