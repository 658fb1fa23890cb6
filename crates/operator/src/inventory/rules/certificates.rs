//! What is seen of a single certificate.

use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};

use super::{View, finding};
use crate::inventory::findings::{Finding, Rule};
use crate::inventory::state::current;
use crate::inventory::store::Certificate;

/// How long the use of a claim out of season is a finding: nobody may look over a long weekend.
const CLAIM_USE_TOLD: Duration = Duration::from_secs(7 * 86_400);

pub(in crate::inventory) fn look(
    view: &View<'_>,
    id: &CertificateId,
    row: &Certificate,
    found: &mut Vec<Finding>,
) {
    if let Some(role) = view.store.own().get(id) {
        found.extend(claim_out_of_season(view, id, row, role));
        return;
    }
    found.extend(connected_after_end(view, id, row));
    if row.may_connect() {
        found.extend(shared(id, row));
    }
    if row.status == Some(CertificateStatus::Active) {
        found.extend(orphan(view, id, row));
        found.extend(never_seen(view, id, row));
        found.extend(aged(view, id, row));
        found.extend(expiring(view, id, row));
    }
}

fn claim_out_of_season(
    view: &View<'_>,
    id: &CertificateId,
    row: &Certificate,
    role: &str,
) -> Option<Finding> {
    let at = row.connected_at?;
    let recent = view.now.since(at) < CLAIM_USE_TOLD;
    (role == "claim" && recent && !view.thresholds.claims_expected).then(|| {
        let saw = format!("the claim {} connected at {at}", id.short());
        finding(
            Rule::ClaimOutOfSeason,
            None,
            Some(id),
            saw,
            (
                "whoever holds the claim can provision new devices",
                "fleetkey rotate-claim, and look at what was provisioned since (fleetkey inventory)",
            ),
        )
    })
}

fn connected_after_end(view: &View<'_>, id: &CertificateId, row: &Certificate) -> Option<Finding> {
    let status = row.status.filter(|status| *status != CertificateStatus::Active)?;
    let open = row.open.iter().min_by_key(|open| open.since)?;
    let ended = row.status_since.max(open.since);
    (view.now.since(ended) >= view.thresholds.cut_within).then(|| {
        let saw =
            format!("{} is {status} since {} and connected as {}", id.short(), row.status_since, open.client);
        finding(
            Rule::ConnectedAfterEnd,
            row.thing.as_ref(),
            Some(id),
            saw,
            (
                "a connection that was open when its certificate ended goes on until something ends it",
                "aws iot-data delete-connection --client-id …, and look whether it comes back",
            ),
        )
    })
}

fn shared(id: &CertificateId, row: &Certificate) -> Option<Finding> {
    if !row.is_shared() {
        return None;
    }
    let names: Vec<_> = row.holders.keys().cloned().collect();
    let saw = format!("{} has connected as {}", id.short(), names.join(" and as "));
    Some(finding(
        Rule::Shared,
        row.thing.as_ref(),
        Some(id),
        saw,
        (
            "one key on two devices: a copied disk image, or a theft; none of them can be revoked alone",
            "give every device a key of its own: provision them again, then revoke this certificate",
        ),
    ))
}

fn orphan(view: &View<'_>, id: &CertificateId, row: &Certificate) -> Option<Finding> {
    let created = row.created_at?;
    let asked = view.store.ages().attachments.is_some_and(|at| at > created);
    let idle = view.now.since(created) >= view.thresholds.idle_after;
    (row.thing.is_none() && asked && idle).then(|| {
        let saw = format!("{} is ACTIVE since {created} and on no thing", id.short());
        finding(
            Rule::Orphan,
            None,
            Some(id),
            saw,
            (
                "a valid identity that belongs to nobody, and that no rotation will ever retire",
                "if nobody knows it: aws iot update-certificate --new-status INACTIVE, wait, delete",
            ),
        )
    })
}

fn never_seen(view: &View<'_>, id: &CertificateId, row: &Certificate) -> Option<Finding> {
    let (created, thing) = (row.created_at?, row.thing.as_ref()?);
    let ages = view.store.ages();
    let watched = ages.listened_since?.max(created);
    (row.seen_at.is_none() && ages.listened_after(created) >= view.thresholds.idle_after).then(|| {
        let saw = format!("{} is ACTIVE since {created} and was not seen since {watched}", id.short());
        finding(Rule::NeverSeen, Some(thing), Some(id), saw, (
            "a device that is away, a rotation that was given up, or a certificate that somebody keeps for later",
            "if the thing has another certificate in use, the controller's sweep retires this one; if not, look for the device",
        ))
    })
}

fn aged(view: &View<'_>, id: &CertificateId, row: &Certificate) -> Option<Finding> {
    let (created, thing) = (row.created_at?, row.thing.as_ref()?);
    let age = view.now.since(created);
    // First what costs nothing: most are young.
    if age < view.thresholds.aged_after {
        return None;
    }
    let is_its = view
        .store
        .thing(thing)
        .is_some_and(|thing| thing.newest == Some(*id) || current(view.store, thing) == Some(*id));
    is_its.then(|| {
        let saw = format!("{} is {} days old", id.short(), age.as_secs() / 86_400);
        finding(Rule::Aged, Some(thing), Some(id), saw, (
            "certificates of AWS end in 2049: a rotation by expiry never comes, so age is what tells that none does",
            "look at the device's agent (fleetkey-agent status): it says what it waits for",
        ))
    })
}

fn expiring(view: &View<'_>, id: &CertificateId, row: &Certificate) -> Option<Finding> {
    let end = row.not_after?;
    (end.since(view.now) <= view.thresholds.expiring_within).then(|| {
        let saw = format!("{} ends at {end}", id.short());
        finding(
            Rule::Expiring,
            row.thing.as_ref(),
            Some(id),
            saw,
            (
                "after its end the device can connect no more, and then it cannot rotate either",
                "have it rotate now, while it still can",
            ),
        )
    })
}
