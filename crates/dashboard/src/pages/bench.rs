//! Trying a device by hand, step by step: provision, connect, publish and subscribe, rotate, rotate by itself.

use fleetkey_model::name::SerialNumber;
use maud::{Markup, html};

use super::parts::{badge, certificate};
use super::words::{WHOLE, clock, foreign, moment, span};
use super::{View, frame};
use crate::bench::{Bench, BenchDevice};
use crate::fleet::Tone;
use crate::http::{Answer, text};

/// Lines of a log on the page.
const LINES: usize = 60;
/// The longest line: what is kept of a payload, and its topic.
const LINE: usize = 2500;

/// Where a device's bench is.
pub(crate) fn bench_path(serial: &SerialNumber) -> String {
    format!("/try/{}", text::encode(serial.as_str()))
}

/// The devices on the bench, and the way to put another one there.
pub(crate) fn bench(view: &View<'_>, bench: &dyn Bench, trouble: Option<&str>) -> Answer {
    let content = html! {
        h1 { "Try a device" }
        @if let Some(words) = trouble { p class="alarm" role="alert" { (words) } }
        section aria-labelledby="new" {
            h2 id="new" { "Which device?" }
            p { "It runs in this process and does what a real one does: over mutual TLS, with a key that never leaves its directory." }
            form method="get" action="/try" class="search" {
                label for="serial" { "Serial number" }
                input id="serial" name="serial" required maxlength="121" pattern="[a-zA-Z0-9_\\-]+" autocomplete="off" value="bench-1";
                button type="submit" { "Begin" }
            }
            p class="faint" { "Letters, digits, " code { "_" } " and " code { "-" } ", at most 121." }
        }
        section id="bench" data-live aria-labelledby="there" {
            h2 id="there" { "On the bench" }
            @let devices = bench.devices();
            @if devices.is_empty() { p class="empty" { "None yet." } }
            ul class="names" {
                @for device in &devices { li { a href=(bench_path(&device.serial)) { (device.serial) } " " (state(device)) } }
            }
        }
    };
    frame::page(view, if trouble.is_some() { 400 } else { 200 }, "Try a device", None, &content)
}

/// The five steps for one device; `trouble` is what went wrong with the last.
pub(crate) fn bench_device(view: &View<'_>, device: &BenchDevice, trouble: Option<&str>) -> Answer {
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/try" { "Try a device" } }
        h1 { (device.serial) }
        @if let Some(words) = trouble { p class="alarm" role="alert" { (words) } }
        section id="bench" data-live data-from=[trouble.map(|_| bench_path(&device.serial))] aria-label="State" { (facts(view, device)) }
        @if frame::may_order(view) { ol class="steps" { (steps(device)) } }
        section id="log" data-live aria-labelledby="log-head" {
            h2 id="log-head" { "Log" }
            (log(device))
        }
    };
    let status = if trouble.is_some() { 409 } else { 200 };
    frame::page(view, status, device.serial.as_str(), Some(device.serial.as_str()), &content)
}

fn state(device: &BenchDevice) -> Markup {
    match (device.certificates.is_empty(), device.running, device.connected) {
        (true, _, _) => badge(Tone::Quiet, "not provisioned"),
        (false, _, true) => badge(Tone::Good, "connected"),
        (false, true, false) => badge(Tone::Busy, "connecting"),
        (false, false, false) => badge(Tone::Quiet, "disconnected"),
    }
}

fn facts(view: &View<'_>, device: &BenchDevice) -> Markup {
    html! {
        p { (state(device)) }
        dl class="facts" {
            div { dt { "Certificate in use" } dd { (certificate(device.certificates.last())) } }
            @if let Some(end) = device.not_after { div { dt { "It ends" } dd { (moment(end, view.now)) } } }
            div { dt { "Certificates so far" } dd { (device.certificates.len()) } }
            div { dt { "Hears" } dd { @if device.filters.is_empty() { "nothing" } @else { (foreign(&device.filters.join(", "), WHOLE)) } } }
            div {
                dt { "Rotates" }
                dd {
                    @match device.automatic {
                        Some(rule) => { "by itself: looks every " (span(rule.every)) ", when less than " (span(rule.before)) " are left" }
                        None => { "on order" }
                    }
                }
            }
        }
        @if !device.certificates.is_empty() {
            p {
                a href={ "/devices/" (text::encode(device.serial.as_str())) } { "The device's page" } " · "
                a href={ "/devices/" (text::encode(device.serial.as_str())) "/rotation" } { "its rotation, live" }
            }
        }
    }
}

fn steps(device: &BenchDevice) -> Markup {
    let topic = |name: &str| format!("{}{name}", device.prefix);
    html! {
        (step(device, "provision", "Provision", "Get a first certificate with the claim that every new device carries.", &html! {}))
        (step(device, "connect", "Connect", "Connect with the device's own certificate and stay connected.", &html! {}))
        (step(device, "disconnect", "Disconnect", "Say goodbye; the identity stays.", &html! {}))
        (step(device, "subscribe", "Subscribe", "Messages come into the log below.", &html! {
            label for="filter" { "Topic filter" }
            input id="filter" name="filter" required value=(topic("#")) autocomplete="off";
        }))
        (step(device, "publish", "Publish", "One message at QoS 1.", &html! {
            label for="topic" { "Topic" }
            input id="topic" name="topic" required value=(topic("telemetry")) autocomplete="off";
            label for="payload" { "Payload" }
            textarea id="payload" name="payload" rows="2" { "{\"temperature\": 21.5}" }
        }))
        (step(device, "rotate", "Rotate", "A new certificate, proved before the old one goes. It may stay connected.", &html! {}))
        (step(device, "automatic", "Rotate by itself", "Look at the certificate regularly, and rotate when too little of its term is left.", &html! {
            label for="every" { "Look every … seconds" }
            input id="every" name="every" type="number" min="1" max="31536000" value="5" required;
            label for="before" { "Rotate when less than … days are left" }
            input id="before" name="before" type="number" min="0" max="36500" value="30" required;
        }))
        @if device.automatic.is_some() {
            (step(device, "manual", "Stop rotating by itself", "Rotate on order only.", &html! {}))
        }
    }
}

fn step(device: &BenchDevice, verb: &str, name: &str, words: &str, fields: &Markup) -> Markup {
    html! {
        li {
            form method="post" action={ (bench_path(&device.serial)) "/" (verb) } {
                p { (words) }
                (fields)
                button id=(verb) type="submit" { (name) }
            }
        }
    }
}

fn log(device: &BenchDevice) -> Markup {
    html! {
        @if device.log.is_empty() { p class="empty" { "Nothing yet." } }
        ol class="feed" {
            @for line in device.log.iter().rev().take(LINES) {
                li { span class="faint when" { (clock(line.at)) } span {} span { (foreign(&line.words, LINE)) } }
            }
        }
    }
}
