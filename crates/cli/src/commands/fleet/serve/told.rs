//! What the controller tells, for those who follow `/api/v1/events`.

use std::sync::Arc;

use fleetkey_api::feed::Feed;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::PresenceKind;
use fleetkey_operator::controller::{Change, Event, Observer, Report};
use serde_json::json;

/// Puts it into the feed.
pub(super) struct Told(pub(super) Arc<Feed>);

impl Observer for Told {
    fn heard(&self, now: Timestamp, event: &Event) {
        match event {
            Event::Presence { kind, client, event } => {
                let kind = match kind {
                    PresenceKind::Connected => "connected",
                    PresenceKind::Disconnected => "disconnected",
                    PresenceKind::ConnectFailed => "connect-failed",
                };
                let (certificate, at) = (event.principal_identifier, event.timestamp);
                self.0.push(kind, json!({ "at": at, "client": client, "certificate": certificate }));
            }
            Event::Registry { thing, change } => {
                self.0.push("registry", json!({ "at": now, "thing": thing, "change": change.as_str() }));
            }
            Event::Release(thing) => self.0.push("released", json!({ "at": now, "thing": thing })),
            _ => {}
        }
    }

    fn told(&self, now: Timestamp, report: &Report) {
        let (kind, thing, certificate, more) = match report {
            Report::Witnessed { thing, certificate } => ("attested", thing, Some(certificate), None),
            Report::Changed { thing, certificate, change }
            | Report::LeftoverChanged { thing, certificate, change } => {
                (step(*change), thing, Some(certificate), None)
            }
            Report::Leftover { thing, certificate } => ("leftover", thing, Some(certificate), None),
            Report::Contested { thing, certificate } => ("contested", thing, Some(certificate), None),
            Report::Unheard { thing, since } => {
                ("held", thing, None, Some(format!("connected since {since}, by whom is unknown")))
            }
            Report::Frozen { thing, reason } => ("frozen", thing, None, Some(reason.to_string())),
            Report::Failing { thing, error } => ("failing", thing, None, Some(error.to_string())),
            Report::Ignored { thing, principal, why, .. } => {
                ("ignored", thing, Some(principal), Some(format!("{why:?}")))
            }
        };
        self.0.push(kind, json!({ "at": now, "thing": thing, "certificate": certificate, "why": more }));
    }
}

const fn step(change: Change) -> &'static str {
    match change {
        Change::Deactivate => "deactivated",
        Change::Revoke => "revoked",
        Change::Delete => "deleted",
    }
}
