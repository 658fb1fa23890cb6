//! `fleetkey recovery list` and `show`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use fleetkey_aws::permit::Command;
use fleetkey_model::certificate::CertificateId;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::plan::{Marks, Patience};
use fleetkey_operator::recovery::{Window, WindowError, Windows};
use serde_json::{Value, json};

use super::super::{Desk, now, print_iam};
use crate::args::{ShowArgs, WindowsArgs};
use crate::datadir::DataDir;
use crate::output::{self, Audience};
use crate::windows::whom;

/// A line a window; nothing is asked of the account.
pub(super) fn list(args: &WindowsArgs) -> Result<ExitCode> {
    let windows = Windows::read(&DataDir::existing(&args.fleet_dir)?.operator())?;
    for window in windows.all() {
        match Audience::of(args.json) {
            Audience::Person => output::line(&words(window)),
            Audience::Program => output::json(&fields(window, windows.is_settled())),
        }
    }
    if windows.all().is_empty() && Audience::of(args.json) == Audience::Person {
        output::line("there was never a recovery window");
    }
    Ok(ExitCode::SUCCESS)
}

fn state(window: &Window) -> String {
    match window.closed_at {
        Some(at) => format!("closed at {at}"),
        None if window.is_open(now()) => format!("open until {}", window.until),
        None => format!("over since {}, and not closed yet", window.until),
    }
}

fn words(window: &Window) -> String {
    let whom = whom(std::slice::from_ref(window)).unwrap_or_default();
    format!("{:>4}  {}; {whom}; {}", window.number, state(window), window.why)
}

fn fields(window: &Window, settled: bool) -> Value {
    json!({
        "event": "window", "window": window.number, "serials": window.serials, "opened_at": window.opened_at.to_string(),
        "until": window.until.to_string(), "closed_at": window.closed_at.map(|at| at.to_string()),
        "open": window.is_open(now()), "why": window.why, "settled": settled,
    })
}

/// What the account says of each device of a window.
pub(super) async fn show(args: ShowArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::RecoveryShow], &args.account, |settings| settings).await;
    }
    let data = DataDir::existing(&args.account.fleet_dir)?;
    let windows = Windows::read(&data.operator())?;
    let number = args.window.unwrap_or_default();
    let window = windows.get(number).ok_or(WindowError::None(number))?;
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let operator = desk.operator(false).await?;
    desk.tell("window", &fields(window, windows.is_settled()), &words(window));
    let mut waiting = 0usize;
    for serial in &window.serials {
        let thing = serial.thing();
        let asked: Result<_, ApiError> = Patience::ASKING.call(|_| {}, || desk.aws.mark(&thing)).await;
        let mark = asked.with_context(|| format!("thing {thing}"))?;
        let (state, certificate) = match mark.map(|mark| mark.certificate) {
            None => ("unknown", None),
            Some(None) => ("settled", None),
            Some(Some(id)) => ("recovered", Some(id)),
        };
        waiting += usize::from(certificate.is_some());
        let fields = json!({ "thing": thing, "state": state, "certificate": certificate });
        desk.tell("device", &fields, &format!("      {thing}: {}", said(state, certificate)));
    }
    drop(operator);
    let words = format!("{waiting} recoveries wait for fleetkey recovery approve or reject");
    desk.conclude("waiting", &json!({ "waiting": waiting }), &words);
    Ok(ExitCode::SUCCESS)
}

fn said(state: &str, certificate: Option<CertificateId>) -> String {
    match certificate {
        Some(id) => format!("recovered as {id}, which waits for a decision"),
        None if state == "unknown" => {
            "there is no such thing: it would be provisioned, not recovered".to_owned()
        }
        None => "nothing waits for a decision".to_owned(),
    }
}
