//! `fleetkey doctor codesys`: what in a PLC's settings and certificate store keeps it from connecting, or will at the next
//! rotation. Reads a description and exported certificates; no PLC is asked.

mod description;
mod settings;
mod store;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use fleetkey_agent::clock::{Clock, SystemClock};

use super::finding;
use crate::args::CodesysArgs;

use description::Plc;
use store::Shown;

/// Prints every finding; the exit code tells whether one is a fault.
pub(super) fn run(args: &CodesysArgs) -> Result<ExitCode> {
    let plc = Plc::read(&args.plc)?;
    let beside = args.plc.parent().map(Path::to_path_buf).unwrap_or_default();
    let shown = Shown::read(&plc, &beside).with_context(|| format!("the store of {}", args.plc.display()))?;
    let now = args.device_time.unwrap_or_else(|| SystemClock.now());
    let mut findings = settings::judge(&plc, args.thing.as_ref());
    findings.extend(store::judge(&plc, &shown, args.principal, now));
    Ok(finding::conclude(&findings, "certificates", shown.own.len(), args.json))
}
