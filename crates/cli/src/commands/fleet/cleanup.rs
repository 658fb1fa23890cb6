//! `fleetkey cleanup`: removes a fleet from an account, and proves it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use fleetkey_aws::Aws;
use fleetkey_aws::permit::Command;
use fleetkey_operator::files;
use fleetkey_operator::plan::{Doomed, Operator, Removed, Wanted};
use serde_json::json;

use super::settings::FILE as SETTINGS_FILE;
use super::setup::ROOTS_FILE;
use super::{Desk, now, print_iam};
use crate::args::CleanupArgs;
use crate::fleet_file::FILE as FLEET_FILE;
use crate::output::{self, Audience};
use crate::windows;

/// Shows what would go, or removes it; fails when something is left that should be gone.
pub(crate) async fn run(args: CleanupArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::Cleanup], &args.account, |settings| settings).await;
    }
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let mut operator = desk.operator(args.force).await?;
    let wanted = desk.wanted(&operator)?;
    if args.plan {
        show(&operator.doomed(&wanted).await?, desk.audience);
        return Ok(ExitCode::SUCCESS);
    }
    let removed = carry_out(&mut operator, &wanted, &desk.data.operator()).await?;
    let clean = removed.remains.found.is_empty();
    let foreign: Vec<_> = removed.foreign.iter().map(ToString::to_string).collect();
    let fields = json!({
        "removed": removed.removed.len(), "foreign": foreign, "remains": removed.remains.found,
    });
    desk.conclude(if clean { "clean" } else { "remains" }, &fields, &words(&removed));
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Removes a fleet, and what set-up wrote down of it once nothing of it is left.
///
/// # Errors
/// When the account refuses or a file cannot be removed; the next run goes on from there.
pub(super) async fn carry_out(
    operator: &mut Operator<'_, Aws>,
    wanted: &Wanted,
    directory: &Path,
) -> Result<Removed> {
    let removed = operator.cleanup(wanted).await?;
    if removed.remains.found.is_empty() {
        windows::end(directory, now())?;
        for name in [SETTINGS_FILE, FLEET_FILE, ROOTS_FILE] {
            files::remove(&directory.join(name))?;
        }
    }
    Ok(removed)
}

/// What would go and what would stay, line by line.
fn show(doomed: &Doomed, audience: Audience) {
    let delete = doomed.resources.iter().map(ToString::to_string).chain(doomed.certificates.iter().cloned());
    let delete =
        delete.chain(doomed.things.iter().map(|thing| format!("thing {thing} with its certificates")));
    let leave = doomed.foreign.iter().map(|key| ("leave", key.to_string()));
    for (action, what) in delete.map(|what| ("delete", what)).chain(leave) {
        match audience {
            Audience::Person => output::line(&format!("{action:>8}  {what}")),
            Audience::Program => output::json(&json!({ "event": "plan", "action": action, "what": what })),
        }
    }
}

/// What came of it.
pub(super) fn words(removed: &Removed) -> String {
    let foreign: Vec<_> = removed.foreign.iter().map(ToString::to_string).collect();
    let mut words = format!("{} removed", removed.removed.len());
    if removed.remains.found.is_empty() {
        words.push_str("; looked again: nothing of the fleet is left");
    } else {
        words.push_str("; still there: ");
        words.push_str(&removed.remains.found.join(", "));
    }
    if !foreign.is_empty() {
        words.push_str("\nnot made by fleetkey, left alone (--force removes them): ");
        words.push_str(&foreign.join(", "));
    }
    words
}
