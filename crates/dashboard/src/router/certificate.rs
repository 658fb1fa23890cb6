//! Orders about a certificate: a look at what they do first, then proof that an admin is there, then the order.

use fleetkey_model::name::ThingName;

use super::door::{limited, status};
use super::{App, Order};
use crate::access::{Actor, LoginError, Scope, Via};
use crate::fleet::{Certificate, Device, Fate};
use crate::http::{Answer, Form, Request};
use crate::pages::{self, Proof};

/// Why somebody is not believed to be themselves.
enum Doubt {
    /// Nothing was shown yet.
    Nothing,
    /// Nobody is asked who they are here, so nobody can show it.
    Open,
    /// What was shown is not good enough.
    Refused(LoginError),
}

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
        let asks = |status, proof, trouble: Option<&str>| {
            pages::confirm_fate(&view, status, &device, &certificate, fate, proof, trouble)
        };
        if form.first("confirm") != "yes" {
            let proof = if actor.proven { Proof::Given } else { Proof::Token };
            return asks(200, proof, None);
        }
        match self.shown_to_be(request, &form, actor) {
            Ok(by) => self.carry_out_fate(&device.row.thing, &certificate, fate, &by, &view).await,
            Err(Doubt::Nothing) => asks(403, Proof::Token, Some("Enter a token of an admin.")),
            Err(Doubt::Open) => asks(403, Proof::Token, Some(pages::NO_PROOF)),
            Err(Doubt::Refused(error)) => {
                tracing::warn!(%error, by = actor.name, "somebody could not show that they are an admin");
                limited(
                    asks(status(&error), Proof::Token, Some(&format!("Not carried out: {error}."))),
                    &error,
                )
            }
        }
    }

    /// The name for the journal of whoever has shown that they are themselves.
    fn shown_to_be(&self, request: &Request, form: &Form, actor: &Actor) -> Result<String, Doubt> {
        if actor.proven {
            return Ok(actor.name.clone());
        }
        match form.first("token") {
            "" if actor.via == Via::Open && self.desk.tokens().is_empty() => Err(Doubt::Open),
            "" => Err(Doubt::Nothing),
            token => {
                let proved = self.desk.prove(token, Scope::Admin, request.peer, self.now());
                proved.map(|token| format!("{}, {token}", actor.name)).map_err(Doubt::Refused)
            }
        }
    }

    async fn carry_out_fate(
        &self,
        thing: &ThingName,
        certificate: &Certificate,
        fate: Fate,
        by: &str,
        view: &pages::View<'_>,
    ) -> Answer {
        let order = Order::Certificate { thing: thing.clone(), certificate: certificate.id, fate };
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
