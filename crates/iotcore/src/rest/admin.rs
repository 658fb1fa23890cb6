//! What is ours and not AWS's, under `/_fleetkey/`: reset, coverage, management events.

use std::future::Future;
use std::pin::Pin;

use hyper::Method;
use serde_json::{Value, json};

use super::dispatch::Api;
use super::refusal::Refusal;
use super::reply::Reply;
use super::text;

/// What every path of ours begins with; no operation of AWS's does.
pub(super) const PREFIX: &str = "/_fleetkey/";
/// How many management events are given unless asked for another number, and at most.
const EVENTS: usize = 1000;
const MAX_EVENTS: usize = 10_000;

/// A part of the account that `POST /_fleetkey/reset` empties, besides registry, sessions and retained messages.
pub(crate) trait Reset: Send + Sync {
    /// Empties it; the reason if that fails.
    fn reset(&self) -> Resetting<'_>;
}

/// The end of a reset, some time.
pub(crate) type Resetting<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

impl Api {
    /// What is ours, but for the events, which need a signature ([`Api::events`]). `None`: not ours.
    pub(super) async fn own(&self, method: &Method, path: &str) -> Option<Result<Reply, Refusal>> {
        let name = path.strip_prefix(PREFIX)?;
        Some(match (method, name) {
            (&Method::GET, "coverage") => Ok(Reply::json(&self.coverage.report(&self.routes))),
            (&Method::POST, "reset") if self.allow_reset => self.reset().await,
            (&Method::POST, "reset") => {
                Err(Refusal::new(403, "AccessDeniedException", "reset is off: start with --allow-reset"))
            }
            (_, "events") => return None,
            _ => {
                let message = format!("{method} {path}: there are coverage, events (GET) and reset (POST)");
                Err(Refusal::new(404, "UnknownOperationException", message))
            }
        })
    }

    /// The last management events, `?count=` of them.
    pub(super) async fn events(&self, query: &str) -> Result<Reply, Refusal> {
        let pairs = text::query_pairs(query).unwrap_or_default();
        let count = match pairs.iter().find(|(name, _)| name == "count") {
            None => EVENTS,
            Some((_, text)) => text
                .parse()
                .map_err(|_| Refusal::constraint(Some(text), "count", "Member must be a number of events"))?,
        };
        let trail = self.trail.clone();
        let read = tokio::task::spawn_blocking(move || trail.last(count.min(MAX_EVENTS))).await;
        match read {
            Ok(Ok(events)) => Ok(Reply::json(&json!({"Records": Value::Array(events)}))),
            Ok(Err(error)) => {
                tracing::error!(%error, "the management events cannot be read");
                Err(Refusal::internal())
            }
            Err(_) => Err(Refusal::internal()),
        }
    }

    /// Empties the account: what is registered first, so that nobody comes back or sends a will; then who is
    /// connected, their sessions, retained messages, and what others have registered.
    async fn reset(&self) -> Result<Reply, Refusal> {
        let services = &self.services;
        if let Err(error) = services.account.store().clear().await {
            tracing::error!(%error, "the registry cannot be emptied");
            return Err(Refusal::internal());
        }
        services.broker.empty();
        services.keys.drop_temporary();
        for part in services.resets.iter() {
            part.reset().await.map_err(|error| {
                tracing::error!(error, "a part of the account cannot be emptied");
                Refusal::internal()
            })?;
        }
        Ok(Reply::empty())
    }
}
