//! What set-up makes and clean-up removes: as a plan, as a run that is followed, and the look before it is ordered.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};

use super::parts::{badge, button};
use super::provisioning::known;
use super::words::{counted, moment};
use super::{View, frame, proof};
use crate::access::Scope;
use crate::fleet::{Act, Direction, Fleet, Known, Plan, PlanStep, Taken, Tone, Work};
use crate::http::Answer;

/// Of a plan with more steps, so many of the first and of the last are shown: things come first, what they need last.
const FIRST: usize = 150;
const LAST: usize = 100;

/// What somebody is about to order.
#[derive(Clone, Copy)]
pub(crate) struct Undertaking<'a> {
    pub(crate) direction: Direction,
    pub(crate) plan: &'a Plan,
    /// What tells this plan from another.
    pub(crate) mark: &'a str,
    /// The fleet's name.
    pub(crate) fleet: &'a str,
    /// What was entered with the last attempt.
    pub(crate) why: &'a str,
}

/// Where a direction's page is.
pub(crate) const fn work_path(direction: Direction) -> &'static str {
    match direction {
        Direction::SetUp => "/setup",
        Direction::CleanUp => "/cleanup",
    }
}

/// What would be done, what is being done, and what came of it.
pub(crate) fn plan(view: &View<'_>, fleet: &dyn Fleet, direction: Direction) -> Answer {
    let (title, command) = match direction {
        Direction::SetUp => ("What set-up makes", "fleetkey setup --plan"),
        Direction::CleanUp => ("What clean-up removes", "fleetkey cleanup --plan"),
    };
    let (plan, work) = (fleet.plan(direction), fleet.work());
    let under_way = work.as_ref().is_some_and(|work| work.end.is_none());
    let may = fleet.builds().is_some() && view.actor.scope >= Scope::Admin && !under_way;
    let offered = may && matches!(&plan, Known::Told(plan) if plan.changes() > 0);
    let is_removal = direction == Direction::CleanUp && matches!(plan, Known::Told(_));
    let kept = is_removal && fleet.keeps_plans() && !under_way && frame::may_order(view);
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/provisioning" { "Provisioning" } }
        h1 { (title) }
        section id="work" data-live aria-label="Last run" { @if let Some(work) = &work { (run(view, work)) } }
        section id="plan" data-live aria-label="Plan" {
            (known(&plan, command, &|plan: &Arc<Plan>| steps(plan, fleet.builds().is_some())))
            @if offered { (button(work_path(direction), "Carry it out …", "carry-out")) }
            @if kept { (anew(direction)) }
        }
    };
    frame::page(view, 200, title, None, &content)
}

/// The account is asked again, by whoever has changed something there.
fn anew(direction: Direction) -> Markup {
    html! {
        form method="post" action=(work_path(direction)) {
            input type="hidden" name="look" value="anew";
            button id="look-anew" type="submit" { "Look again" }
        }
    }
}

fn run(view: &View<'_>, work: &Work) -> Markup {
    let word = work.direction.word();
    html! {
        p {
            @match work.end.as_ref().map(|end| &end.outcome) {
                None => { (badge(Tone::Busy, "under way")) }
                Some(Ok(_)) => { (badge(Tone::Good, "done")) }
                Some(Err(_)) => { (badge(Tone::Bad, "not finished")) }
            }
            " The " (word) " that " (work.by) " began " (moment(work.begun, view.now)) ": "
            (counted(work.done, "step")) @if work.steps >= work.done { " of " (work.steps) } "."
        }
        @match &work.end {
            None => {
                @if work.steps >= work.done && work.steps > 0 {
                    p { progress id="steps" max=(work.steps) value=(work.done) aria-label="Steps that are done" {} }
                }
                @if let Some(at) = &work.at { p { "Now: " (at) } }
            }
            Some(end) => {
                @match &end.outcome {
                    Ok(words) => { p class="notice" { (words) } }
                    Err(words) => {
                        p class="alarm" { (words) }
                        p { "What was done stays done. The plan tells what is left; carried out again, it goes on from there." }
                    }
                }
                p class="faint" { "It ended " (moment(end.at, view.now)) ". Every change is in the " a href="/journal" { "journal" } "." }
            }
        }
        @if !work.last.is_empty() {
            ul class="findings" { @for taken in &work.last { li { (step(taken)) } } }
        }
    }
}

