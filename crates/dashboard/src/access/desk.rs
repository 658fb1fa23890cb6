//! The desk at the door: everything of [`super`] together.

use std::time::Duration;

use fleetkey_model::time::Timestamp;
use zeroize::Zeroizing;

use super::limiter::Limiter;
use super::session::{SessionRefused, Sessions};
use super::ticket::Tickets;
use super::{Access, Actor, Hash, NoRandomness, Scope, Token, Via};

/// Decides who comes in.
pub(crate) struct Desk {
    tokens: Vec<Token>,
    open: bool,
    sessions: Sessions,
    tickets: Tickets,
    limiter: Limiter,
}

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    /// No token has this text.
    #[error("this token is not known")]
    Unknown,
    /// Too many failures; how long to wait.
    #[error("too many attempts; try again in {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    /// The system has no randomness.
    #[error(transparent)]
    Broken(#[from] NoRandomness),
}

impl Desk {
    pub(crate) fn new(access: Access) -> Result<Self, NoRandomness> {
        Ok(Self {
            sessions: Sessions::new(access.session_key.as_ref())?,
            tokens: access.tokens,
            open: access.open,
            tickets: Tickets::default(),
            limiter: Limiter::default(),
        })
    }

    /// Whether everybody is let in.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// The tokens, for the settings page.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The text of a new one-time link.
    pub(crate) fn ticket(&self, scope: Scope) -> Result<Zeroizing<String>, NoRandomness> {
        self.tickets.issue(scope)
    }

    /// Takes a one-time link in and opens a session. Not limited: nobody guesses 256 bits.
    pub(crate) fn redeem(&self, ticket: &str, now: Timestamp) -> Result<Option<String>, NoRandomness> {
        self.tickets.redeem(ticket).map(|scope| self.sessions.open(scope, now)).transpose()
    }

    /// Opens a session for a token.
    pub(crate) fn login(&self, token: &str, now: Timestamp) -> Result<String, LoginError> {
        let actor = self.by_token(token, now)?;
        Ok(self.sessions.open(actor.scope, now)?)
    }

    /// Who presents this token.
    pub(crate) fn by_token(&self, text: &str, now: Timestamp) -> Result<Actor, LoginError> {
        self.limiter.take(now).map_err(LoginError::TooMany)?;
        let presented = Hash::of(text);
        let token = self.tokens.iter().find(|token| token.is(&presented)).ok_or(LoginError::Unknown)?;
        self.limiter.give_back();
        Ok(Actor { name: format!("token {}", token.name()), scope: token.scope(), via: Via::Header })
    }

    /// Who has this cookie.
    pub(crate) fn by_cookie(&self, cookie: &str, now: Timestamp) -> Result<Actor, SessionRefused> {
        self.sessions.admit(cookie, now)
    }

    /// Everybody, where everybody is let in.
    pub(crate) fn anybody(&self) -> Option<Actor> {
        self.open.then(|| Actor { name: "anybody".to_owned(), scope: Scope::Admin, via: Via::Open })
    }

    /// Ends a session.
    pub(crate) fn logout(&self, cookie: &str) {
        self.sessions.end(cookie);
    }
}
