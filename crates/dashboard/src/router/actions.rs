//! Orders: read from a form, carried out by the fleet, answered with where to look next.

use super::{App, Order};
use crate::access::{Actor, Grant};
use crate::fleet::{Direction, Sorted};
use crate::http::{Answer, Request};
use crate::pages;

impl App {
    pub(super) async fn carry_out(&self, request: &Request, actor: &Actor) -> Answer {
        match request.parts()[..] {
            ["devices", "rotate"] => self.rotate_many(request, actor).await,
            ["devices", thing, "rotate"] => self.rotate_one(thing, request, actor).await,
            ["devices", thing, "certificates", id, verb] => {
                self.decide_certificate([thing, id, verb], request, actor).await
            }
            ["campaigns"] => self.begin_campaign(request, actor).await,
            ["campaigns", name, verb] => self.decide_campaign([name, verb], request, actor).await,
            ["setup"] => self.build(Direction::SetUp, request, actor).await,
            ["cleanup"] => self.build(Direction::CleanUp, request, actor).await,
            ["provisioning", "hook"] => self.test_hook(request, actor).await,
            ["try", ..] => self.order_bench(request, actor).await,
            ["api", ..] => self.order_demo(request, actor).await,
            ["settings", "link"] => self.another_link(request, actor),
            _ => self.nowhere(&self.view(actor, request)),
        }
    }

    async fn rotate_one(&self, thing: &str, request: &Request, actor: &Actor) -> Answer {
        let view = self.view(actor, request);
        let Some(device) = self.thing(thing) else {
            return self.nowhere(&view);
        };
        let thing = device.row.thing;
        match self.fleet.perform(Order::Rotate(vec![thing.clone()]), &actor.name).await {
            Ok(_) => Answer::see_other(&pages::rotation_path(&thing)),
            Err(refused) => pages::message(&view, 409, "Not carried out", &refused.to_string()),
        }
    }

    /// Without `confirm`, tells what would be done and asks.
    async fn rotate_many(&self, request: &Request, actor: &Actor) -> Answer {
        let (view, form) = (self.view(actor, request), request.form());
        let sorted = Sorted::of(&*self.fleet, form.all("thing"));
        if sorted.is_empty() {
            let words = "No device was selected. Select some in the table, then try again.";
            return pages::message(&view, 400, "Nothing to do", words);
        }
        if form.first("confirm") != "yes" {
            return pages::confirm_rotation(&view, &sorted);
        }
        if let Some(name) = sorted.unknown.first() {
            let words = format!("There is no device {name}. Nothing was sent to any of them.");
            return pages::message(&view, 409, "Not carried out", &words);
        }
        let left_out = pages::left_out(&sorted);
        if sorted.told.is_empty() {
            return pages::message(&view, 409, "Not carried out", &format!("Nobody was told. {left_out}"));
        }
        match self.fleet.perform(Order::Rotate(sorted.told), &actor.name).await {
            Ok(done) => pages::message(&view, 200, "Ordered", &format!("{} {left_out}", done.words)),
            Err(refused) => pages::message(&view, 409, "Not carried out", &refused.to_string()),
        }
    }

    /// A one-time link for another browser, with no more rights than who makes it.
    fn another_link(&self, request: &Request, actor: &Actor) -> Answer {
        let view = self.view(actor, request);
        let grant = Grant { scope: actor.scope, proves: false, bearer: actor.bearer };
        match self.desk.ticket(grant, self.now()) {
            Ok(ticket) => {
                let link = format!("{}/start/{}", self.origin, &*ticket);
                pages::settings(&view, &self.desk.tokens(), Some(&link))
            }
            Err(error) => pages::message(&view, 500, "No link", &error.to_string()),
        }
    }
}
