//! How devices come in: templates and who decides, claims, the recovery window; what set-up makes and clean-up removes.

use maud::{Markup, html};

use super::parts::{badge, certificate, status};
use super::words::{counted, date, moment};
use super::{View, frame};
use crate::fleet::{
    Act, Claim, Direction, Fleet, Known, Plan, PlanStep, Provisioning, Recovery, Template, Tone,
};
use crate::http::Answer;

pub(crate) fn provisioning(view: &View<'_>, fleet: &dyn Fleet) -> Answer {
    let all = fleet.provisioning();
    let part = |draw: &dyn Fn(&Provisioning) -> Markup| known(&all, "fleetkey status", draw);
    let content = html! {
        h1 { "Provisioning" }
        section id="recovery" data-live aria-labelledby="recovery-head" {
            h2 id="recovery-head" { "Recovery window" }
            (part(&|all| recovery(view, all.recovery.as_ref())))
        }
        section id="templates" data-live aria-labelledby="templates-head" {
            h2 id="templates-head" { "Templates" }
            (part(&|all| templates(view, &all.templates)))
        }
        section id="claims" data-live aria-labelledby="claims-head" {
            h2 id="claims-head" { "Claims" }
            (part(&|all| claims(view, &all.claims)))
        }
        p { a href="/setup" { "What set-up makes" } " · " a href="/cleanup" { "What clean-up removes" } }
    };
    frame::page(view, 200, "Provisioning", None, &content)
}

/// What would be done, and by which command. Nothing is done from here.
pub(crate) fn plan(view: &View<'_>, fleet: &dyn Fleet, direction: Direction) -> Answer {
    let (title, command) = match direction {
        Direction::SetUp => ("What set-up makes", "fleetkey setup --plan"),
        Direction::CleanUp => ("What clean-up removes", "fleetkey cleanup --plan"),
    };
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/provisioning" { "Provisioning" } }
        h1 { (title) }
        section id="plan" data-live aria-label="Plan" { (known(&fleet.plan(direction), command, &steps)) }
    };
    frame::page(view, 200, title, None, &content)
}

/// What is known, drawn; otherwise why it is not.
fn known<T>(known: &Known<T>, command: &str, draw: &dyn Fn(&T) -> Markup) -> Markup {
    match known {
        Known::Told(told) => draw(told),
        Known::Elsewhere => frame::elsewhere(command),
        Known::Asked => html! {
            p class="empty" { (badge(Tone::Busy, "the account is being asked")) " Without a script, load the page again in a moment." }
        },
        Known::Refused(why) => html! {
            p class="notice" { (badge(Tone::Warn, "the account does not tell")) " " (why) }
            p { "It takes what " code { "fleetkey status --print-iam" } " prints. On the command line: " code { (command) } }
        },
    }
}

fn recovery(view: &View<'_>, recovery: Option<&Recovery>) -> Markup {
    html! {
        @match recovery {
            None => { p class="empty" { "Nobody here knows." } }
            Some(Recovery::Closed) => {
                p { (badge(Tone::Good, "closed")) " No thing that exists can be provisioned again, whoever has a claim." }
            }
            Some(Recovery::Open { whom, until }) => {
                p class="notice" {
                    (badge(Tone::Warn, "open")) " for " (whom)
                    @if let Some(until) = until { ", closes " (moment(*until, view.now)) }
                    ". Whoever has a claim and one of these serials gets an identity of that thing."
                }
            }
        }
    }
}

fn templates(view: &View<'_>, templates: &[Template]) -> Markup {
    html! {
        @if templates.is_empty() {
            p class="empty" { "There are none yet." }
        } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Table of templates" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Name" } th scope="col" { "For" } th scope="col" { "State" }
                            th scope="col" { "Who decides" } th scope="col" { "Version" } th scope="col" { "Changed" }
                        }
                    }
                    tbody {
                        @for template in templates {
                            tr {
                                th scope="row" { (template.name) }
                                td { (template.purpose) }
                                td { @if template.enabled { (badge(Tone::Good, "enabled")) } @else { (badge(Tone::Quiet, "disabled")) } }
                                td class="text" { @match &template.hook { Some(hook) => { (hook) } None => { (badge(Tone::Warn, "nobody")) } } }
                                td { @match template.version { Some(version) => { (version) } None => { "–" } } }
                                td { @match template.modified { Some(at) => { (moment(at, view.now)) } None => { "–" } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn claims(view: &View<'_>, claims: &[Claim]) -> Markup {
    html! {
        @if claims.is_empty() {
            p class="empty" { "There is none: no new device can come in." }
        } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Table of claims" {
                table {
                    thead {
                        tr {
                            th scope="col" { "SHA-256" } th scope="col" { "Status" } th scope="col" { "Registered" }
                            th scope="col" { "Ends" } th scope="col" { "May" }
                        }
                    }
                    tbody {
                        @for claim in claims {
                            tr {
                                th scope="row" { (certificate(Some(&claim.certificate))) }
                                td { (status(claim.status)) }
                                td { (moment(claim.created, view.now)) }
                                td class="nowrap" { (date(claim.not_after)) }
                                td class="text" { (claim.may) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn steps(plan: &Plan) -> Markup {
    let count = |act| plan.steps.iter().filter(|step| step.act == act).count();
    html! {
        @if plan.steps.is_empty() {
            p class="empty" { "There is nothing to do." }
        } @else {
            p {
                @for act in [Act::Create, Act::Change, Act::Keep, Act::Delete] {
                    @if count(act) > 0 { (counted(count(act), "step")) " " (act.word()) ". " }
                }
            }
            div class="scroll" tabindex="0" role="region" aria-label="Table of steps" {
                table {
                    thead { tr { th scope="col" { "What becomes of it" } th scope="col" { "Resource" } th scope="col" { "Note" } } }
                    tbody { @for step in &plan.steps { (one(step)) } }
                }
            }
        }
        @if !plan.note.is_empty() { p { (plan.note) } }
        @if !plan.command.is_empty() { p { "Nothing is done from this page; this does it: " code class="long" { (plan.command) } } }
    }
}

fn one(step: &PlanStep) -> Markup {
    let tone = match step.act {
        Act::Create | Act::Change => Tone::Busy,
        Act::Keep => Tone::Good,
        Act::Delete => Tone::Bad,
    };
    html! {
        tr {
            td { (badge(tone, step.act.word())) }
            th scope="row" class="text" { (step.what) }
            td class="text" { (step.words) }
        }
    }
}
