//! Orders about a certificate: a look at what they do first, then proof that an admin is there, then the order.

use fleetkey_model::name::ThingName;

use super::{App, Order};
use crate::access::{Actor, Scope};
use crate::fleet::{Certificate, Device, Fate};
use crate::http::{Answer, Request};
use crate::pages::{self, Attempt};

impl App {
    /// `POST /devices/THING/certificates/ID/VERB`.
    pub(super) async fn decide_certificate(
        &self,
        [thing, id, verb]: [&str; 3],
        request: &Request,
        actor: &Actor,
    ) -> Answer {
        let view = self.view(actor, request);
        let Some((device, certificate, fate)) = self.meant(thing, id, verb) else {
            return self.nowhere(&view);
        };
        if !view.decides {
            let words =
                "This dashboard does not decide of certificates. On the command line: fleetkey revoke";
            return pages::message(&view, 409, "Not from here", words);
        }
        if actor.scope < Scope::Admin {
            let words = format!("This needs the scope admin; yours is {}.", actor.scope.word());
            return pages::message(&view, 403, "Not allowed", &words);
        }
        if !fate.fits(certificate.status) {
            let words = format!("It is {}: there is nothing to {}.", certificate.status, fate.verb());
            return pages::message(&view, 409, "Not carried out", &words);
        }
        let form = request.form();
        let why = form.reason();
        let asks = |status, trouble: Option<&str>| {
            let attempt = Attempt { why: &why, trouble };
            pages::confirm_fate(&view, status, &device, &certificate, fate, attempt)
        };
        if form.first("confirm") != "yes" {
            return asks(200, None);
        }
        if why.is_empty() {
            return asks(400, Some("Say why: it goes into the journal."));
        }
        let order = Order::Certificate {
            thing: device.row.thing.clone(),
            certificate: certificate.id,
            fate,
            why: why.clone(),
        };
        match self.shown_to_be(Scope::Admin, request, &form, actor) {
            Ok(by) => self.carry_out_fate(&device.row.thing, order, &by, &view).await,
            Err(doubt) => doubt.answer(actor, |status, words| asks(status, Some(words))),
        }
    }

    async fn carry_out_fate(
        &self,
        thing: &ThingName,
        order: Order,
        by: &str,
        view: &pages::View<'_>,
    ) -> Answer {
        match self.fleet.perform(order, by).await {
            Ok(_) => Answer::see_other(&pages::device_path(thing)),
            Err(refused) => pages::message(view, 409, "Not carried out", &refused.to_string()),
        }
    }

    fn meant(&self, thing: &str, id: &str, verb: &str) -> Option<(Device, Certificate, Fate)> {
        let (device, fate) = (self.thing(thing)?, Fate::named(verb)?);
        let certificate = device.certificates.iter().find(|certificate| certificate.id.to_string() == id)?;
        let certificate = certificate.clone();
        Some((device, certificate, fate))
    }
}
