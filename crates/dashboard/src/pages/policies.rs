//! Policies as they are written, and "why was I denied?".

use fleetkey_model::name::{ClientId, ThingName};
use maud::{Markup, html};

use super::parts::{badge, certificate};
use super::policy::policy_path;
use super::provisioning::{being_asked, known};
use super::words::counted;
use super::{View, device_path, frame};
use crate::fleet::{Action, Decided, Fleet, Policy, Question, Spread, Statement, Tone, Verdict};
use crate::http::{Answer, Request};

/// The longest topic (AWS IoT quotas).
const TOPIC: usize = 256;

pub(crate) fn policies(view: &View<'_>, fleet: &dyn Fleet, request: &Request) -> Answer {
    let asked = !request.query("thing").is_empty();
    let answer = asked.then(|| question(request).and_then(|question| decide(fleet, &question)));
    let content = html! {
        h1 { "Policies" }
        section aria-labelledby="ask" {
            h2 id="ask" { "Why was it denied?" }
            (form(request))
            div id="verdict" data-live {
                @match &answer {
                    None => {}
                    Some(Err(words)) => { p class="alarm" { (words) } }
                    Some(Ok((_, None))) => { (being_asked()) }
                    Some(Ok((question, Some(verdict)))) => { (shown(question, verdict)) }
                }
            }
        }
        section id="policies" data-live aria-labelledby="all" {
            h2 id="all" { "All policies" }
            (known(&fleet.policies(), "fleetkey status", &|all: &Vec<Policy>| documents(all)))
        }
    };
    let status = if matches!(answer, Some(Err(_))) { 400 } else { 200 };
    frame::page(view, status, "Policies", None, &content)
}

fn question(request: &Request) -> Result<Question, String> {
    let thing = ThingName::new(request.query("thing")).map_err(|error| error.to_string())?;
    let client = match request.query("client") {
        "" => ClientId::live(&thing),
        text => ClientId::new(text).map_err(|error| error.to_string())?,
    };
    let action = Action::named(request.query("action")).ok_or("Choose an action.")?;
    let topic = request.query("topic").to_owned();
    if action != Action::Connect && topic.is_empty() {
        return Err("Name the topic or the filter.".to_owned());
    }
    if topic.len() > TOPIC {
        return Err(format!("A topic has at most {TOPIC} bytes."));
    }
    Ok(Question { thing, client, action, topic })
}

fn documents(all: &[Policy]) -> Markup {
    html! {
        @if all.is_empty() { p class="empty" { "There are none yet." } }
        @for policy in all { (document("policy", policy, false)) }
    }
}

fn decide(fleet: &dyn Fleet, question: &Question) -> Result<(Question, Option<Verdict>), String> {
    let verdict = fleet.decide(question).map_err(|refused| refused.to_string())?;
    Ok((question.clone(), verdict))
}

fn form(request: &Request) -> Markup {
    let chosen = Action::named(request.query("action")).unwrap_or(Action::Publish);
    html! {
        form method="get" action="/policies" class="search" {
            span class="field" {
                label for="thing" { "Device" }
                input id="thing" name="thing" required value=(request.query("thing")) maxlength="128" autocomplete="off";
            }
            span class="field" {
                label for="client" { "Client id" }
                input id="client" name="client" value=(request.query("client")) maxlength="128" autocomplete="off" placeholder="as the device";
            }
            span class="field" {
                label for="action" { "Action" }
                select id="action" name="action" {
                    @for action in Action::ALL { option value=(action.name()) selected[action == chosen] { (action.name()) } }
                }
            }
            span class="field" {
                label for="topic" { "Topic or filter" }
                input id="topic" name="topic" value=(request.query("topic")) maxlength=(TOPIC) autocomplete="off";
            }
            button type="submit" { "Ask" }
        }
    }
}

fn shown(question: &Question, verdict: &Verdict) -> Markup {
    html! {
        div class="notice" {
            p { (outcome(verdict.decided)) " " (because(verdict)) }
            dl class="facts" {
                div { dt { "Asked" } dd { (question.action.name()) " on " code class="long" { (verdict.resource) } } }
                div { dt { "By" } dd { a href=(device_path(&question.thing)) { (question.thing) } " as client " code { (question.client) } ", certificate " (certificate(Some(&verdict.certificate))) } }
                @if !verdict.missing.is_empty() {
                    div { dt { "Without a value" } dd { (verdict.missing.join(", ")) ": a statement that uses one of these matches nothing." } }
                }
            }
        }
        (cited(&verdict.by))
        @if !verdict.near.is_empty() {
            h3 { "Closest" }
            p { "These allow the action, and did not match: look at the resource, the conditions and the variables." }
            (cited(&verdict.near))
        }
        h3 { (counted(verdict.asked.len(), "document")) " looked at" }
        @if verdict.asked.is_empty() { p class="empty" { "No policy is attached to the certificate, so nothing is allowed." } }
        @for policy in &verdict.asked { (document("asked", policy, verdict.by.iter().any(|statement| statement.policy == policy.name))) }
    }
}

fn outcome(decided: Decided) -> Markup {
    match decided {
        Decided::Allowed => badge(Tone::Good, "allowed"),
        Decided::ExplicitDeny => badge(Tone::Bad, "denied explicitly"),
        Decided::ImplicitDeny => badge(Tone::Bad, "denied implicitly"),
    }
}

fn because(verdict: &Verdict) -> String {
    let by = verdict.by.iter().map(named).collect::<Vec<_>>().join(" and ");
    match verdict.decided {
        Decided::Allowed => format!("Allowed by {by}; no statement denies it."),
        Decided::ExplicitDeny => format!("Denied by {by}; that wins over every Allow."),
        Decided::ImplicitDeny => "No statement allows it: what is not allowed is denied.".to_owned(),
    }
}

fn named(statement: &Statement) -> String {
    match &statement.sid {
        Some(sid) => format!("statement {} ({sid}) of {}", statement.number, statement.policy),
        None => format!("statement {} of {}", statement.number, statement.policy),
    }
}

fn cited(statements: &[Statement]) -> Markup {
    html! {
        @for statement in statements {
            figure {
                figcaption { (named(statement)) }
                pre tabindex="0" { code { (statement.text) } }
            }
        }
    }
}

/// One of a list, whose name is part of its id: a page may have two lists with the same policy.
fn document(list: &str, policy: &Policy, decided: bool) -> Markup {
    html! {
        details id={ (list) "-" (policy.name) } open[decided] {
            summary {
                strong { (policy.name) } " "
                @if decided { (badge(Tone::Busy, "decided")) " " }
                @if let Some(Spread { versions, targets }) = policy.spread {
                    span class="faint" { (counted(versions, "version")) @if let Some(targets) = targets { ", attached to " (targets) } }
                }
            }
            @if policy.spread.is_some() { p { a href=(policy_path(&policy.name)) { "Versions of " (policy.name) } } }
            pre tabindex="0" { code { (policy.text) } }
        }
    }
}
