//! Who looks, with which rights; tokens by name; a link for another browser; logging out.

use maud::html;

use super::parts::button;
use super::words::moment;
use super::{View, frame};
use crate::access::{Token, Via};
use crate::http::Answer;

pub(crate) fn settings(view: &View<'_>, tokens: &[Token], link: Option<&str>) -> Answer {
    let content = html! {
        h1 { "Settings" }
        section aria-labelledby="you" {
            h2 id="you" { "You" }
            dl class="facts" {
                div { dt { "Known as" } dd { (view.actor.name) } }
                div { dt { "Scope" } dd { (view.actor.scope.word()) } }
            }
            @if view.actor.via == Via::Cookie { (button("/logout", "Log out", "logout")) }
        }
        section aria-labelledby="browsers" {
            h2 id="browsers" { "Another browser" }
            @if let Some(link) = link {
                p { "Open this link there, once and within ten minutes; it gives your rights:" }
                p { code class="long" id="link" { (link) } }
            } @else if frame::may_order(view) {
                p { "A link that opens this dashboard in another browser on this computer, once, with your rights." }
                (button("/settings/link", "Make a one-time link", "make-link"))
            }
        }
        section aria-labelledby="tokens" {
            h2 id="tokens" { "Tokens" }
            @if tokens.is_empty() {
                p class="empty" { "There are none. The environment variable API_TOKEN sets one for scripts; for a controller, fleetkey token create makes them." }
            } @else {
                table {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "Scope" } th scope="col" { "Ends" } } }
                    tbody {
                        @for token in tokens {
                            tr {
                                th scope="row" { (token.name()) }
                                td { (token.scope().word()) }
                                td { @match token.until() { Some(until) => { (moment(until, view.now)) } None => { "never" } } }
                            }
                        }
                    }
                }
            }
        }
        section aria-labelledby="site" {
            h2 id="site" { "Fleet" }
            dl class="facts" {
                div { dt { "Served by" } dd { (view.site.name) } }
                div { dt { "Endpoint" } dd { code { (view.site.endpoint) } } }
                div { dt { "Account" } dd { (view.site.account) } }
                div { dt { "Region" } dd { (view.site.region) } }
            }
        }
    };
    frame::page(view, 200, "Settings", None, &content)
}
