//! `fleetkey revoke`: certificates ended at once, the connections that were open with them cut, and how long it took.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use fleetkey_aws::permit::Command;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_operator::control_plane::{ApiError, ControlPlane};
use fleetkey_operator::plan::{Cut, Ended, Ending, Outcome, Patience, PlanError};
use serde_json::{Value, json};

use super::{Desk, print_iam};
use crate::args::RevokeArgs;
use crate::output::{self, Audience};

/// Fails when a connection has not ended, or there was no such certificate.
pub(crate) async fn run(args: RevokeArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::Revoke], &args.account, |settings| settings).await;
    }
    let mut certificates = args.certificates.clone();
    certificates.extend(args.list.as_deref().map(listed).transpose()?.into_iter().flatten());
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let mut operator = desk.operator(false).await?;
    if let Some(thing) = &args.thing {
        let listed = Patience::ASKING.call(|_| {}, || desk.aws.thing_certificates(thing)).await;
        let listed = listed.with_context(|| format!("the certificates of {thing} cannot be listed"))?;
        certificates.extend(listed.into_iter().map(|found| found.id));
    }
    let ending = Ending {
        status: if args.inactive { CertificateStatus::Inactive } else { CertificateStatus::Revoked },
        why: args.why.clone(),
        cut: !args.keep_connections,
        patience: args.within,
    };
    let (mut stays, mut missing) = (0usize, 0usize);
    for certificate in &certificates {
        let ended = match operator.revoke(certificate, &ending).await {
            Err(error @ PlanError::Call { error: ApiError::NotFound(_), .. }) => {
                // It cannot connect any more. The others are to be ended all the same.
                output::warn(&error.to_string());
                missing += 1;
                continue;
            }
            ended => ended?,
        };
        stays += ended.connections.iter().filter(|cut| cut.outcome == Outcome::Stays).count();
        match desk.audience {
            Audience::Program => output::json(&fields(&ended)),
            Audience::Person => words(&ended).iter().for_each(|line| output::line(line)),
        }
    }
    let known = certificates.len() - missing;
    let told = match (known, stays) {
        (0, _) => "there is no certificate to end".to_owned(),
        (n, 0) => format!("{n} ended"),
        (n, stays) => {
            format!("{n} ended; {stays} connections are still open: the account cuts them within minutes")
        }
    };
    let fields = json!({ "certificates": known, "missing": missing, "still_open": stays });
    desk.conclude("revoked", &fields, &told);
    Ok(if stays + missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The certificates of a list, which is read whole before any is ended.
fn listed(path: &Path) -> Result<Vec<CertificateId>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let ids = lines.map(|(at, line)| {
        let id = line.trim().parse::<CertificateId>();
        id.with_context(|| format!("line {} of {}", at + 1, path.display()))
    });
    ids.collect()
}

pub(super) fn fields(ended: &Ended) -> Value {
    let cut = |cut: &Cut| {
        let (outcome, since) = outcome(cut.outcome);
        json!({ "client": cut.client, "outcome": outcome, "since": since, "seconds": cut.after.as_secs_f64() })
    };
    json!({
        "event": "certificate", "certificate": ended.certificate, "things": ended.things, "before": ended.before,
        "status": ended.status, "seconds": ended.changed_after.as_ref().map(Duration::as_secs_f64),
        "connections": ended.connections.iter().map(cut).collect::<Vec<_>>(),
    })
}

pub(super) fn words(ended: &Ended) -> Vec<String> {
    let of = ended.things.iter().map(|thing| format!(" of {thing}")).collect::<String>();
    let took = match ended.changed_after {
        Some(span) => format!("{} after {:.2} s", ended.status, span.as_secs_f64()),
        None => format!("{} already", ended.status),
    };
    let mut lines = vec![format!("certificate {}{of}: {took}", ended.certificate)];
    lines.extend(ended.connections.iter().map(|cut| {
        let did = match cut.outcome {
            Outcome::Gone => "cut".to_owned(),
            Outcome::Back(since) => format!(
                "cut, and connected again since {since}: with another certificate, or the end has not spread yet"
            ),
            Outcome::Stays => "is still open".to_owned(),
            Outcome::Untold => "cut, if it was open: the account does not tell".to_owned(),
        };
        format!("  client {}: {did}, after {:.2} s", cut.client, cut.after.as_secs_f64())
    }));
    lines
}

pub(super) fn outcome(outcome: Outcome) -> (&'static str, Option<u64>) {
    match outcome {
        Outcome::Gone => ("gone", None),
        Outcome::Back(since) => ("back", Some(since.as_millis())),
        Outcome::Stays => ("open", None),
        Outcome::Untold => ("untold", None),
    }
}