fn step(taken: &Taken) -> Markup {
    html! { (badge(tone(taken.act), taken.act.word())) " " (taken.what) }
}

fn steps(plan: &Plan, builds: bool) -> Markup {
    let mut counts = BTreeMap::<Act, usize>::new();
    plan.steps.iter().for_each(|step| *counts.entry(step.act).or_default() += 1);
    let (first, more, last) = ends(&plan.steps);
    html! {
        @if plan.steps.is_empty() {
            p class="empty" { "There is nothing to do." }
        } @else {
            p {
                @for (act, count) in counts { (counted(count, "step")) " " (act.word()) ". " }
            }
            div class="scroll" tabindex="0" role="region" aria-label="Table of steps" {
                table {
                    thead { tr { th scope="col" { "What becomes of it" } th scope="col" { "Resource" } th scope="col" { "Note" } } }
                    tbody {
                        @for step in first { (one(step)) }
                        @if more > 0 { tr { td {} th scope="row" class="text" { (counted(more, "more step")) } td class="text" { "not shown one by one" } } }
                        @for step in last { (one(step)) }
                    }
                }
            }
        }
        @if !plan.note.is_empty() { p { (plan.note) } }
        @if !plan.command.is_empty() {
            p {
                @if builds { "On the command line: " } @else { "Nothing is done from this page; this does it: " }
                code class="long" { (plan.command) }
            }
        }
    }
}

/// Those that are shown, and how many there are between them.
fn ends(steps: &[PlanStep]) -> (&[PlanStep], usize, &[PlanStep]) {
    let more = steps.len().saturating_sub(FIRST + LAST);
    match (more, steps.split_at_checked(FIRST)) {
        (0, _) | (_, None) => (steps, 0, &[]),
        (_, Some((first, rest))) => (first, more, rest.get(more..).unwrap_or_default()),
    }
}

fn one(step: &PlanStep) -> Markup {
    html! {
        tr {
            td { (badge(tone(step.act), step.act.word())) }
            th scope="row" class="text" { (step.what) }
            td class="text" { (step.words) }
        }
    }
}

const fn tone(act: Act) -> Tone {
    match act {
        Act::Create | Act::Change => Tone::Busy,
        Act::Keep => Tone::Good,
        Act::Delete => Tone::Bad,
    }
}

/// The page before the order.
pub(crate) fn confirm_work(
    view: &View<'_>,
    code: u16,
    undertaking: Undertaking<'_>,
    trouble: Option<&str>,
) -> Answer {
    let Undertaking { direction, plan, mark, fleet, why } = undertaking;
    let (title, button, consequence) = match direction {
        Direction::SetUp => (
            format!("Set the fleet {fleet} up?"),
            "Set up",
            "What is missing is made and what differs is changed. A run that is cut short is completed by the next.",
        ),
        Direction::CleanUp => (
            format!("Remove the fleet {fleet}?"),
            "Clean up",
            "All of it goes for good: its devices, their certificates, and what set-up has made. No device of it can connect any more.",
        ),
    };
    let back = work_path(direction);
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/provisioning" { "Provisioning" } " / " a href=(back) { "Plan" } }
        h1 { (title) }
        (proof::trouble(trouble))
        section aria-label="What would be done" {
            p { @if direction == Direction::CleanUp { (badge(Tone::Bad, "for good")) " " } (consequence) }
            (steps(plan, true))
        }
        section aria-label="Order" {
            form method="post" action=(back) class="order" {
                input type="hidden" name="confirm" value="yes";
                input type="hidden" name="plan" value=(mark);
                (proof::why(why))
                @if direction == Direction::CleanUp {
                    label for="fleet" { "The fleet's name, " (fleet) ", to show that you mean it" }
                    input id="fleet" name="fleet" required autocomplete="off";
                }
                (proof::token(view, Scope::Admin))
                button id="confirm" type="submit" { (button) }
                " " a href=(back) { "Cancel" }
            }
        }
    };
    frame::page(view, code, &title, None, &content)
}
