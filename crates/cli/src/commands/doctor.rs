//! `fleetkey doctor`: why a device cannot connect, tier by tier, and what to do.

#[cfg(feature = "aws")]
mod account;
mod codesys;
mod finding;
mod node_red;
mod rotation;
mod target;

use std::process::ExitCode;

use anyhow::Result;
use fleetkey_agent::clock::{Clock, SystemClock};
use fleetkey_agent::doctor::{Account, Examination, Report};

use crate::args::{DoctorArgs, DoctorCommand};
use crate::output;

use target::Patient;

/// Examines, once or before and after a rotation; the exit code is the first failing tier's.
pub(crate) async fn run(args: &DoctorArgs) -> Result<ExitCode> {
    match &args.command {
        Some(DoctorCommand::NodeRed(args)) => return node_red::run(args).await,
        Some(DoctorCommand::Codesys(args)) => return codesys::run(args),
        None => {}
    }
    let patient = Patient::of(args)?;
    let report = examine(args, &patient).await?;
    if !args.again_after_rotation {
        tell(args, None, &report);
        return Ok(ExitCode::from(report.exit_code()));
    }
    tell(args, Some("before"), &report);
    if report.exit_code() != 0 {
        output::warn("no rotation was asked for: what is not well before it would not be after it");
        return Ok(ExitCode::from(report.exit_code()));
    }
    rotation::have_one(&patient).await?;
    let report = examine(args, &Patient::of(args)?).await?;
    tell(args, Some("after"), &report);
    Ok(ExitCode::from(report.exit_code()))
}

async fn examine(args: &DoctorArgs, patient: &Patient) -> Result<Report> {
    let now = args.device_time.unwrap_or_else(|| SystemClock.now());
    let examination = Examination::begin(patient.target()?, now);
    let account = ask(args, patient, &examination).await;
    Ok(examination.run(&account).await)
}

#[cfg(feature = "aws")]
async fn ask(args: &DoctorArgs, patient: &Patient, examination: &Examination) -> Account {
    account::ask(args, patient, examination).await
}

#[cfg(not(feature = "aws"))]
async fn ask(_: &DoctorArgs, _: &Patient, _: &Examination) -> Account {
    Account::silent("this program was built without the AWS SDK")
}

fn tell(args: &DoctorArgs, when: Option<&str>, report: &Report) {
    if args.json {
        let mut value = report.json();
        if let (Some(when), Some(object)) = (when, value.as_object_mut()) {
            object.insert("when".into(), when.into());
        }
        output::json(&value);
        return;
    }
    if let Some(when) = when {
        output::line(&format!("{when} the rotation"));
    }
    output::line(&report.to_string());
}
