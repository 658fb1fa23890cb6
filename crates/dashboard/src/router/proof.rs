//! Proof that whoever orders is still who has logged in: for what cuts devices off, and what concerns many of them.

use super::App;
use super::door::{limited, status};
use crate::access::{Actor, LoginError, Scope, Via};
use crate::http::{Answer, Form, Request};
use crate::pages::NO_PROOF;

/// Why somebody is not believed to be themselves.
pub(super) enum Doubt {
    /// Nothing was shown yet.
    Nothing(Scope),
    /// Nobody is asked who they are here, so nobody can show it.
    Open,
    /// What was shown is not good enough.
    Refused(LoginError),
}

impl App {
    /// The name for the journal of whoever has shown that they are themselves, and may do what needs `scope`.
    pub(super) fn shown_to_be(
        &self,
        scope: Scope,
        request: &Request,
        form: &Form,
        actor: &Actor,
    ) -> Result<String, Doubt> {
        if actor.proven {
            return Ok(actor.name.clone());
        }
        match form.first("token") {
            "" if actor.via == Via::Open && self.desk.tokens().is_empty() => Err(Doubt::Open),
            "" => Err(Doubt::Nothing(scope)),
            token => {
                let proved = self.desk.prove(token, scope, request.peer, self.now());
                proved.map(|token| format!("{}, {token}", actor.name)).map_err(Doubt::Refused)
            }
        }
    }
}

impl Doubt {
    /// Has the question asked again, with its status and what was wrong.
    pub(super) fn answer(self, by: &Actor, ask: impl FnOnce(u16, &str) -> Answer) -> Answer {
        match self {
            Self::Nothing(scope) => ask(403, &format!("Enter a token of an {}.", scope.word())),
            Self::Open => ask(403, NO_PROOF),
            Self::Refused(error) => {
                tracing::warn!(%error, by = by.name, "somebody could not show who they are");
                limited(ask(status(&error), &format!("Not carried out: {error}.")), &error)
            }
        }
    }
}
