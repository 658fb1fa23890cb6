//! Small pages: login, the step into a new session, messages, refusals.

use maud::{DOCTYPE, Markup, html};

use super::{View, frame};
use crate::http::Answer;

/// The login page, with what went wrong before.
pub(crate) fn login(trouble: Option<&str>) -> Markup {
    let content = html! {
        h1 { "fleetkey" }
        @if let Some(words) = trouble { p class="alarm" role="alert" { (words) } }
        form method="post" action="/login" {
            label for="token" { "API token" }
            input id="token" name="token" type="password" required autocomplete="current-password";
            button type="submit" { "Log in" }
        }
        p class="faint" { "The program that serves this page printed a link that opens it once, without a token." }
    };
    frame::bare("Log in", false, &content)
}

/// After a one-time link: the browser goes on by itself.
pub(crate) fn welcome() -> Markup {
    let content = html! {
        h1 { "fleetkey" }
        p { "This browser is let in. " a href="/" { "Open the dashboard" } }
    };
    frame::bare("Welcome", true, &content)
}

/// What came of something, in the frame.
pub(crate) fn message(view: &View<'_>, status: u16, title: &str, words: &str) -> Answer {
    let content = html! {
        h1 { (title) }
        p class="notice" role="status" { (words) }
        p { a href="/" { "Overview" } " · " a href="/devices" { "Devices" } }
    };
    frame::page(view, status, title, None, &content)
}

/// A refusal of whoever asked under a name that is not ours: what the page would be drawn with is refused under it, too.
pub(crate) fn stranger(words: &str) -> Answer {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { title { "Refused · fleetkey" } }
            body { main { h1 { "fleetkey" } p { (words) } } }
        }
    };
    Answer::page(403, page)
}

/// A refusal before anybody is known.
pub(crate) fn plain(status: u16, words: &str) -> Answer {
    let content = html! { h1 { "fleetkey" } p class="notice" { (words) } };
    Answer::page(status, frame::bare("Refused", false, &content))
}
