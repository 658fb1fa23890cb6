//! Beginning a campaign: a form, and what it comes to before anybody is told.

use std::time::Duration;

use maud::{Markup, html};

use super::words::{counted, span};
use super::{View, frame, proof};
use crate::access::Scope;
use crate::fleet::{CampaignDraft, Forecast, Omission, Pace};
use crate::http::{Answer, Form};

const DAY: u64 = 86_400;
/// The most days, minutes and times that can be asked for.
const DAYS: u64 = 36_500;
const MINUTES: u64 = 525_600;
/// The longest pattern or name.
const TEXT: usize = 128;
/// Every field, to hand them on from the form to the question.
const FIELDS: [&str; 14] = [
    "name",
    "why",
    "things",
    "older",
    "rule",
    "group",
    "canary",
    "growth",
    "rate",
    "at_once",
    "window",
    "patience",
    "tries",
    "threshold",
];

/// A draft out of its form; a field that is empty is what the form shows first.
///
/// # Errors
/// In words for whoever filled it in.
pub(crate) fn draft(form: &Form) -> Result<CampaignDraft, String> {
    let usual = Pace::default();
    let draft = CampaignDraft {
        name: text(form, "name"),
        why: form.reason(),
        things: text(form, "things"),
        older_than: match form.first("older").trim() {
            "" => None,
            _ => Some(Duration::from_secs(number(form, "older", 0, DAYS)? * DAY)),
        },
        rule: text(form, "rule"),
        group: text(form, "group"),
        pace: Pace {
            canary: number(form, "canary", usual.canary, 100)?,
            growth: number(form, "growth", usual.growth, 1000)?,
            rate: number(form, "rate", usual.rate, u32::MAX)?,
            at_once: number(form, "at_once", usual.at_once, u32::MAX)?,
            window: text(form, "window"),
            patience: Duration::from_secs(number(form, "patience", minutes(usual.patience), MINUTES)? * 60),
            tries: number(form, "tries", usual.tries, u8::MAX)?,
            threshold: number(form, "threshold", usual.threshold, 100)?,
        },
    };
    if draft.name.is_empty() || draft.why.is_empty() {
        return Err("A campaign has a name, and says what it is for.".to_owned());
    }
    let is_any = draft.things.is_empty() && draft.older_than.is_none() && draft.rule.is_empty();
    if is_any && draft.group.is_empty() {
        let words =
            "Say which devices: by name, by age, by finding, or by group. A * as name means all of them.";
        return Err(words.to_owned());
    }
    Ok(draft)
}

fn text(form: &Form, name: &str) -> String {
    form.first(name).trim().chars().take(TEXT).collect()
}

fn number<T>(form: &Form, name: &str, usual: T, most: T) -> Result<T, String>
where
    T: Copy + std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let text = form.first(name).trim();
    if text.is_empty() {
        return Ok(usual);
    }
    let wrong = || format!("{text:?} is no {}: a whole number up to {most}.", label(name));
    text.parse().ok().filter(|number| *number <= most).ok_or_else(wrong)
}

fn label(name: &str) -> &'static str {
    match name {
        "older" => "age in days",
        "canary" => "first wave in percent",
        "growth" => "growth of the waves",
        "rate" => "rate a minute",
        "at_once" => "number of devices at once",
        "patience" => "patience in minutes",
        "tries" => "number of tries",
        _ => "threshold in percent",
    }
}

const fn minutes(span: Duration) -> u64 {
    span.as_secs() / 60
}

/// The form, with what was entered, and what was wrong with it.
pub(crate) fn new_campaign(
    view: &View<'_>,
    code: u16,
    rules: &[String],
    form: &Form,
    trouble: Option<&str>,
) -> Answer {
    let title = "Begin a campaign";
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/campaigns" { "Campaigns" } }
        h1 { (title) }
        (proof::trouble(trouble))
        form method="post" action="/campaigns" {
            fieldset class="sheet" {
                legend { "What" }
                label for="name" { "Name" }
                input id="name" name="name" required maxlength="64" pattern="[0-9A-Za-z_\\-]+" value=(form.first("name")) autocomplete="off" spellcheck="false";
                (proof::why(form.first("why")))
            }
            fieldset class="sheet" {
                legend { "Which devices" }
                label for="things" { "Name matches (* any run, ? any one)" }
                input id="things" name="things" maxlength=(TEXT) value=(form.first("things")) autocomplete="off" spellcheck="false";
                label for="older" { "Certificate at least … days old" }
                input id="older" name="older" type="number" min="0" max=(DAYS) value=(form.first("older"));
                (chosen(rules, form.first("rule")))
                label for="group" { "In this thing group, or in one below it" }
                input id="group" name="group" maxlength=(TEXT) value=(form.first("group")) autocomplete="off" spellcheck="false";
            }
            fieldset class="sheet" {
                legend { "How" }
                (pace(form))
            }
            button id="look" type="submit" { "Look what it comes to" }
            " " a href="/campaigns" { "Cancel" }
        }
    };
    frame::page(view, code, title, None, &content)
}

