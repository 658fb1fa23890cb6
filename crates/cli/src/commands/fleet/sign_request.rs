//! `fleetkey sign-request`: a certificate for a key that stays on its PLC, with what the request demands, or not at all.
//!
//! Signed by the account, or by a CA of one's own and then registered. What came back is held against what was asked for
//! before anything is made ACTIVE; the files are on disk before the account hears of a certificate that it has not made,
//! so that a run that was cut short is completed by the next.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use fleetkey_agent::AgentConfig;
use fleetkey_agent::bundle::{self, Signed};
use fleetkey_agent::intake::{Authority, SigningRequest};
use fleetkey_aws::Aws;
use fleetkey_aws::permit::Command;
use fleetkey_model::certificate::{CertificateFacts, CertificateStatus};
use fleetkey_model::name::SerialNumber;
use fleetkey_operator::plan::{Admission, Operator};
use serde_json::json;

use super::{Desk, now, print_iam};
use crate::args::SignRequestArgs;
use crate::fleet_file::FleetFile;

/// The exit code when the request is none that should be signed.
const UNFIT: u8 = 31;
/// The exit code when what was signed lacks something that the request demands.
const LACKING: u8 = 32;

/// What is asked for, read and found in order.
struct Job {
    request: SigningRequest,
    serial: SerialNumber,
    to: PathBuf,
    authority: Option<Authority>,
    config: AgentConfig,
}

/// Signs, compares, writes, registers.
pub(crate) async fn run(args: SignRequestArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::SignRequest], &args.account, |settings| settings).await;
    }
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let job = Job::of(&args, &desk)?;
    let prefix = args.common_name_prefix.as_ref();
    let name = prefix.map_or_else(|| job.serial.to_string(), |prefix| format!("{prefix}@{}", job.serial));
    let faults: Vec<_> = job.request.faults(&name).iter().map(ToString::to_string).collect();
    if !faults.is_empty() {
        return Ok(refuse(&desk, UNFIT, "the request is not signed", &faults));
    }
    match &job.authority {
        Some(authority) => by_own_ca(&args, &desk, &job, authority).await,
        None => by_account(&desk, &job).await,
    }
}

impl Job {
    fn of(args: &SignRequestArgs, desk: &Desk) -> Result<Self> {
        let (Some(path), Some(serial), Some(to)) = (&args.request, &args.serial, &args.to) else {
            anyhow::bail!("say which request, for which --serial, and where --to");
        };
        let request = SigningRequest::open(path);
        let request = request.with_context(|| format!("{} cannot be signed", path.display()))?;
        let authority = match (&args.ca, &args.ca_key) {
            (Some(certificate), Some(key)) => Some(Authority::open(certificate, key)?),
            _ => None,
        };
        let config = FleetFile::read(&desk.data)?.agent(&desk.data, serial)?;
        Ok(Self { request, serial: serial.clone(), to: to.clone(), authority, config })
    }

    /// What an earlier run has had signed by the same CA for the same key, as far as it is in order.
    fn signed_before(&self, authority: &Authority) -> Option<CertificateFacts> {
        let der = std::fs::read(bundle::signed_file(&self.to, &self.serial)).ok()?;
        let found = CertificateFacts::from_der(&der).ok()?;
        let is_ours = found.issuer() == authority.certificate().subject() && found.not_after > now();
        (is_ours && self.request.losses(&found).is_empty()).then_some(found)
    }
}

async fn by_own_ca(
    args: &SignRequestArgs,
    desk: &Desk,
    job: &Job,
    authority: &Authority,
) -> Result<ExitCode> {
    let mut operator = match args.no_account {
        true => None,
        false => Some(desk.operator(false).await?),
    };
    if let Some(operator) = &operator {
        operator.expect_thing(&job.serial.thing()).await?;
    }
    let certificate = match job.signed_before(authority) {
        Some(certificate) => certificate,
        None => authority.sign(&job.request, args.valid_for, now())?,
    };
    let losses = losses(job, &certificate);
    if !losses.is_empty() {
        return Ok(refuse(desk, LACKING, "what was signed is of no use", &losses));
    }
    let issuer = Some(authority.certificate().clone());
    let signed = Signed { certificate, issuer, registered: operator.is_some() };
    finish(desk, job, &signed, operator.as_mut()).await
}

async fn by_account(desk: &Desk, job: &Job) -> Result<ExitCode> {
    let mut operator = desk.operator(false).await?;
    let thing = job.serial.thing();
    operator.expect_thing(&thing).await?;
    let issued = operator.issue_for(&thing, &job.request.pem(), &job.request.public_key()).await?;
    let certificate =
        CertificateFacts::from_pem(&issued.pem).context("the account's certificate does not read")?;
    let losses = losses(job, &certificate);
    if !losses.is_empty() {
        // One that is in use already was made by somebody else, and is theirs to end.
        if issued.status == CertificateStatus::Inactive {
            operator.withdraw(&issued.id, &losses.join("; ")).await?;
        }
        let words = "what AWS IoT has signed lacks what the PLC demands, and is not used; \
                     a CA of your own (--ca, --ca-key) keeps it";
        return Ok(refuse(desk, LACKING, words, &losses));
    }
    let signed = Signed { certificate, issuer: None, registered: true };
    finish(desk, job, &signed, Some(&mut operator)).await
}

/// The files first, then the account.
async fn finish(
    desk: &Desk,
    job: &Job,
    signed: &Signed,
    operator: Option<&mut Operator<'_, Aws>>,
) -> Result<ExitCode> {
    let made = bundle::write_signed(&job.config, signed, &job.to)?;
    let id = signed.certificate.id;
    if let Some(operator) = operator {
        let policy = desk.wanted(operator)?.fleet.names.device_policy;
        let foreign = signed.issuer.is_some().then(|| signed.pem());
        operator.admit(&Admission { certificate: id, foreign, thing: job.serial.thing(), policy }).await?;
    }
    let files: Vec<_> = made.files.iter().map(|file| file.display().to_string()).collect();
    let words = format!("{}\n\n{}", files.join("\n"), made.sheet.trim_end());
    let fields = json!({
        "certificate": id, "thing": job.serial.thing(), "registered": signed.registered, "files": files,
        "not_after": signed.certificate.not_after.to_string(),
    });
    desk.conclude("request_signed", &fields, &words);
    Ok(ExitCode::SUCCESS)
}

fn losses(job: &Job, certificate: &CertificateFacts) -> Vec<String> {
    job.request.losses(certificate).iter().map(ToString::to_string).collect()
}

fn refuse(desk: &Desk, code: u8, what: &str, reasons: &[String]) -> ExitCode {
    let words = format!("{what}:\n  {}", reasons.join("\n  "));
    desk.conclude("request_refused", &json!({ "exit_code": code, "reasons": reasons }), &words);
    ExitCode::from(code)
}
