//! Telling how a trial goes: a bar for a person, one JSON line a step for a program.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
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

/// How often the bar is drawn.
const BAR_EVERY: Duration = Duration::from_millis(200);
/// How often a program is told how far it is.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where a trial is told.
#[derive(Debug)]
pub(crate) struct Reporter {
    audience: Audience,
    /// Hidden from a program. One bar, first of devices, then of time.
    bar: ProgressBar,
    /// The devices that have been connected, each once however often it reconnects.
    connected: Mutex<BTreeSet<ThingName>>,
    devices: u32,
    run_for: Option<Duration>,
}

impl Reporter {
    pub(crate) fn new(audience: Audience, args: &UpArgs) -> Self {
        let bar = match audience {
            Audience::Program => ProgressBar::hidden(),
            Audience::Person => ProgressBar::no_length(),
        };
        bar.set_style(style("{spinner} {msg}"));
        bar.set_message("starting");
        Self { audience, bar, connected: Mutex::default(), devices: args.devices, run_for: args.run_for }
    }

    /// The server listens, and so does the dashboard, if there is one.
    pub(crate) fn ready(&self, core: &Handle, dashboard: Option<&str>) {
        let ports = core.ports();
        let mut words =
            format!("local IoT Core on {}, ports {} and {}", core.endpoint(), ports.mqtt, ports.alpn);
        let mut line = core::ready_line(core);
        if let (Some(url), Value::Object(members)) = (dashboard, &mut line) {
            members.insert("dashboard_url".to_owned(), url.into());
            words.push_str(&format!("\ndashboard, by this link once: {url}"));
        }
        self.step(&line, Some(words));
    }

    /// Policies, templates and credentials are there.
    pub(crate) fn set_up(&self, report: &setup::Report) {
        let created = report.steps.iter().filter(|step| step.outcome != Outcome::Kept).count();
        let kept = report.steps.len() - created;
        let words = format!("set-up: {created} resources made, {kept} found as they should be");
        self.step(&json!({"event": "set_up", "made": created, "kept": kept}), Some(words));
        self.phase("devices  {bar:16} {pos}/{len} connected", Some(u64::from(self.devices)));
    }

    /// Something happened to a device.
    pub(crate) fn device(&self, thing: &ThingName, event: &AgentEvent) {
        let line = match event {
            AgentEvent::Provisioned { certificate, .. } => {
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
            AgentEvent::LinkUp { .. } => return self.connected(thing),
            _ => return,
        };
        self.step(&line, None);
    }

    /// Tells how far it is, until it is dropped.
    pub(crate) async fn progress(&self, fleet: &Fleet, load: &Load, counter: &Counter) {
        let words = format!("{} devices connected, each with a certificate of its own", self.devices);
        self.say(&words);
        match self.run_for {
            Some(span) => self.phase("rotating {bar:16} {pos}/{len} s  {wide_msg}", Some(span.as_secs())),
            None => self.phase("rotating {spinner} {elapsed} (Ctrl-C ends it)  {wide_msg}", None),
        }
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
            self.bar.set_message(format!("{rotations} rotations, {received} messages, longest gap {gap} ms"));
            self.bar.set_position(elapsed.as_secs());
            self.line(&json!({
                "event": "progress", "seconds": elapsed.as_secs(), "rotations": rotations,
                "sent": sent, "received": received,
            }));
        }
    }

    /// The time is over; what is under way comes to its end.
    pub(crate) fn winding_down(&self) {
        self.bar.finish_and_clear();
        let words = "ending: last rotations, retirements and messages (Ctrl-C hurries)";
        self.step(&json!({"event": "winding_down"}), Some(words.to_owned()));
    }

    /// The verdict.
    pub(crate) fn summary(&self, summary: &Summary) {
        self.step(&summary.json(), Some(summary.words()));
    }

    fn connected(&self, thing: &ThingName) {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        // Later connections are hand-overs; by then the bar tells the time.
        if connected.insert(thing.clone()) {
            self.bar.inc(1);
        }
    }

    /// The bar starts again, as another one.
    fn phase(&self, template: &str, length: Option<u64>) {
        match length {
            Some(length) => self.bar.set_length(length),
            None => self.bar.unset_length(),
        }
        self.bar.set_position(0);
        self.bar.set_message("");
        self.bar.set_style(style(template));
    }

    /// A line for a person, above the bar.
    fn say(&self, words: &str) {
        if self.audience == Audience::Person {
            self.bar.suspend(|| output::line(words));
        }
    }

    fn step(&self, line: &Value, words: Option<String>) {
        match (self.audience, words) {
            (Audience::Program, _) => output::json(line),
            (Audience::Person, Some(words)) => self.say(&words),
            (Audience::Person, None) => {}
        }
    }

    fn line(&self, line: &Value) {
        if self.audience == Audience::Program {
            output::json(line);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
