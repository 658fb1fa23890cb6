//! `fleetkey recovery approve` and `reject`.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use fleetkey_aws::permit::Command;
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_operator::control_plane::CertificateSummary;
use fleetkey_operator::plan::{Ending, Recovery};
use serde_json::json;

use super::super::{Desk, print_iam, revoke};
use crate::args::{ApproveArgs, RejectArgs};

/// Has the device rotate, and takes the mark away.
pub(super) async fn approve(args: ApproveArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::RecoveryApprove], &args.account, |settings| settings).await;
    }
    let thing = args.thing.context("which thing?")?;
    let why = args.why.unwrap_or_default();
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let mut operator = desk.operator(false).await?;
    let Some(recovery) = operator.recovery(&thing).await? else {
        desk.conclude("approved", &json!({ "certificate": null }), &nothing(&thing));
        return Ok(ExitCode::SUCCESS);
    };
    let id = recovery.certificate;
    if let Some(wanted) = args.certificate {
        ensure!(
            wanted == id,
            "what waits of {thing} is {id}: somebody has recovered as this thing since; nothing was approved"
        );
    }
    operator.approve(&recovery, &why).await?;
    let older = others(&recovery);
    let others = if older.is_empty() { "no others".to_owned() } else { older.join(", ") };
    let words = format!(
        "{id} is {thing}'s from now on. The device was told to rotate; when it has, a running fleetkey serve retires what is \
         older ({others}). If it is away, that comes with its next rotation: fleetkey campaign start --thing {thing}"
    );
    let fields = json!({ "thing": thing, "certificate": id, "others": older });
    desk.conclude("approved", &fields, &words);
    Ok(ExitCode::SUCCESS)
}

/// Ends what came of the recovery, then takes the mark away. Fails, and leaves the mark, when a connection has not ended.
pub(super) async fn reject(args: RejectArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::RecoveryReject], &args.account, |settings| settings).await;
    }
    let thing = args.thing.context("which thing?")?;
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let mut operator = desk.operator(false).await?;
    let Some(recovery) = operator.recovery(&thing).await? else {
        desk.conclude("rejected", &json!({ "certificate": null }), &nothing(&thing));
        return Ok(ExitCode::SUCCESS);
    };
    let goes =
        |found: &CertificateSummary| recovery.doubtful.contains(&found.id) && !args.keep.contains(&found.id);
    for found in &recovery.certificates {
        let (verb, id) = (if goes(found) { "revoke" } else { "keep" }, found.id);
        let recovered = if id == recovery.certificate { ", which recovered" } else { "" };
        let fields = json!({
            "action": verb, "certificate": id, "status": found.status, "registered": found.created_at.to_string(),
            "recovered": id == recovery.certificate,
        });
        let words = format!("{verb:>8}  {id} ({}, registered {}){recovered}", found.status, found.created_at);
        desk.tell("plan", &fields, &words);
    }
    if args.plan {
        return Ok(ExitCode::SUCCESS);
    }
    let why = args.why.unwrap_or_default();
    let ids: Vec<_> = recovery.certificates.iter().map(|found| found.id).collect();
    let seen = revoke::seen(&desk.data, &ids);
    let ending = Ending { status: CertificateStatus::Revoked, why, cut: true, patience: args.within, seen };
    let ended = operator.reject(&recovery, &args.keep, &ending).await?;
    for one in &ended {
        desk.tell("certificate", &revoke::fields(one), &revoke::words(one).join("\n"));
    }
    let left = recovery.certificates.iter().filter(|found| !goes(found));
    let left = left.filter(|found| found.status == CertificateStatus::Active).count();
    let words = match left {
        0 => format!(
            "{thing} has no certificate left that is ACTIVE: its device needs another recovery window"
        ),
        left => format!("rejected; {thing} keeps {left} certificates that are ACTIVE"),
    };
    let fields =
        json!({ "thing": thing, "certificate": recovery.certificate, "revoked": ended.len(), "left": left });
    desk.conclude("rejected", &fields, &words);
    Ok(ExitCode::SUCCESS)
}

fn nothing(thing: &impl std::fmt::Display) -> String {
    format!("nothing of {thing} waits for a decision")
}

/// The certificates that are not what recovered and not ended yet.
fn others(recovery: &Recovery) -> Vec<String> {
    let other = |found: &&CertificateSummary| {
        found.id != recovery.certificate && found.status != CertificateStatus::Revoked
    };
    recovery.certificates.iter().filter(other).map(|found| found.id.short()).collect()
}
