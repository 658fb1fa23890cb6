//! What the controller tells, in a person's words, with the tone it deserves.

use fleetkey_dashboard::fleet::Tone;
use fleetkey_model::name::ThingName;
use fleetkey_operator::controller::{Change, Ignored, Report};

/// Which thing a report is about.
pub(super) const fn thing(report: &Report) -> &ThingName {
    match report {
        Report::Ignored { thing, .. }
        | Report::Witnessed { thing, .. }
        | Report::Changed { thing, .. }
        | Report::Leftover { thing, .. }
        | Report::LeftoverChanged { thing, .. }
        | Report::Contested { thing, .. }
        | Report::Unheard { thing, .. }
        | Report::Frozen { thing, .. }
        | Report::Failing { thing, .. } => thing,
    }
}

/// What happened; `true` if it is news for the whole fleet.
pub(super) fn incident(report: &Report) -> (Tone, String, bool) {
    match report {
        Report::Witnessed { certificate, .. } => {
            (Tone::Good, format!("the broker saw {} in use", certificate.short()), true)
        }
        Report::Changed { certificate, change, .. } => {
            let (tone, did, news) = changed(*change);
            (tone, format!("{} {did}", certificate.short()), news)
        }
        Report::Leftover { certificate, .. } => (
            Tone::Warn,
            format!("{} is left over from a rotation that was given up", certificate.short()),
            true,
        ),
        Report::LeftoverChanged { certificate, change, .. } => {
            let (tone, did, _) = changed(*change);
            (tone, format!("the leftover {} {did}", certificate.short()), false)
        }
        Report::Contested { certificate, .. } => (
            Tone::Bad,
            format!("{} was in use and gave way: rolled back, or tried by somebody", certificate.short()),
            true,
        ),
        Report::Unheard { since, .. } => (
            Tone::Warn,
            format!("somebody is connected since {since}, by which certificate is not known: held"),
            true,
        ),
        Report::Frozen { reason, .. } => (Tone::Bad, format!("frozen: {reason}"), true),
        Report::Failing { error, .. } => (Tone::Warn, format!("the account refuses: {error}"), true),
        Report::Ignored { principal, why, .. } => (
            Tone::Warn,
            format!("a request with {} counts for nothing: {}", principal.short(), ignored(*why)),
            false,
        ),
    }
}

const fn changed(change: Change) -> (Tone, &'static str, bool) {
    match change {
        Change::Deactivate => (Tone::Good, "can no longer connect", true),
        Change::Revoke => (Tone::Quiet, "is revoked for good", false),
        Change::Delete => (Tone::Quiet, "is deleted", false),
    }
}

const fn ignored(why: Ignored) -> &'static str {
    match why {
        Ignored::OtherClient => "its client id is not the thing's",
        Ignored::OtherTopic => "it names another thing than its topic",
        Ignored::NotAttached => "its certificate is not the thing's",
        Ignored::NotActive => "its certificate is not ACTIVE",
        Ignored::Superseded => "its certificate is older than the one in use",
    }
}
