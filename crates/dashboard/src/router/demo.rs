//! The REST routes of the demo that many come from, with its paths, members and errors; over the same bench as the pages.
//!
//! Source: the demo's README and routes. Its token may come as `X-API-Token`; a browser's session counts as well, with the
//! origin checked as for any order. What differs: a refused order is 409 and not 500, and rotating needs no disconnecting.

use std::time::Duration;

use fleetkey_model::name::SerialNumber;
use serde_json::{Value, json};

use super::{App, bench};
use crate::access::Actor;
use crate::bench::{Automatic, BenchDevice, BenchOrder};
use crate::http::{Answer, Request};
use crate::pages::error_json;

/// Lines and certificates that a status tells.
const LINES: usize = 50;
const HISTORY: usize = 5;
/// What the demo takes where nothing is said.
const CHECK_HOURS: f64 = 24.0;
const BEFORE_DAYS: f64 = 30.0;
/// A century, the most that either may be.
const MOST_SECONDS: f64 = 3.2e9;

impl App {
    /// `GET /api/status?serial=` and `GET /api/devices`.
    pub(super) fn read_demo(&self, request: &Request) -> Answer {
        let Some(bench) = self.bench.as_deref() else {
            return error_json(404, bench::NO_BENCH);
        };
        match request.parts()[..] {
            ["api", "devices"] => {
                let devices: Vec<Value> = bench.devices().iter().map(status).collect();
                Answer::json(200, &json!({ "devices": devices }))
            }
            ["api", "status"] => {
                let wanted = request.query("serial").trim();
                let known = bench.devices().into_iter().find(|device| device.serial.as_str() == wanted);
                known.map_or_else(
                    || error_json(404, "device not found"),
                    |device| Answer::json(200, &json!({ "status": status(&device), "logs": logs(&device) })),
                )
            }
            _ => error_json(404, "there is no such route"),
        }
    }

    /// `POST /api/…`.
    pub(super) async fn order_demo(&self, request: &Request, actor: &Actor) -> Answer {
        let Some(bench) = self.bench.as_deref() else {
            return error_json(404, bench::NO_BENCH);
        };
        let Some(body) = request.json() else {
            return error_json(400, "the body is a JSON object");
        };
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        let serial = text("serial");
        if serial.is_empty() {
            return error_json(400, "serial required");
        }
        let serial = match SerialNumber::new(serial) {
            Ok(serial) => serial,
            Err(error) => return error_json(400, &error.to_string()),
        };
        let order = match &request.parts()[..] {
            ["api", "provision"] => BenchOrder::Provision,
            ["api", "rotate"] => BenchOrder::Rotate,
            ["api", "connect"] => BenchOrder::Connect,
            ["api", "disconnect"] => BenchOrder::Disconnect,
            ["api", "publish"] => BenchOrder::Publish { topic: text("topic"), payload: payload(&body) },
            ["api", "subscribe"] => BenchOrder::Subscribe { filter: text("topic") },
            ["api", "auto_rotate"] => match automatic(&body) {
                Ok(order) => order,
                Err(words) => return error_json(400, words),
            },
            _ => return error_json(404, "there is no such route"),
        };
        match bench::perform(bench, &serial, order, actor).await {
            Ok(_) => {
                let device = bench.device(&serial);
                let certificate = device.certificates.last().map(ToString::to_string);
                Answer::json(200, &json!({ "ok": true, "cert_id": certificate, "status": status(&device) }))
            }
            Err(words) => {
                let code = if words.starts_with("Topic must") { 400 } else { 409 };
                error_json(code, &words)
            }
        }
    }
}

fn status(device: &BenchDevice) -> Value {
    let skipped = device.certificates.len().saturating_sub(HISTORY);
    let history: Vec<Value> =
        device.certificates.iter().skip(skipped).map(|id| json!({ "cert_id": id })).collect();
    let current = device.certificates.last().map(|id| format!("{:.16}...", id.to_string()));
    json!({
        "serial": device.serial,
        "connected": device.connected,
        "has_cert": !device.certificates.is_empty(),
        "cert_count": device.certificates.len(),
        "cert_history": history,
        "current_cert_id": current,
        "auto_rotate": device.automatic.is_some(),
        "rotate_interval_hours": device.automatic.map(|rule| rule.every.as_secs_f64() / 3600.0),
    })
}

fn logs(device: &BenchDevice) -> Vec<String> {
    let skipped = device.log.len().saturating_sub(LINES);
    device.log.iter().skip(skipped).map(|line| format!("[{}] {}", line.at, line.words)).collect()
}

/// A text as it is, anything else as JSON.
fn payload(body: &Value) -> String {
    match body.get("payload") {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "{}".to_owned(),
    }
}

fn automatic(body: &Value) -> Result<BenchOrder, &'static str> {
    match body.get("action").map(Value::as_str) {
        None | Some(Some("start")) => {}
        Some(Some("stop")) => return Ok(BenchOrder::Manual),
        Some(_) => return Err("action is start or stop"),
    }
    let every = span(body.get("check_hours"), CHECK_HOURS, 3600.0);
    let before = span(body.get("rotate_before_days"), BEFORE_DAYS, 86_400.0);
    match (every, before) {
        (Some(every), Some(before)) if every >= Duration::from_secs(1) => {
            Ok(BenchOrder::Automatic(Automatic { every, before }))
        }
        _ => Err("check_hours is a number of at least a second, rotate_before_days one from 0"),
    }
}

fn span(value: Option<&Value>, default: f64, unit: f64) -> Option<Duration> {
    let number = value.map_or(Some(default), Value::as_f64)?;
    let seconds = number * unit;
    (0.0..=MOST_SECONDS).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_spans_are_refused() {
        for body in [
            json!({"check_hours": -1}),
            json!({"check_hours": "24"}),
            json!({"check_hours": 0}),
            json!({"rotate_before_days": 1e300}),
            json!({"action": "dance"}),
            json!({"action": 1}),
        ] {
            assert!(automatic(&body).is_err(), "{body}");
        }
        let day = Duration::from_secs(86_400);
        let expected = Automatic { every: day, before: day * 30 };
        assert_eq!(automatic(&json!({})), Ok(BenchOrder::Automatic(expected)));
        assert_eq!(automatic(&json!({"action": "stop"})), Ok(BenchOrder::Manual));
    }
}
