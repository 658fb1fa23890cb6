//! Campaigns: read, begun after a look at what they come to, paused, resumed, ended and rolled back after proof.

use super::{App, Order};
use crate::access::{Actor, Scope};
use crate::fleet::{Campaign, CampaignOrder, Refused, WayBack};
use crate::http::{Answer, Request};
use crate::pages::{self, Asked, Verb};

impl App {
    /// `GET /campaigns`, with `new` the form that begins one.
    pub(super) fn read_campaigns(&self, request: &Request, actor: &Actor) -> Answer {
        let view = self.view(actor, request);
        if request.query("new").is_empty() || self.fleet.campaigns().is_none() {
            return pages::campaigns(&view, &*self.fleet);
        }
        pages::new_campaign(&view, 200, &self.fleet.rules(), &request.asked(), None)
    }

    /// `GET /campaigns/NAME`.
    pub(super) fn read_campaign(&self, name: &str, request: &Request, actor: &Actor) -> Answer {
        let view = self.view(actor, request);
        match self.campaign(name) {
            Some(campaign) => pages::campaign(&view, &campaign),
            None => self.nowhere(&view),
        }
    }

    /// `POST /campaigns`: without `confirm`, tells what it would come to and asks.
    pub(super) async fn begin_campaign(&self, request: &Request, actor: &Actor) -> Answer {
        let (view, form) = (self.view(actor, request), request.form());
        let again = |words: &str| pages::new_campaign(&view, 400, &self.fleet.rules(), &form, Some(words));
        let draft = match pages::campaign_draft(&form) {
            Ok(draft) => draft,
            Err(words) => return again(&words),
        };
        let forecast = match self.fleet.foresee(&draft).await {
            Ok(forecast) => forecast,
            Err(refused) => return again(&refused.to_string()),
        };
        let ask = |code, trouble: Option<&str>| {
            pages::confirm_new_campaign(&view, code, &form, (&draft, &forecast), trouble)
        };
        if form.first("confirm") != "yes" {
            return ask(200, None);
        }
        match self.shown_to_be(Scope::Operator, request, &form, actor) {
            Ok(by) => {
                let place = pages::campaign_path(&draft.name);
                let order = CampaignOrder::Start(Box::new(draft.clone()));
                self.order_campaign(order, &place, &by, request, actor).await
            }
            Err(doubt) => doubt.answer(actor, |code, words| ask(code, Some(words))),
        }
    }

    /// `POST /campaigns/NAME/VERB`.
    pub(super) async fn decide_campaign(
        &self,
        [name, verb]: [&str; 2],
        request: &Request,
        actor: &Actor,
    ) -> Answer {
        let (view, form) = (self.view(actor, request), request.form());
        let (Some(campaign), Some(verb)) = (self.campaign(name), Verb::named(verb)) else {
            return self.nowhere(&view);
        };
        if !verb.fits(&campaign.mode) {
            let words = format!("It is {}: that cannot be done now.", campaign.mode.word());
            return pages::message(&view, 409, "Not carried out", &words);
        }
        if actor.scope < verb.scope() {
            let words = format!("This needs the scope admin; yours is {}.", actor.scope.word());
            return pages::message(&view, 403, "Not allowed", &words);
        }
        let way_back = match self.way_back(verb, name).await {
            Ok(found) => found,
            Err(Refused(words)) => return pages::message(&view, 409, "Not carried out", &words),
        };
        let (why, asked) = (form.reason(), Asked { campaign: &campaign, verb, way_back });
        let ask = |code, trouble: Option<&str>| pages::confirm_campaign(&view, code, asked, &why, trouble);
        if form.first("confirm") != "yes" {
            return ask(200, None);
        }
        if why.is_empty() {
            return ask(400, Some("Say why: it goes into the journal."));
        }
        match self.shown_to_be(verb.scope(), request, &form, actor) {
            Ok(by) => {
                let (order, place) = (order(verb, name, &why), pages::campaign_path(name));
                self.order_campaign(order, &place, &by, request, actor).await
            }
            Err(doubt) => doubt.answer(actor, |code, words| ask(code, Some(words))),
        }
    }

    /// What a rollback would come to; of another order there is nothing to count.
    async fn way_back(&self, verb: Verb, name: &str) -> Result<Option<WayBack>, Refused> {
        if verb != Verb::Rollback {
            return Ok(None);
        }
        let found = self.fleet.way_back(name).await?;
        match found.is_open() {
            true => Ok(Some(found)),
            false => Err(Refused("Nothing of it can be undone any more: nobody was told, or every certificate before is REVOKED or gone.".to_owned())),
        }
    }

    async fn order_campaign(
        &self,
        order: CampaignOrder,
        place: &str,
        by: &str,
        request: &Request,
        actor: &Actor,
    ) -> Answer {
        match self.fleet.perform(Order::Campaign(order), by).await {
            Ok(_) => Answer::see_other(place),
            Err(refused) => {
                let view = self.view(actor, request);
                pages::message(&view, 409, "Not carried out", &refused.to_string())
            }
        }
    }

    fn campaign(&self, name: &str) -> Option<Campaign> {
        self.fleet.campaigns()?.into_iter().find(|campaign| campaign.name == name)
    }
}

fn order(verb: Verb, name: &str, why: &str) -> CampaignOrder {
    let (name, why) = (name.to_owned(), why.to_owned());
    match verb {
        Verb::Pause => CampaignOrder::Pause { name, why },
        Verb::Resume => CampaignOrder::Resume { name, why },
        Verb::Abort => CampaignOrder::Abort { name, why },
        Verb::Rollback => CampaignOrder::Rollback { name, why },
    }
}
