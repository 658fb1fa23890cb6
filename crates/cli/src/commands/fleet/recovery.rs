//! `fleetkey recovery`: who may come back by claim, until when, and what is decided about what comes of it.
//!
//! Where `up` or `local --setup` is the account, the windows are only written down: that process carries them out.

mod decide;
mod print;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use fleetkey_aws::permit::Command;
use fleetkey_model::name::SerialNumber;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::controller::Journal;
use fleetkey_operator::files::Lock;
use fleetkey_operator::plan::State;
use fleetkey_operator::recovery::{Window, WindowError, Windows};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Desk, now, print_iam, with_windows};
use crate::args::{AccountArgs, CloseArgs, OpenArgs, RecoveryCommand};
use crate::datadir::DataDir;
use crate::fleet_file;
use crate::output::{self, Audience};
use crate::retirement::LEDGER;

/// How long whoever has the directory is waited for.
const TURN: Duration = Duration::from_secs(30);
/// How long a process that is its own account is waited for.
const CARRIED_OUT: Duration = Duration::from_secs(10);
/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs one of them.
pub(crate) async fn run(command: RecoveryCommand) -> Result<ExitCode> {
    match command {
        RecoveryCommand::Open(args) => open(*args).await,
        RecoveryCommand::Close(args) => close(*args).await,
        RecoveryCommand::List(args) => print::list(&args),
        RecoveryCommand::Show(args) => print::show(*args).await,
        RecoveryCommand::Approve(args) => decide::approve(*args).await,
        RecoveryCommand::Reject(args) => decide::reject(*args).await,
    }
}

async fn open(args: OpenArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::RecoveryWindow], &args.account, |settings| settings).await;
    }
    let serials = named(&args)?;
    let why = args.why.unwrap_or_default();
    let data = DataDir::existing(&args.account.fleet_dir)?;
    super::panic::none(&data.operator())?;
    let open = |windows: &mut Windows, now: Timestamp| {
        let number = windows.open(now, serials, args.span, &why)?;
        windows.get(number).cloned().ok_or(WindowError::None(number))
    };
    let tell = |window: &Window, served: bool| {
        let after = match served {
            true => "whoever works on this directory closes it then",
            false => {
                "nobody works on this directory: after that the hook refuses, but the template stays enabled until \
                 fleetkey recovery close, or the next fleetkey serve, disables it"
            }
        };
        let (number, devices, until) = (window.number, window.serials.len(), window.until);
        let fields = json!({ "window": number, "devices": devices, "until": until.to_string() });
        (fields, format!("recovery window {number}: {devices} devices may recover until {until}; {after}"))
    };
    arrange(&data, &args.account, &why, tell, open).await
}

async fn close(args: CloseArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::RecoveryWindow], &args.account, |settings| settings).await;
    }
    let data = DataDir::existing(&args.account.fleet_dir)?;
    let close = |windows: &mut Windows, now: Timestamp| {
        let closed = windows.close(now, args.window)?;
        Ok((closed, windows.open_at(now).len()))
    };
    let tell = |(closed, left): &(bool, usize), _served: bool| {
        let did = if *closed { "closed" } else { "nothing was open" };
        let rest = match left {
            0 => "nobody can recover".to_owned(),
            left => format!("{left} recovery windows are open still"),
        };
        (json!({ "closed": closed, "still_open": left }), format!("{did}; {rest}"))
    };
    arrange(&data, &args.account, &args.why, tell, close).await
}

/// Changes the windows on disk, then the account; tells how that went.
async fn arrange<T>(
    data: &DataDir,
    account: &AccountArgs,
    why: &str,
    tell: impl FnOnce(&T, bool) -> (Value, String),
    change: impl FnOnce(&mut Windows, Timestamp) -> Result<T, WindowError>,
) -> Result<ExitCode> {
    let directory = data.operator();
    let served = Journal::is_in_use(&directory.join(LEDGER));
    if is_its_own_account(&directory)? {
        return left_to_the_process(&directory, account, served, tell, change).await;
    }
    let desk = Desk::open(account, |settings| settings).await?;
    let mut operator = desk.operator(false).await?;
    // The intention first: a run that ends here is gone on with by whoever comes next.
    let (told, mut windows) = written(&directory, change)?;
    let wanted = with_windows(desk.wanted(&operator)?, &directory)?;
    for changed in operator.keep_windows(&wanted, why).await? {
        desk.tell("changed", &json!({ "what": changed }), &changed);
    }
    windows.settled();
    windows.write(&directory)?;
    let (fields, words) = tell(&told, served);
    desk.conclude("window", &merged(&fields, true, served), &words);
    Ok(ExitCode::SUCCESS)
}

/// Where the account is in a process of `up` or `local --setup`, that process does the rest.
async fn left_to_the_process<T>(
    directory: &Path,
    account: &AccountArgs,
    served: bool,
    tell: impl FnOnce(&T, bool) -> (Value, String),
    change: impl FnOnce(&mut Windows, Timestamp) -> Result<T, WindowError>,
) -> Result<ExitCode> {
    let (told, _) = {
        let told = |holder: &str| tracing::warn!(holder, "waiting for whoever uses the fleet directory");
        let _lock = Lock::within(directory, TURN, told).await?;
        written(directory, change)?
    };
    let settled = served && carried_out(directory).await?;
    let (fields, words) = tell(&told, served);
    let more = match (served, settled) {
        (false, _) => "\nit is written down; the next start on this directory carries it out",
        (true, false) => "\nit is not carried out yet; the log of the running process says why",
        (true, true) => "",
    };
    match Audience::of(account.json) {
        Audience::Person => output::line(&format!("{words}{more}")),
        Audience::Program => output::json(&merged(&fields, settled, served)),
    }
    Ok(if settled || !served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn merged(fields: &Value, settled: bool, served: bool) -> Value {
    let mut line = json!({ "event": "window", "settled": settled, "served": served });
    if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
        line.extend(fields.clone());
    }
    line
}

/// Whether the directory is of `up` or `local --setup`, whose account is in the process itself.
fn is_its_own_account(directory: &Path) -> Result<bool> {
    Ok(State::read(directory)?.is_none() && directory.join(fleet_file::FILE).exists())
}

/// Changes the windows on disk, and nothing else; whoever calls has the directory.
pub(super) fn written<T>(
    directory: &Path,
    change: impl FnOnce(&mut Windows, Timestamp) -> Result<T, WindowError>,
) -> Result<(T, Windows)> {
    let mut windows = Windows::read(directory)?;
    let now = now();
    windows.expire(now);
    let told = change(&mut windows, now)?;
    windows.write(directory)?;
    Ok((told, windows))
}

/// Waits until the running process has carried it out.
async fn carried_out(directory: &Path) -> Result<bool> {
    let end = Instant::now() + CARRIED_OUT;
    while Instant::now() < end {
        if Windows::read(directory)?.is_settled() {
            return Ok(true);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(false)
}

/// Everybody who is named, on the command line or in the file.
fn named(args: &OpenArgs) -> Result<BTreeSet<SerialNumber>> {
    let mut serials: BTreeSet<_> = args.serials.iter().cloned().collect();
    if let Some(path) = &args.list {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let serial = SerialNumber::new(line.trim());
            serials.insert(serial.with_context(|| format!("line {} of {}", at + 1, path.display()))?);
        }
    }
    Ok(serials)
}
