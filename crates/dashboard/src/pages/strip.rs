//! The phase strip: the eight phases of a rotation in a row, each with its state in words and its moment.

use maud::{Markup, html};

use super::parts::{class, icon};
use super::words::span;
use crate::fleet::{Outcome, Phase, Rotation, Tone};

/// A phase's state, and the tone that goes with it.
fn state(rotation: &Rotation, phase: Phase) -> (&'static str, Tone) {
    let reached = rotation.reached();
    let next = Phase::ALL.into_iter().find(|phase| *phase > reached);
    match &rotation.outcome {
        _ if phase <= reached => ("done", Tone::Good),
        Outcome::RolledBack(_) if Some(phase) == next => ("given up here", Tone::Bad),
        Outcome::Frozen(_) if Some(phase) == next => ("frozen", Tone::Bad),
        Outcome::Waiting(_) if Some(phase) == next => ("waiting", Tone::Warn),
        Outcome::UnderWay if Some(phase) == next => ("under way", Tone::Busy),
        // A first certificate has none before it.
        Outcome::Done => ("nothing to retire", Tone::Quiet),
        _ => ("to come", Tone::Quiet),
    }
}

/// The strip with times, for a page of its own.
pub(super) fn strip(rotation: &Rotation) -> Markup {
    html! {
        ol class="strip" aria-label="Phases of the rotation" {
            @for phase in Phase::ALL {
                @let (words, tone) = state(rotation, phase);
                li class={ (class(tone)) } title=(phase.meaning()) {
                    (icon(tone))
                    span class="phase" { (phase.name()) }
                    span class="state" { (words) }
                    span class="faint when" { (after(rotation, phase)) }
                }
            }
        }
    }
}

/// The strip without words, for a row of a table; the words are for who cannot see it.
pub(super) fn small(rotation: &Rotation) -> Markup {
    let at = Phase::ALL.iter().position(|phase| *phase == rotation.reached()).map_or(0, |index| index + 1);
    html! {
        span class="ticks" aria-hidden="true" {
            @for phase in Phase::ALL {
                @let (words, tone) = state(rotation, phase);
                span class={ (class(tone)) } title={ (phase.name()) ": " (words) } { (icon(tone)) }
            }
        }
        " "
        span class="nowrap" { (rotation.reached().name()) " (" (at) " of " (Phase::ALL.len()) ")" }
    }
}

/// How long after the start a phase was seen.
fn after(rotation: &Rotation, phase: Phase) -> String {
    match (rotation.started(), rotation.at(phase)) {
        (Some(start), Some(at)) => format!("+{}", span(at.since(start))),
        _ => String::new(),
    }
}
