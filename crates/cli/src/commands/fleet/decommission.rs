//! `fleetkey decommission`: one device out of service, in the account and on this machine, proved.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use fleetkey_agent::store::Lock;
use fleetkey_aws::permit::Command;
use fleetkey_model::name::SerialNumber;
use serde_json::json;

use super::{Desk, print_iam};
use crate::args::DecommissionArgs;

/// Removes the thing, its certificates and its local files; fails when something is left.
pub(crate) async fn run(args: DecommissionArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::Decommission], &args.account, |settings| settings).await;
    }
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let serial = SerialNumber::new(args.thing.as_str()).ok();
    let local = serial.map(|serial| desk.data.device(&serial)).filter(|path| path.exists());
    // Held until the end: an agent that starts meanwhile would use what is being removed.
    let held = local.as_deref().map(Lock::acquire).transpose();
    let _held = held.context(
        "the device's directory cannot be taken; if its agent runs on this machine, stop it first",
    )?;
    let mut operator = desk.operator(args.force).await?;
    let removed = operator.decommission(&args.thing).await?;
    let gone = operator.is_gone(&args.thing).await?;
    ensure!(gone, "the thing {} is still there", args.thing);
    if let Some(path) = &local {
        forget(path)?;
    }
    let mut all = removed;
    all.extend(local.map(|path| path.display().to_string()));
    let words = match all.is_empty() {
        true => format!("nothing of {} was there", args.thing),
        false => format!("removed: {}; looked again: nothing of {} is left", all.join(", "), args.thing),
    };
    desk.conclude("decommissioned", &json!({ "thing": args.thing.as_str(), "removed": all }), &words);
    Ok(ExitCode::SUCCESS)
}

/// Removes a device's directory with its keys.
fn forget(path: &Path) -> Result<()> {
    std::fs::remove_dir_all(path).with_context(|| format!("{} cannot be removed", path.display()))
}