fn chosen(rules: &[String], rule: &str) -> Markup {
    html! {
        @if !rules.is_empty() {
            label for="rule" { "Found by the rule" }
            select id="rule" name="rule" {
                option value="" selected[rule.is_empty()] { "any, or none" }
                @for known in rules { option value=(known) selected[known == rule] { (known) } }
            }
        }
    }
}

fn pace(form: &Form) -> Markup {
    let usual = Pace::default();
    let fields = [
        ("canary", "First wave, percent of the devices", u64::from(usual.canary), 100),
        ("growth", "Each wave … times as large", u64::from(usual.growth), 1000),
        ("rate", "Devices a minute", u64::from(usual.rate), u64::from(u32::MAX)),
        ("at_once", "Devices at it at once", u64::from(usual.at_once), u64::from(u32::MAX)),
        ("patience", "Minutes until a device is on its new certificate", minutes(usual.patience), MINUTES),
        ("tries", "Times that a device is told", u64::from(usual.tries), u64::from(u8::MAX)),
        ("threshold", "It ends when … percent of a wave fail", u64::from(usual.threshold), 100),
    ];
    html! {
        @for (name, words, usual, most) in fields {
            @let entered = form.first(name);
            label for=(name) { (words) }
            input id=(name) name=(name) type="number" min="1" max=(most)
                value=(if entered.is_empty() { usual.to_string() } else { entered.to_owned() });
        }
        label for="window" { "Hours of the day, UTC, for example 22:00-04:30" }
        input id="window" name="window" maxlength="11" value=(form.first("window")) autocomplete="off";
    }
}

/// What a draft comes to, and the question whether it is to begin.
pub(crate) fn confirm_new_campaign(
    view: &View<'_>,
    code: u16,
    form: &Form,
    (draft, forecast): (&CampaignDraft, &Forecast),
    trouble: Option<&str>,
) -> Answer {
    let title = format!("Begin the campaign {}?", draft.name);
    let rate = forecast.slower.unwrap_or(draft.pace.rate);
    let least = Duration::from_secs(forecast.devices as u64 * 60 / u64::from(rate.max(1)));
    let sizes: Vec<String> = forecast.waves.iter().map(ToString::to_string).collect();
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/campaigns" { "Campaigns" } }
        h1 { (title) }
        (proof::trouble(trouble))
        section aria-label="What would be done" {
            p id="count" { (counted(forecast.devices, "device")) " would be told to rotate, in " (counted(forecast.waves.len(), "wave")) "." }
            (left_out(&forecast.left_out))
            dl class="facts" {
                div { dt { "Waves" } dd { (sizes.join(", ")) } }
                div { dt { "At the earliest" } dd { "all were told after " (span(least)) } }
                @if let Some(slower) = forecast.slower {
                    div { dt { "Rate" } dd {
                        "at most " (slower) " a minute, not " (draft.pace.rate)
                        ": that is what the account's quotas leave all campaigns together"
                    } }
                }
                div { dt { "Name matches" } dd { @if draft.things.is_empty() { "–" } @else { code { (draft.things) } } } }
                div { dt { "Certificate's age" } dd { @match draft.older_than { Some(age) => { "at least " (span(age)) } None => { "–" } } } }
                div { dt { "Found by the rule" } dd { @if draft.rule.is_empty() { "–" } @else { (draft.rule) } } }
                div { dt { "In the group" } dd { @if draft.group.is_empty() { "–" } @else { (draft.group) } } }
                div { dt { "For" } dd { (draft.why) } }
            }
            p class="faint" { "Who fits is decided when it begins, by what the inventory knows then, and of a group the account." }
        }
        section aria-label="Order" {
            form method="post" action="/campaigns" class="order" {
                @for name in FIELDS { input type="hidden" name=(name) value=(form.first(name)); }
                input type="hidden" name="confirm" value="yes";
                (proof::token(view, Scope::Operator))
                button id="confirm" type="submit" { "Begin" }
                " " a href="/campaigns?new=1" { "Cancel" }
            }
        }
    };
    frame::page(view, code, &title, None, &content)
}

fn left_out(all: &[Omission]) -> Markup {
    html! {
        @if !all.is_empty() {
            p id="left-out" { "Left out, although the name or the group fits:" }
            ul { @for Omission { devices, why } in all { li { (counted(*devices, "device")) ": " (why) } } }
        }
    }
}
