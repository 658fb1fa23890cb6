//! The parts of a page that asks before something is done: why, and a token where the login is some time ago.

use maud::{Markup, html};

use super::View;
use crate::access::Scope;
use crate::http::WHY;

/// Why nobody can show who they are.
pub(crate) const NO_PROOF: &str = "Nobody is asked who they are here (SKIP_AUTH), and there is no token to show it by. Start \
                                   the program again with API_TOKEN in its environment, then enter that token here.";

/// What was wrong with the last attempt.
pub(super) fn trouble(words: Option<&str>) -> Markup {
    html! { @if let Some(words) = words { p class="alarm" role="alert" { (words) } } }
}

/// A field for the reason, with what was entered before.
pub(super) fn why(entered: &str) -> Markup {
    html! {
        label for="why" { "Why, for the journal" }
        input id="why" name="why" required maxlength=(WHY) value=(entered) autocomplete="off";
    }
}

/// A field for a token of `scope`, unless whoever looks has shown just now that they are themselves.
pub(super) fn token(view: &View<'_>, scope: Scope) -> Markup {
    html! {
        @if !view.actor.proven {
            label for="token" { "Token of an " (scope.word()) }
            input id="token" name="token" type="password" required autocomplete="current-password";
            p class="faint" { "Your login is some time ago. Enter a token again, or log out and in again." }
        }
    }
}
