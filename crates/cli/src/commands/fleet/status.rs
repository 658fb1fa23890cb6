//! `fleetkey status`: what of a fleet exists in an account, and what differs. Reads only.

use std::process::ExitCode;

use anyhow::Result;
use fleetkey_aws::permit::Command;
use fleetkey_operator::plan::Action;
use serde_json::json;

use super::{Desk, print_iam};
use crate::args::StatusArgs;
use crate::output::{self, Audience};

/// Prints a line a resource; fails when one is missing or differs.
pub(crate) async fn run(args: StatusArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::Status], &args.account, |settings| settings).await;
    }
    let desk = Desk::open(&args.account, |settings| settings).await?;
    // What somebody else has made is to be shown, not refused: nothing is touched.
    let operator = desk.operator(true).await?;
    let plan = operator.plan(&desk.wanted_now(&operator)?).await?;
    let resources = plan.steps.iter().map(|step| (step.key.to_string(), &step.action));
    let certificates = plan.certificates.iter().map(|(role, action)| (format!("{role} certificate"), action));
    for (what, action) in resources.chain(certificates) {
        let state = state(action);
        match desk.audience {
            Audience::Program => output::json(
                &json!({ "event": "resource", "what": what, "state": state, "differs": action.fields() }),
            ),
            Audience::Person if action.fields().is_empty() => output::line(&format!("{state:>8}  {what}")),
            Audience::Person => {
                output::line(&format!("{state:>8}  {what} ({})", action.fields().join(", ")));
            }
        }
    }
    let settled = plan.is_settled();
    let words = if settled { "all is as it was asked for" } else { "not all is as it was asked for" };
    desk.conclude("status", &json!({ "settled": settled }), words);
    Ok(if settled { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn state(action: &Action) -> &'static str {
    match action {
        Action::Create => "missing",
        Action::Keep => "present",
        Action::Change(_) => "differs",
        Action::Adopt(_) => "foreign",
        Action::Delete => "surplus",
    }
}
