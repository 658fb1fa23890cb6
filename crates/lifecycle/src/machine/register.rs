//! RegisterThing: asked for with the token, found out by a probe when an answer may have been lost.

use alloc::format;
use alloc::string::{String, ToString};

use fleetkey_model::name::ThingName;
use fleetkey_model::provisioning::Rejection;
use fleetkey_model::time::Timestamp;

use super::candidate::describe;
use super::verify::{PERSISTENT, Purpose};
use super::{Awaiting, Machine, Step};
use crate::action::Action;
use crate::event::Event;
use crate::record::{Authority, Phase};
use crate::slot::SlotId;
use crate::status::Notice;

/// How the registering phase goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Approach {
    /// Ask with the token.
    Ask,
    /// It may have been carried out: connect with the candidate before asking again.
    ProbeFirst,
    /// The token is of no use any more: connect with the candidate, else begin again with the same key.
    ProbeThenRenew,
    /// The answer was no, for this reason, to a first identity: connect with the candidate, and ask again, before
    /// giving it up. Only where the claim is heard and the candidate refused, again and again, is it the candidate's
    /// fault; and what was wrong with the request may be mended meanwhile.
    ProbeThenGiveUp(String),
}

impl Machine {
    pub(super) fn advance_registration(
        &mut self,
        slot: SlotId,
        authority: Authority,
        token_until: Timestamp,
    ) -> Option<Step> {
        if let Some(step) = self.try_another() {
            return Some(step);
        }
        if self.register == Approach::Ask && self.token_is_stale(token_until) {
            self.register = Approach::ProbeThenRenew;
        }
        match &self.register {
            Approach::Ask if self.can_ask(authority) => {
                Some((Action::RegisterThing { slot, authority }, Awaiting::Register))
            }
            Approach::Ask => None,
            Approach::ProbeFirst | Approach::ProbeThenRenew | Approach::ProbeThenGiveUp(_) => {
                let thing = self.config.thing();
                Some((Action::Verify { slot, thing }, Awaiting::Verify(Purpose::Probe)))
            }
        }
    }

    fn may_renew(&self) -> bool {
        !self.maybe_registered || self.durable.current.is_some() || self.has_tried_long_enough(self.verdict)
    }

    /// A token is stale after its worth, and also when the clock says that it was issued in the future.
    fn token_is_stale(&self, token_until: Timestamp) -> bool {
        token_until <= self.now || token_until > self.now + self.config.token_worth + self.config.token_worth
    }

    pub(super) fn on_register(&mut self, outcome: Event) {
        match outcome {
            Event::Registered { thing, .. } => self.on_registered(thing.as_ref()),
            Event::Rejected(rejection) => self.on_register_rejected(&rejection),
            Event::NoAnswer { why } => {
                self.register = Approach::ProbeFirst;
                self.maybe_registered = true;
                self.wait_for_answer(format!("registration unanswered: {why}"));
            }
            _ => {}
        }
    }

    fn on_registered(&mut self, thing: Option<&ThingName>) {
        let ours = self.config.thing();
        match thing {
            Some(thing) if *thing != ours => {
                self.abandon(format!("the template registered {thing}, not {ours}"));
            }
            _ => self.begin_verifying(),
        }
    }

    fn begin_verifying(&mut self) {
        let Some(rotation) = &self.durable.rotation else {
            return;
        };
        let Phase::Registering { certificate, .. } = rotation.phase else {
            return;
        };
        self.set_phase(Phase::Verifying { certificate, since: self.now }, None);
    }

    fn on_register_rejected(&mut self, rejection: &Rejection) {
        if self.is_passing(rejection) {
            if rejection.status_code >= 500 {
                // A server in trouble may have carried it out all the same.
                self.register = Approach::ProbeFirst;
                self.maybe_registered = true;
            }
            return self.wait_passing(rejection);
        }
        // After an unanswered request a no may only mean that the request was carried out, as when a claim
        // template refuses an existing thing: giving up would destroy the key of what was registered.
        let spent = rejection.error_code.contains("OwnershipToken");
        if self.maybe_registered || spent {
            // Whatever was answered before, a token is spent by a registration too.
            self.maybe_registered = true;
            self.register = Approach::ProbeThenRenew;
            return self.wait_step(describe(rejection));
        }
        if self.durable.current.is_none() {
            // The request may have been delivered twice, and this be the answer to the second: "exists already".
            return self.doubt_the_refusal(describe(rejection));
        }
        self.abandon(describe(rejection));
    }

    fn doubt_the_refusal(&mut self, why: String) {
        if self.verdict.refusals() == 0 {
            let id = self.durable.rotation.as_ref().map(|rotation| rotation.id.clone()).unwrap_or_default();
            self.notices.push_back(Notice::RegistrationRefused { id, why: why.clone() });
        }
        self.register = Approach::ProbeThenGiveUp(why);
    }

    /// The probe was refused: either it was not registered, or the registration is not effective yet. With a
    /// token that still counts, asking again settles both; without one, only time tells them apart: a verdict's
    /// where an identity serves on, a day where this may be the only certificate that the claim ever gives.
    pub(super) fn on_probe_refused(&mut self) {
        self.look_for_others();
        match self.register.clone() {
            Approach::Ask | Approach::ProbeFirst => self.register = Approach::Ask,
            Approach::ProbeThenGiveUp(why) => {
                if self.is_refused_for_good() {
                    return self.abandon(why);
                }
                self.register = Approach::Ask;
                self.wait_step(why);
            }
            Approach::ProbeThenRenew if self.is_refused_for_good() && self.may_renew() => {
                self.set_phase(Phase::Requested, None);
            }
            Approach::ProbeThenRenew => {
                self.wait_step("the token is spent and the certificate is not accepted yet".to_string());
            }
        }
    }

    /// Counts one more probe that was refused; whether they are enough to believe. Of a first identity they must be
    /// many as well: a clock may leap over the time that its registration takes to become effective.
    fn is_refused_for_good(&mut self) -> bool {
        let is_final = self.verdict.is_final(self.now, self.config.verdict);
        is_final && (self.durable.current.is_some() || self.verdict.refusals() >= PERSISTENT)
    }
}
