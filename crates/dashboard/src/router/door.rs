//! Coming in and going out: assets for everybody, the one-time link, the login page, who a request is from.

use super::App;
use crate::access::{Actor, LoginError};
use crate::http::{Answer, Method, Request};
use crate::{assets, pages};

impl App {
    /// What nobody needs to be known for.
    pub(super) fn public(&self, request: &Request) -> Option<Answer> {
        match (request.method, &request.parts()[..]) {
            (Method::Get, ["assets", name]) => Some(assets::named(name).map_or_else(
                || pages::plain(404, "there is no such file"),
                |asset| Answer::asset(asset.kind, asset.bytes.clone()),
            )),
            (Method::Get, ["start", ticket]) if !request.is_head => Some(self.start(ticket)),
            (Method::Get, ["login"]) => Some(Answer::page(200, pages::login(None))),
            // The second name is the demo's.
            (Method::Post, ["login" | "do_login"]) => Some(self.login(request)),
            _ => None,
        }
    }

    /// Who sent a request; the answer for nobody.
    pub(super) fn actor(&self, request: &Request) -> Result<Actor, Answer> {
        if let Some(token) = request.token() {
            return self
                .desk
                .by_token(token, request.peer, self.now())
                .map_err(|error| self.refuse_token(&error));
        }
        let session = request.cookie(&self.cookie());
        // The script says so of what it reads by itself. Whoever else does only has a shorter session. Of a stream it cannot: a
        // browser opens that by itself, again and again, and sends no header of a page's.
        let is_page = request.header("x-read") == Some("again") || request.parts()[..] == ["events"];
        let session = session.and_then(|cookie| match is_page {
            true => self.desk.by_page(cookie, self.now()).ok(),
            false => self.desk.by_cookie(cookie, self.now()).ok(),
        });
        session.or_else(|| self.desk.anybody()).ok_or_else(|| {
            let wants_page = request.header("accept").is_some_and(|kinds| kinds.contains("text/html"));
            if wants_page && request.method == Method::Get {
                Answer::see_other("/login")
            } else {
                pages::error_json(401, "log in first, or send a token")
            }
        })
    }

    /// A page of ours, from which the browser goes on: a cookie that is strict would not be sent on a redirection
    /// that another site's link began.
    fn start(&self, ticket: &str) -> Answer {
        match self.desk.redeem(ticket, self.now()) {
            Ok(Some(session)) => {
                Answer::page(200, pages::welcome()).with("set-cookie", self.set_cookie(&session))
            }
            Ok(None) => Answer::page(410, pages::login(Some(OVER))),
            Err(error) => pages::plain(500, &error.to_string()),
        }
    }

    fn login(&self, request: &Request) -> Answer {
        if let Err(stranger) = self.guard.same_origin(&request.headers) {
            return pages::plain(403, &stranger.to_string());
        }
        match self.desk.login(request.form().first("token"), request.peer, self.now()) {
            Ok(session) => Answer::see_other("/").with("set-cookie", self.set_cookie(&session)),
            Err(error) => {
                tracing::warn!(%error, "a login failed");
                limited(
                    Answer::page(status(&error), pages::login(Some(&format!("Not let in: {error}.")))),
                    &error,
                )
            }
        }
    }

    pub(super) fn logout(&self, request: &Request) -> Answer {
        if let Some(cookie) = request.cookie(&self.cookie()) {
            self.desk.logout(cookie);
        }
        let gone = format!("{}=; {}; Max-Age=0", self.cookie(), self.guard.place().attributes());
        Answer::see_other("/login").with("set-cookie", gone)
    }

    fn refuse_token(&self, error: &LoginError) -> Answer {
        tracing::warn!(%error, "a token was refused");
        limited(pages::error_json(status(error), &error.to_string()), error)
    }

    fn set_cookie(&self, session: &str) -> String {
        format!("{}={session}; {}", self.cookie(), self.guard.place().attributes())
    }
}

/// Why a link opens nothing. Which of the three it is, is not told apart.
const OVER: &str = "This link was used already, is too old, or never was one. Log in with a token; or start the program \
                    that serves this page again: it prints a new one.";

pub(super) const fn status(error: &LoginError) -> u16 {
    match error {
        LoginError::Unknown => 401,
        LoginError::Scope(..) => 403,
        LoginError::TooMany(_) => 429,
        LoginError::Broken(_) => 500,
    }
}

pub(super) fn limited(answer: Answer, error: &LoginError) -> Answer {
    match error {
        LoginError::TooMany(wait) => answer.with("retry-after", (wait.as_secs() + 1).to_string()),
        LoginError::Unknown | LoginError::Scope(..) | LoginError::Broken(_) => answer,
    }
}
