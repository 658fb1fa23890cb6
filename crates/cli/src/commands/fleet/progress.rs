//! How a run goes: a bar for a person, a JSON line a step for a program.

use fleetkey_operator::plan::{Event, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output::{self, Audience};

/// Where a run is told.
#[derive(Debug)]
pub(super) struct Bars {
    audience: Audience,
    bar: ProgressBar,
}

impl Bars {
    pub(super) fn new(audience: Audience) -> Self {
        let bar = match audience {
            Audience::Program => ProgressBar::hidden(),
            Audience::Person => ProgressBar::no_length(),
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        Self { audience, bar }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&self, event: &Event<'_>) {
        match event {
            Event::Begin { steps } => self.bar.set_length(u64::try_from(*steps).unwrap_or(u64::MAX)),
            Event::Start { action, what } => self.bar.set_message(format!("{action} {what}")),
            Event::Waiting { what, reason } => self.bar.set_message(format!("{what}: waiting ({reason})")),
            Event::Done { action, what } => {
                self.bar.inc(1);
                if *action != "keep" {
                    self.bar.println(format!("{action:>8}  {what}"));
                }
            }
        }
    }
}

impl Progress for Bars {
    fn tell(&self, event: Event<'_>) {
        if self.audience == Audience::Person {
            return self.draw(&event);
        }
        let line = match event {
            Event::Begin { steps } => json!({ "event": "begin", "steps": steps }),
            Event::Start { .. } => return,
            Event::Waiting { what, reason } => json!({ "event": "waiting", "what": what, "reason": reason }),
            Event::Done { action, what } => json!({ "event": "step", "action": action, "what": what }),
        };
        output::json(&line);
    }
}
