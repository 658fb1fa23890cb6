//! The bench's pages and its orders, read from forms.

use std::time::Duration;

use fleetkey_model::name::SerialNumber;

use super::App;
use crate::access::Actor;
use crate::bench::{Automatic, Bench, BenchOrder};
use crate::http::{Answer, Form, Request};
use crate::pages;

const DAY: u64 = 86_400;

/// What is said where there is none.
pub(super) const NO_BENCH: &str = "Devices are tried by hand under `fleetkey up` only: \
    a controller holds no claim to provision with.";

impl App {
    /// `/try` and `/try/SERIAL`.
    pub(super) fn read_bench(&self, request: &Request, actor: &Actor) -> Answer {
        let view = self.view(actor, request);
        let Some(bench) = self.bench.as_deref() else {
            return pages::message(&view, 404, "No bench here", NO_BENCH);
        };
        match request.parts()[..] {
            ["try"] if request.query("serial").is_empty() => pages::bench(&view, bench, None),
            ["try"] => match SerialNumber::new(request.query("serial")) {
                Ok(serial) => Answer::see_other(&pages::bench_path(&serial)),
                Err(error) => pages::bench(&view, bench, Some(&error.to_string())),
            },
            ["try", serial] => match SerialNumber::new(serial) {
                Ok(serial) => pages::bench_device(&view, &bench.device(&serial), None),
                Err(_) => self.nowhere(&view),
            },
            _ => self.nowhere(&view),
        }
    }

    /// `POST /try/SERIAL/VERB`.
    pub(super) async fn order_bench(&self, request: &Request, actor: &Actor) -> Answer {
        let view = self.view(actor, request);
        let Some(bench) = self.bench.as_deref() else {
            return pages::message(&view, 404, "No bench here", NO_BENCH);
        };
        let ["try", serial, verb] = &request.parts()[..] else {
            return self.nowhere(&view);
        };
        let Ok(serial) = SerialNumber::new(*serial) else {
            return self.nowhere(&view);
        };
        let order = match order(verb, &request.form()) {
            Ok(Some(order)) => order,
            Ok(None) => return self.nowhere(&view),
            Err(words) => return pages::bench_device(&view, &bench.device(&serial), Some(words)),
        };
        match perform(bench, &serial, order, actor).await {
            Ok(_) => Answer::see_other(&pages::bench_path(&serial)),
            Err(words) => pages::bench_device(&view, &bench.device(&serial), Some(&words)),
        }
    }
}

/// Carries an order out, after what holds for every bench: topics stay the device's own.
pub(super) async fn perform(
    bench: &dyn Bench,
    serial: &SerialNumber,
    order: BenchOrder,
    actor: &Actor,
) -> Result<String, String> {
    if let BenchOrder::Publish { topic: place, .. } | BenchOrder::Subscribe { filter: place } = &order {
        let prefix = bench.device(serial).prefix;
        if !place.starts_with(&prefix) {
            return Err(format!("Topic must start with {prefix}"));
        }
    }
    bench
        .perform(serial, order, &actor.name)
        .await
        .map(|done| done.words)
        .map_err(|refused| refused.to_string())
}

fn order(verb: &str, form: &Form) -> Result<Option<BenchOrder>, &'static str> {
    let text = |name: &'static str| form.first(name).to_owned();
    Ok(Some(match verb {
        "provision" => BenchOrder::Provision,
        "connect" => BenchOrder::Connect,
        "disconnect" => BenchOrder::Disconnect,
        "publish" => BenchOrder::Publish { topic: text("topic"), payload: text("payload") },
        "subscribe" => BenchOrder::Subscribe { filter: text("filter") },
        "rotate" => BenchOrder::Rotate,
        "automatic" => {
            let number = |name: &'static str| form.first(name).parse::<u64>().ok();
            let (Some(every @ 1..=31_536_000), Some(before @ 0..=36_500)) =
                (number("every"), number("before"))
            else {
                return Err("Seconds are a number from 1, days a number from 0.");
            };
            BenchOrder::Automatic(Automatic {
                every: Duration::from_secs(every),
                before: Duration::from_secs(before * DAY),
            })
        }
        "manual" => BenchOrder::Manual,
        _ => return Ok(None),
    }))
}
