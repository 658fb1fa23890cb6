//! Set-up and clean-up: a look at what they would do first, then proof that an admin is there, then the order. And the hook,
//! asked about requests that nobody has made.

use aws_lc_rs::digest;
use base64ct::{Base64UrlUnpadded, Encoding};

use super::{App, Order};
use crate::access::{Actor, Scope};
use crate::fleet::{Direction, Known, Plan};
use crate::http::{Answer, Request};
use crate::pages::{self, Undertaking};

/// The plan that was shown is no longer what would be done.
const CHANGED: &str = "The plan has changed since it was shown. This is what would be done now.";

impl App {
    /// `POST /setup` and `POST /cleanup`.
    pub(super) async fn build(&self, direction: Direction, request: &Request, actor: &Actor) -> Answer {
        let view = self.view(actor, request);
        if request.form().first("look") == "anew" {
            self.fleet.plan_anew(direction);
            return Answer::see_other(pages::work_path(direction));
        }
        let refuse = |code, title, words: &str| pages::message(&view, code, title, words);
        let Some(fleet) = self.fleet.builds() else {
            return refuse(409, "Not from here", "This dashboard carries no plan out; the commands do.");
        };
        if actor.scope < Scope::Admin {
            let words = format!("This needs the scope admin; yours is {}.", actor.scope.word());
            return refuse(403, "Not allowed", &words);
        }
        let Known::Told(plan) = self.fleet.plan(direction) else {
            return refuse(409, "Not carried out", "The plan is not known yet: look at it first.");
        };
        if plan.changes() == 0 {
            return refuse(409, "Not carried out", "There is nothing to do.");
        }
        let (form, mark) = (request.form(), mark(&plan));
        let (why, typed) = (form.reason(), form.first("fleet").trim().to_owned());
        let ask = |code, trouble: Option<&str>| {
            let undertaking = Undertaking { direction, plan: &plan, mark: &mark, fleet: &fleet, why: &why };
            pages::confirm_work(&view, code, undertaking, trouble)
        };
        if form.first("confirm") != "yes" {
            return ask(200, None);
        }
        if form.first("plan") != mark {
            return ask(409, Some(CHANGED));
        }
        if why.is_empty() {
            return ask(400, Some("Say why: it goes into the journal."));
        }
        if direction == Direction::CleanUp && typed != fleet {
            return ask(400, Some(&format!("Type the name of the fleet, {fleet}: all of it goes.")));
        }
        match self.shown_to_be(Scope::Admin, request, &form, actor) {
            Ok(by) => {
                let order = Order::Build { direction, plan: plan.clone(), why: why.clone() };
                match self.fleet.perform(order, &by).await {
                    Ok(_) => Answer::see_other(pages::work_path(direction)),
                    Err(refused) => refuse(409, "Not carried out", &refused.to_string()),
                }
            }
            Err(doubt) => doubt.answer(actor, |code, words| ask(code, Some(words))),
        }
    }

    /// `POST /provisioning/hook`.
    pub(super) async fn test_hook(&self, request: &Request, actor: &Actor) -> Answer {
        match self.fleet.perform(Order::TestHook, &actor.name).await {
            Ok(_) => Answer::see_other("/provisioning"),
            Err(refused) => {
                pages::message(&self.view(actor, request), 409, "Not carried out", &refused.to_string())
            }
        }
    }
}

/// What tells one plan from another: whoever orders names the one that they have seen.
fn mark(plan: &Plan) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for step in &plan.steps {
        for part in [step.act.word(), &step.what, &step.words] {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
    }
    Base64UrlUnpadded::encode_string(hash.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Act, PlanStep};

    #[test]
    fn every_word_of_a_plan_counts() {
        let plan = |steps: &[(Act, &str, &str)]| {
            let step = |(act, what, words): &(Act, &str, &str)| PlanStep {
                act: *act,
                what: (*what).to_owned(),
                words: (*words).to_owned(),
            };
            mark(&Plan { steps: steps.iter().map(step).collect(), ..Plan::default() })
        };
        let one = plan(&[(Act::Create, "policy a", "")]);
        assert_eq!(one, plan(&[(Act::Create, "policy a", "")]));
        let others: [&[(Act, &str, &str)]; 5] = [
            &[],
            &[(Act::Delete, "policy a", "")],
            &[(Act::Create, "policy ", "a")],
            &[(Act::Create, "policy a", "body")],
            &[(Act::Create, "policy a", ""), (Act::Create, "policy a", "")],
        ];
        for other in others {
            assert_ne!(one, plan(other), "{other:?}");
        }
    }

    #[test]
    fn every_step_counts_whether_the_page_names_it_or_not() {
        let plan = |odd: usize| {
            let step = |number: usize| PlanStep {
                act: Act::Delete,
                what: format!("thing press-{}", if number == odd { 0 } else { number }),
                words: String::new(),
            };
            mark(&Plan { steps: (1..=5000).map(step).collect(), ..Plan::default() })
        };
        for odd in [1, 2500, 5000] {
            assert_ne!(plan(0), plan(odd), "{odd}");
        }
    }
}
