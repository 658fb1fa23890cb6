//! The desk at the door: everything of [`super`] together.

use std::net::IpAddr;
use std::time::Duration;

use fleetkey_model::time::Timestamp;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::limiter::Limiter;
use super::session::{SessionRefused, Sessions};
use super::ticket::{Grant, Tickets};
use super::{Access, Actor, Bearer, Hash, NoRandomness, Roster, Scope, Token, Via};

/// Decides who comes in.
pub(crate) struct Desk {
    tokens: Vec<Token>,
    roster: Option<Roster>,
    open: bool,
    sessions: Sessions,
    tickets: Tickets,
    limiter: Limiter,
}

/// What somebody was let in by, to be looked at again while they read on.
pub(crate) enum Pass {
    /// The session of a browser.
    Cookie(Zeroizing<String>),
    /// A token.
    Token(Hash),
    /// Nothing: everybody is let in.
    Open,
}

impl Pass {
    pub(crate) fn cookie(value: &str) -> Self {
        Self::Cookie(Zeroizing::new(value.to_owned()))
    }

    pub(crate) fn token(text: &str) -> Self {
        Self::Token(Hash::of(text))
    }
}

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    /// No token has this text, or not any more.
    #[error("this token is not known")]
    Unknown,
    /// The token allows too little.
    #[error("this token has the scope {}; what was asked for needs {}", .0.word(), .1.word())]
    Scope(Scope, Scope),
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
            roster: access.roster,
            open: access.open,
            tickets: Tickets::default(),
            limiter: Limiter::default(),
        })
    }

    /// Whether everybody is let in.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// All tokens.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        let kept = self.roster.as_ref().map(Roster::tokens);
        self.tokens.iter().cloned().chain(kept.into_iter().flatten()).collect()
    }

    /// The text of a new one-time link.
    pub(crate) fn ticket(&self, grant: Grant, now: Timestamp) -> Result<Zeroizing<String>, NoRandomness> {
        self.tickets.issue(grant, now)
    }

    /// Takes a one-time link in and opens a session. Not limited: nobody guesses 256 bits.
    pub(crate) fn redeem(&self, ticket: &str, now: Timestamp) -> Result<Option<String>, NoRandomness> {
        self.tickets.redeem(ticket, now).map(|grant| self.sessions.open(grant, now)).transpose()
    }

    /// Opens a session for a token, with which it ends.
    pub(crate) fn login(&self, token: &str, peer: IpAddr, now: Timestamp) -> Result<String, LoginError> {
        let Actor { scope, bearer, .. } = self.by_token(token, peer, now)?;
        Ok(self.sessions.open(Grant { scope, proves: true, bearer }, now)?)
    }

    /// Takes a token as proof that whoever has a session is still the one who may do what needs `scope`; its name.
    pub(crate) fn prove(
        &self,
        token: &str,
        scope: Scope,
        peer: IpAddr,
        now: Timestamp,
    ) -> Result<String, LoginError> {
        let actor = self.by_token(token, peer, now)?;
        if actor.scope < scope {
            return Err(LoginError::Scope(actor.scope, scope));
        }
        Ok(actor.name)
    }

    /// Who presents this token.
    pub(crate) fn by_token(&self, text: &str, peer: IpAddr, now: Timestamp) -> Result<Actor, LoginError> {
        self.limiter.take(peer, now).map_err(LoginError::TooMany)?;
        let token = self.token(&Hash::of(text), now).ok_or(LoginError::Unknown)?;
        self.limiter.give_back(peer);
        let name = format!("token {}", token.name());
        let bearer = Some(self.sessions.bearer(&token.hash));
        Ok(Actor { name, bearer, scope: token.scope(), via: Via::Header, proven: true })
    }

    /// Who has this cookie.
    pub(crate) fn by_cookie(&self, cookie: &str, now: Timestamp) -> Result<Actor, SessionRefused> {
        self.vouched(self.sessions.admit(cookie, now)?, now)
    }

    /// The same, asked by a page that is open and not by a person.
    pub(crate) fn by_page(&self, cookie: &str, now: Timestamp) -> Result<Actor, SessionRefused> {
        self.vouched(self.sessions.admit_page(cookie, now)?, now)
    }

    /// Whether a pass still lets in. This is no use of it: a page that is only open is no sign of anybody.
    pub(crate) fn holds(&self, pass: &Pass, now: Timestamp) -> bool {
        match pass {
            Pass::Cookie(cookie) => match self.sessions.opened_by(cookie, now) {
                Ok(bearer) => bearer.is_none_or(|bearer| self.bears(bearer, now).is_some()),
                Err(_) => false,
            },
            Pass::Token(hash) => self.token(hash, now).is_some(),
            Pass::Open => self.open,
        }
    }

    /// Changes whenever a session was ended.
    pub(crate) fn endings(&self) -> watch::Receiver<u64> {
        self.sessions.endings()
    }

    /// Everybody, where everybody is let in.
    pub(crate) fn anybody(&self) -> Option<Actor> {
        let name = || "anybody".to_owned();
        self.open.then(|| Actor {
            name: name(),
            bearer: None,
            scope: Scope::Admin,
            via: Via::Open,
            proven: false,
        })
    }

    /// Ends a session.
    pub(crate) fn logout(&self, cookie: &str) {
        self.sessions.end(cookie);
    }

    /// The token with this hash, unless it has ended.
    fn token(&self, presented: &Hash, now: Timestamp) -> Option<Token> {
        self.tokens().into_iter().find(|token| token.is(presented)).filter(|token| token.is_good(now))
    }

    /// The token that a session was opened with, unless it has ended or was taken back.
    fn bears(&self, bearer: Bearer, now: Timestamp) -> Option<Token> {
        let mut good = self.tokens().into_iter().filter(|token| token.is_good(now));
        good.find(|token| self.sessions.bearer(&token.hash) == bearer)
    }

    /// A session that was opened with a token lasts as long as the token, and bears its name.
    fn vouched(&self, actor: Actor, now: Timestamp) -> Result<Actor, SessionRefused> {
        let Some(bearer) = actor.bearer else {
            return Ok(actor);
        };
        let token = self.bears(bearer, now).ok_or(SessionRefused::Over)?;
        let name = format!("{}, token {}", actor.name, token.name());
        Ok(Actor { name, ..actor })
    }
}
