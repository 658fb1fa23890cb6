//! How devices come in: templates, who decides and whether they decide well, claims, the recovery window.

use maud::{Markup, html};

use super::parts::{badge, button, certificate, status};
use super::words::{date, moment, span};
use super::{View, frame};
use crate::fleet::{Claim, Fleet, HookTest, Known, Probe, Provisioning, Recovery, Template, Tone};
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
        @if fleet.tests_hook() {
            section id="hook" data-live aria-labelledby="hook-head" {
                h2 id="hook-head" { "Who decides, put to the test" }
                (hook(view, fleet.hook_test().as_ref()))
            }
        }
        section id="claims" data-live aria-labelledby="claims-head" {
            h2 id="claims-head" { "Claims" }
            (part(&|all| claims(view, &all.claims)))
        }
        p { a href="/setup" { "What set-up makes" } " · " a href="/cleanup" { "What clean-up removes" } }
    };
    frame::page(view, 200, "Provisioning", None, &content)
}

/// What is known, drawn; otherwise why it is not, in the words of whoever asked: what helps depends on who refused.
pub(super) fn known<T>(known: &Known<T>, command: &str, draw: &dyn Fn(&T) -> Markup) -> Markup {
    match known {
        Known::Told(told) => draw(told),
        Known::Elsewhere => frame::elsewhere(command),
        Known::Asked => being_asked(),
        Known::Refused(why) => html! {
            p class="notice" { (badge(Tone::Warn, "the account does not tell")) " " (why) }
            p { "On the command line: " code { (command) } }
        },
    }
}

/// In place of what only the account knows.
pub(super) fn being_asked() -> Markup {
    html! {
        p class="empty" { (badge(Tone::Busy, "the account is being asked")) " Without a script, load the page again in a moment." }
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

/// The hook's verdicts on requests that nobody has made, and a button that asks for them again.
fn hook(view: &View<'_>, test: Option<&HookTest>) -> Markup {
    html! {
        @match test {
            None => {
                p class="empty" { "Not asked since the dashboard started. It is asked about requests that nobody has made: some it must allow, some it must refuse. Nothing is provisioned." }
            }
            Some(test) => { (verdicts(view, test)) }
        }
        @if frame::may_order(view) { (button("/provisioning/hook", "Ask it now", "test-hook")) }
    }
}

fn verdicts(view: &View<'_>, test: &HookTest) -> Markup {
    let right = test.probes.iter().all(Probe::is_right);
    html! {
        p {
            @if test.probes.is_empty() { (badge(Tone::Warn, "nothing to ask")) " No template names anybody who decides. " }
            @else if right { (badge(Tone::Good, "as it is to be")) " " }
            @else { (badge(Tone::Bad, "not as it is to be")) " " }
            "Asked " (moment(test.at, view.now)) "."
        }
        @if !test.probes.is_empty() {
            div class="scroll" tabindex="0" role="region" aria-label="Table of verdicts" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Request" } th scope="col" { "Template" } th scope="col" { "Is to be" }
                            th scope="col" { "Verdict" } th scope="col" { "Took" }
                        }
                    }
                    tbody { @for probe in &test.probes { (verdict(probe)) } }
                }
            }
        }
    }
}

fn verdict(probe: &Probe) -> Markup {
    let word = |allowed: bool| if allowed { "allowed" } else { "refused" };
    html! {
        tr {
            th scope="row" class="text" { (probe.asked) }
            td { (probe.template) }
            td { (word(probe.expected)) }
            td class="text" {
                @match &probe.answer {
                    Ok(allowed) => { (badge(if probe.is_right() { Tone::Good } else { Tone::Bad }, word(*allowed))) }
                    Err(why) => { (badge(Tone::Bad, "no verdict")) " " (why) }
                }
            }
            td class="nowrap" { (span(probe.took)) }
        }
    }
}
