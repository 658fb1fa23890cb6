//! The subscription that a connection can do without: what becomes of things.
//!
//! It is asked for when the others are granted, by itself, so that a policy of before it refuses this one alone. Not here:
//! its filter ([`super::company`]).

use fleetkey_mqtt::ReasonCode;
use fleetkey_mqtt::session::Token;

use super::wire::UNANSWERED;

/// How it stands with it.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The request, which the session repeats whenever the broker has lost its session.
    request: Option<Token>,
    /// It is not answered.
    waiting: bool,
    /// How many connections in a row have ended while it was not.
    unanswered: u32,
    given_up: bool,
}

impl News {
    /// Whether it is to be asked for.
    pub(super) const fn is_wanted(&self) -> bool {
        self.request.is_none() && !self.given_up
    }

    /// It was asked for.
    pub(super) const fn ask(&mut self, request: Token) {
        (self.request, self.waiting) = (Some(request), true);
    }

    /// Whether an answer is to this request.
    pub(super) fn is(&self, request: Token) -> bool {
        self.request == Some(request)
    }

    /// The broker has answered; why there will be none, if so.
    pub(super) fn answer(&mut self, refused: Option<ReasonCode>) -> Option<String> {
        (self.waiting, self.unanswered) = (false, 0);
        refused.map(|reason| self.give_up(reason.to_string()))
    }

    /// The connection has ended. Whether the request is to be forgotten, because the broker may have ended it for that; and
    /// why there will be none, if it has done so too often. Networks end connections, too, now and then.
    pub(super) fn disconnect(&mut self) -> (bool, Option<String>) {
        if !std::mem::take(&mut self.waiting) {
            return (false, None);
        }
        self.request = None;
        self.unanswered += 1;
        let too_often = self.unanswered >= UNANSWERED;
        (true, too_often.then(|| self.give_up("the broker closes the connection on it".to_owned())))
    }

    fn give_up(&mut self, why: String) -> String {
        self.given_up = true;
        why
    }
}
