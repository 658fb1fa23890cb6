//! Telling how a trial goes: bars for a person, one JSON line a step for a program.

use std::time::Duration;

use fleetkey_agent::AgentEvent;
use fleetkey_iotcore::server::Handle;
use fleetkey_lifecycle::record::Reason;
use fleetkey_model::name::ThingName;
use fleetkey_operator::setup::{self, Outcome};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::interval;

use super::counter::Counter;
use super::fleet::Fleet;
use super::load::Load;
use super::summary::Summary;
use crate::args::UpArgs;
use crate::core;
use crate::output::{self, Audience};

/// How often bars are drawn.
const BAR_EVERY: Duration = Duration::from_millis(200);
/// How often a program is told how far it is.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where a trial is told.
#[derive(Debug)]
pub(crate) struct Reporter {
    audience: Audience,
    provisioning: ProgressBar,
    running: ProgressBar,
    run_for: Option<Duration>,
}

impl Reporter {
    pub(crate) fn new(audience: Audience, args: &UpArgs) -> Self {
        let hidden = ProgressBar::hidden;
        let (provisioning, running) = match audience {
            Audience::Program => (hidden(), hidden()),
            Audience::Person => (
                bar(u64::from(args.devices), "provisioning {bar:40} {pos}/{len} devices"),
                match args.run_for {
                    Some(span) => bar(span.as_secs(), "rotating     {bar:40} {pos}/{len} s  {msg}"),
                    None => bar(0, "rotating     {spinner} {elapsed}  {msg}  (Ctrl-C ends it)"),
                },
            ),
        };
        Self { audience, provisioning, running, run_for: args.run_for }
    }

    /// The server listens.
    pub(crate) fn ready(&self, core: &Handle) {
        let ports = core.ports();
        let words = format!("local IoT Core on {}, ports {} and {}", core.endpoint(), ports.mqtt, ports.alpn);
        self.step(&core::ready_line(core), Some(words));
    }

    /// Policies, templates and credentials are there.
    pub(crate) fn set_up(&self, report: &setup::Report) {
        let created = report.steps.iter().filter(|step| step.outcome != Outcome::Kept).count();
        let kept = report.steps.len() - created;
        let words = format!("set-up: {created} resources made, {kept} found as they should be");
        self.step(&json!({"event": "set_up", "made": created, "kept": kept}), Some(words));
    }

    /// Something happened to a device.
    pub(crate) fn device(&self, thing: &ThingName, event: &AgentEvent) {
        let line = match event {
            AgentEvent::Provisioned { certificate } => {
                json!({"event": "provisioned", "thing": thing, "certificate": certificate})
            }
            AgentEvent::Committed { reason: Reason::Provision, .. } => return,
            AgentEvent::Committed { id, reason, certificate } => {
                json!({"event": "rotated", "thing": thing, "rotation": id, "reason": reason, "certificate": certificate})
            }
            AgentEvent::Retired { id, certificates } => {
                json!({"event": "retired", "thing": thing, "rotation": id, "certificates": certificates})
            }
            AgentEvent::RolledBack { id, why } => {
                json!({"event": "rolled_back", "thing": thing, "rotation": id, "why": why})
            }
            AgentEvent::Frozen { id, why } => {
                json!({"event": "frozen", "thing": thing, "rotation": id, "why": why})
            }
            AgentEvent::LinkUp { .. } => {
                self.provisioning.inc(1);
                return;
            }
            _ => return,
        };
        self.step(&line, None);
    }

    /// Tells how far it is, until it is dropped.
    pub(crate) async fn progress(&self, fleet: &Fleet, load: &Load, counter: &Counter) {
        self.provisioning.finish();
        let mut ticks = interval(if self.audience == Audience::Person { BAR_EVERY } else { LINE_EVERY });
        let start = tokio::time::Instant::now();
        loop {
            ticks.tick().await;
            let (received, gap) = {
                let tally = counter.tally();
                (tally.received(), tally.longest_gap().as_millis())
            };
            let (rotations, sent) = (fleet.rotations(), load.sent());
            let elapsed = start.elapsed();
            self.running.set_message(format!(
                "{rotations} rotations  {received} of {sent} messages received  longest gap {gap} ms"
            ));
            if self.run_for.is_some() {
                self.running.set_position(elapsed.as_secs());
            }
            self.line(&json!({
                "event": "progress", "seconds": elapsed.as_secs(), "rotations": rotations,
                "sent": sent, "received": received,
            }));
        }
    }

    /// The time is over; what is under way comes to its end.
    pub(crate) fn winding_down(&self) {
        self.running.abandon();
        let words = "ending: the last rotations, their retirements, the last messages (Ctrl-C hurries)";
        self.step(&json!({"event": "winding_down"}), Some(words.to_owned()));
    }

    /// The verdict.
    pub(crate) fn summary(&self, summary: &Summary) {
        self.step(&summary.json(), Some(summary.words()));
    }

    fn step(&self, line: &Value, words: Option<String>) {
        match (self.audience, words) {
            (Audience::Program, _) => output::json(line),
            (Audience::Person, Some(words)) => self.running.suspend(|| output::line(&words)),
            (Audience::Person, None) => {}
        }
    }

    fn line(&self, line: &Value) {
        if self.audience == Audience::Program {
            output::json(line);
        }
    }
}

fn bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}
