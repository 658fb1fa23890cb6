//! Rows and findings as a table, as CSV or as JSON lines; and how old the knowledge is.

use std::collections::BTreeSet;

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::{Finding, Happening, Row, State, Store};
use serde_json::{Value, json};

use crate::args::InventoryFormat;
use crate::output;

/// The columns of the CSV.
const COLUMNS: [&str; 14] = [
    "certificate",
    "thing",
    "status",
    "status_since",
    "part",
    "state",
    "created_at",
    "age",
    "rotation_due",
    "not_after",
    "connected_at",
    "seen_at",
    "connections",
    "told_at",
];

/// Prints one kind of thing, with a heading before the first.
pub(super) struct Printer {
    format: InventoryFormat,
    now: Timestamp,
    printed: usize,
}

impl Printer {
    pub(super) const fn new(format: InventoryFormat, now: Timestamp) -> Self {
        Self { format, now, printed: 0 }
    }

    pub(super) fn row(&mut self, row: &Row) {
        match self.format {
            InventoryFormat::Json => output::json(&with_event("certificate", json!(row))),
            InventoryFormat::Csv => {
                self.heading(&COLUMNS.join(","));
                output::line(&csv(&fields(row)));
            }
            InventoryFormat::Table => {
                self.heading(&line([
                    "THING",
                    "CERTIFICATE",
                    "STATUS",
                    "PART",
                    "STATE",
                    "AGE",
                    "DUE",
                    "SEEN",
                    "CONNECTED AS",
                ]));
                let age = row.created_at.map_or_else(String::new, |at| self.ago(at));
                let due = row.rotation_due.map_or_else(String::new, |at| self.until(at));
                let seen = row.seen_at.map_or_else(|| "never".to_owned(), |at| self.ago(at));
                output::line(&line([
                    row.thing.as_ref().map_or("-", |thing| thing.as_str()),
                    &row.certificate.short(),
                    row.status.map_or("?", |status| status.as_str()),
                    row.part.unwrap_or("-"),
                    row.state.map_or("-", State::as_str),
                    &age,
                    &due,
                    &seen,
                    &row.connections.join(" "),
                ]));
            }
        }
        self.printed += 1;
    }

    pub(super) fn finding(&mut self, finding: &Finding) {
        let text = |id: &Option<_>| id.as_ref().map(ToString::to_string).unwrap_or_default();
        match self.format {
            InventoryFormat::Json => output::json(&with_event("finding", json!(finding))),
            InventoryFormat::Csv => {
                self.heading("rule,severity,thing,certificate,saw,why,act");
                output::line(&csv(&[
                    finding.rule.as_str().to_owned(),
                    finding.severity.as_str().to_owned(),
                    finding.thing.as_ref().map(ToString::to_string).unwrap_or_default(),
                    text(&finding.certificate),
                    finding.saw.clone(),
                    finding.why.to_owned(),
                    finding.act.clone(),
                ]));
            }
            InventoryFormat::Table => {
                let about = finding.thing.as_ref().map_or("-", |thing| thing.as_str());
                output::line(&format!(
                    "{:<8} {:<20} {about}\n         saw {}\n         why {}\n         do  {}",
                    finding.severity.as_str(),
                    finding.rule.as_str(),
                    finding.saw,
                    finding.why,
                    finding.act,
                ));
            }
        }
        self.printed += 1;
    }

    pub(super) fn happening(&mut self, thing: &ThingName, happening: &Happening) {
        let Happening { at, certificate, what, who, why, told_by } = happening;
        match self.format {
            InventoryFormat::Json => {
                let mut fields = json!(happening);
                if let Some(fields) = fields.as_object_mut() {
                    fields.insert("thing".to_owned(), json!(thing));
                }
                output::json(&with_event("history", fields));
            }
            InventoryFormat::Csv => {
                self.heading("at,thing,certificate,what,who,why,told_by");
                let some = |text: &Option<String>| text.clone().unwrap_or_default();
                output::line(&csv(&[
                    at.to_string(),
                    thing.to_string(),
                    certificate.as_ref().map(ToString::to_string).unwrap_or_default(),
                    what.clone(),
                    some(who),
                    some(why),
                    (*told_by).to_owned(),
                ]));
            }
            InventoryFormat::Table => {
                let of = certificate.as_ref().map_or_else(String::new, |id| format!("{} ", id.short()));
                let mut line = format!("{at} {of}{what}");
                for (word, text) in [("by", who), ("because", why)] {
                    line.extend(text.iter().flat_map(|text| [", ", word, " ", text.as_str()]));
                }
                output::line(&line);
            }
        }
        self.printed += 1;
    }

    /// How many there were, and how old what they rest on is.
    pub(super) fn end(self, store: &Store, calls: &BTreeSet<String>) {
        let ages = store.ages();
        // Which columns rest on what.
        let parts = [
            ("certificates (status, age)", ages.certificates),
            ("things (part)", ages.things),
            ("attachments (thing, state, due)", ages.attachments),
            ("events (seen, connected)", ages.events),
        ];
        match self.format {
            InventoryFormat::Json => output::json(&json!({
                "event": "inventory", "printed": self.printed, "ages": ages, "calls": calls,
            })),
            // Standard output is the table alone.
            InventoryFormat::Csv | InventoryFormat::Table => {
                let known = parts.map(|(part, at)| match at {
                    Some(at) => format!("{part} {} ago", self.ago(at)),
                    None => format!("{part} never"),
                });
                output::warn(&format!("{} printed; told: {}", self.printed, known.join(", ")));
            }
        }
    }

    fn heading(&self, text: &str) {
        if self.printed == 0 {
            output::line(text);
        }
    }

    fn ago(&self, at: Timestamp) -> String {
        span(self.now.since(at).as_secs())
    }

    fn until(&self, at: Timestamp) -> String {
        if at > self.now { span(at.since(self.now).as_secs()) } else { "now".to_owned() }
    }
}

/// Seconds in their largest unit.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn with_event(event: &str, value: Value) -> Value {
    let mut line = json!({ "event": event });
    if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), value) {
        line.extend(fields);
    }
    line
}

fn line([thing, certificate, status, part, state, age, due, seen, clients]: [&str; 9]) -> String {
    let text = format!(
        "{thing:<32} {certificate:<11} {status:<9} {part:<8} {state:<8} {age:>8} {due:>8} {seen:>8}  {clients}"
    );
    text.trim_end().to_owned()
}

fn fields(row: &Row) -> Vec<String> {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    vec![
        row.certificate.to_string(),
        row.thing.as_ref().map(ToString::to_string).unwrap_or_default(),
        row.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        time(row.status_since),
        row.part.unwrap_or_default().to_owned(),
        row.state.map(|state| state.to_string()).unwrap_or_default(),
        time(row.created_at),
        row.age.map(|seconds| seconds.to_string()).unwrap_or_default(),
        time(row.rotation_due),
        time(row.not_after),
        time(row.connected_at),
        time(row.seen_at),
        row.connections.join(" "),
        time(row.told_at),
    ]
}

/// RFC 4180. What a spreadsheet would take for a formula is made text: client ids are devices' choice.
fn csv(fields: &[String]) -> String {
    let quoted = fields.iter().map(|field| {
        let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let text = if formula { format!("'{field}") } else { field.clone() };
        if formula || text.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    });
    quoted.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_cannot_leave_its_column_or_become_a_formula() {
        let fields = ["a,b", "say \"x\"", "=1+1", "plain"].map(str::to_owned);
        assert_eq!(csv(&fields), "\"a,b\",\"say \"\"x\"\"\",\"'=1+1\",plain");
    }
}
