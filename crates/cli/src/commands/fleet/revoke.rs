//! `fleetkey revoke`: certificates ended at once, the connections that were open with them cut, and how long it took.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use fleetkey_aws::Aws;
use fleetkey_aws::permit::Command;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_operator::control_plane::{ApiError, ControlPlane};
use fleetkey_operator::inventory::Snapshot;
use fleetkey_operator::plan::{
    Cut, Ended, Ending, Event, Operator, Outcome, Patience, PlanError, Progress, Seen,
};
use serde_json::{Value, json};

use super::{Desk, print_iam};
use crate::args::RevokeArgs;
use crate::datadir::DataDir;
use crate::output::{self, Audience};

/// Fails when a connection has not ended, there was no such certificate, or one could not be ended.
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
        seen: if args.keep_connections { Seen::new() } else { seen(&desk.data, &certificates) },
    };
    let tally = end_all(&desk, &mut operator, &certificates, &ending).await?;
    desk.conclude("revoked", &tally.fields(), &tally.words());
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Who is, or was, connected with them, as the inventory knows that a controller has left; nobody where there is none.
pub(super) fn seen(data: &DataDir, certificates: &[CertificateId]) -> Seen {
    Snapshot::at(&data.operator()).clients_of(certificates).unwrap_or_else(|error| {
        tracing::warn!(%error, "who is connected with the certificates is not known");
        Seen::new()
    })
}

/// What became of all of them.
#[derive(Debug, Default)]
struct Tally {
    ended: usize,
    missing: usize,
    failed: Vec<CertificateId>,
    still_open: usize,
}

/// First the status of all, then the connections: whom the data plane keeps waiting waits for his own only. What fails is
/// told, and the others are ended all the same; whoever else wants the directory gets it in between.
async fn end_all(
    desk: &Desk,
    operator: &mut Operator<'_, Aws>,
    certificates: &[CertificateId],
    ending: &Ending,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut begun = Vec::new();
    desk.bars.tell(Event::Begin { steps: certificates.len() });
    for id in certificates {
        let changed = operator.change_status(id, ending).await;
        begun.extend(tally.taken(*id, changed)?.map(|changed| (*id, changed)));
        desk.bars.tell(Event::Done { action: "keep", what: &id.short() });
        operator.pause();
    }
    for (id, changed) in begun {
        let ended = operator.end_connections(changed, ending).await;
        if let Some(ended) = tally.taken(id, ended)? {
            tally.ended += 1;
            tally.still_open += ended.connections.iter().filter(|cut| cut.may_be_open()).count();
            match desk.audience {
                Audience::Program => output::json(&fields(&ended)),
                Audience::Person => words(&ended).iter().for_each(|line| output::line(line)),
            }
        }
        operator.pause();
    }
    Ok(tally)
}

impl Tally {
    /// The answer, or nothing where the account's refusal concerns this certificate alone.
    fn taken<T>(&mut self, id: CertificateId, answer: Result<T, PlanError>) -> Result<Option<T>, PlanError> {
        match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(error @ PlanError::Call { error: ApiError::NotFound(_), .. }) => {
                // It cannot connect any more.
                output::warn(&error.to_string());
                self.missing += 1;
            }
            Err(error @ PlanError::Call { .. }) => {
                output::warn(&error.to_string());
                self.failed.push(id);
            }
            // What cannot be entered in the journal is not done, and will not be with the next one either.
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    const fn is_good(&self) -> bool {
        self.missing == 0 && self.failed.is_empty() && self.still_open == 0
    }

    fn fields(&self) -> Value {
        json!({
            "certificates": self.ended, "missing": self.missing, "failed": self.failed, "still_open": self.still_open,
        })
    }

    fn words(&self) -> String {
        let mut words = match (self.ended, self.failed.len()) {
            (0, 0) => "there is no certificate to end".to_owned(),
            (ended, _) => format!("{ended} ended"),
        };
        if self.still_open > 0 {
            let open = self.still_open;
            words += &format!("; {open} connections may still be open: the account cuts them within minutes");
        }
        if !self.failed.is_empty() {
            let failed = self.failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n- ");
            words += &format!("; not ended, run it again:\n- {failed}");
        }
        words
    }
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
    json!({
        "event": "certificate", "certificate": ended.certificate, "things": ended.things, "before": ended.before,
        "status": ended.status, "seconds": ended.changed_after.as_ref().map(Duration::as_secs_f64),
        "connections": ended.connections.iter().map(cut_fields).collect::<Vec<_>>(),
    })
}

/// A connection, for programs.
pub(super) fn cut_fields(cut: &Cut) -> Value {
    let (outcome, since) = outcome(cut.outcome);
    let seconds = cut.after.as_secs_f64();
    let mut fields = json!({ "client": cut.client, "outcome": outcome, "since": since, "seconds": seconds });
    if let (Some(fields), Some(trouble)) = (fields.as_object_mut(), &cut.trouble) {
        fields.insert("reason".to_owned(), trouble.clone().into());
    }
    fields
}

pub(super) fn words(ended: &Ended) -> Vec<String> {
    let of = ended.things.iter().map(|thing| format!(" of {thing}")).collect::<String>();
    let took = match ended.changed_after {
        Some(span) => format!("{} after {:.2} s", ended.status, span.as_secs_f64()),
        None => format!("{} already", ended.status),
    };
    let mut lines = vec![format!("certificate {}{of}: {took}", ended.certificate)];
    lines.extend(ended.connections.iter().map(|cut| format!("  {}", cut_words(cut))));
    lines
}

/// A connection, for people.
pub(super) fn cut_words(cut: &Cut) -> String {
    let did = match cut.outcome {
        Outcome::Gone => "cut".to_owned(),
        Outcome::Back(since) => format!(
            "cut, and connected again since {since}: with another certificate, or the end has not spread yet"
        ),
        Outcome::Stays => "is still open".to_owned(),
        Outcome::Untold => "cut, if it was open: the account does not tell".to_owned(),
        Outcome::Uncut => {
            let reason = cut.trouble.as_deref().unwrap_or("the account does not say why");
            format!("cannot be cut ({reason}); if it is open, the account cuts it within minutes")
        }
    };
    format!("client {}: {did}, after {:.2} s", cut.client, cut.after.as_secs_f64())
}

/// One word for what became of a connection, and since when it is open again.
pub(super) fn outcome(outcome: Outcome) -> (&'static str, Option<u64>) {
    match outcome {
        Outcome::Gone => ("gone", None),
        Outcome::Back(since) => ("back", Some(since.as_millis())),
        Outcome::Stays => ("open", None),
        Outcome::Untold => ("untold", None),
        Outcome::Uncut => ("uncut", None),
    }
}
