//! `device status`: how a device stands, asked of its agent, or read from its directory when none runs.

use anyhow::{Context, Result};
use fleetkey_agent::status::Report;
use fleetkey_agent::status::client::{DeviceState, status_of};

use crate::args::DeviceArgs;
use crate::datadir::DataDir;
use crate::output;

pub(super) fn run(args: &DeviceArgs, as_json: bool) -> Result<()> {
    let data = DataDir::existing(&args.data.data_dir)?;
    let state = status_of(&data.device(&args.serial))
        .with_context(|| format!("the state of {} cannot be told", args.serial))?;
    if as_json {
        output::json(&state.json());
    } else {
        output::line(&words(args, &state));
    }
    Ok(())
}

fn words(args: &DeviceArgs, state: &DeviceState) -> String {
    match state {
        DeviceState::Running(Report { status, ballast, .. }) => {
            let certificate = status.certificate.map_or_else(|| "none".to_owned(), |id| id.to_string());
            let due = status.due.map_or(String::new(), |due| format!(", next rotation {due}"));
            let blocked = status.blocked.as_ref().map_or(String::new(), |why| format!("\nwaiting: {why}"));
            let room = if *ballast { "" } else { "\nno ballast: the disk is or was full" };
            format!(
                "{}: agent running, {:?}, {}\ncertificate {certificate}{due}{blocked}{room}",
                args.serial,
                status.state,
                if status.connected { "connected" } else { "not connected" },
            )
        }
        DeviceState::Stopped { certificate, .. } => match certificate {
            Some(certificate) => format!(
                "{}: no agent runs\ncertificate {} from {} to {}",
                args.serial, certificate.id, certificate.not_before, certificate.not_after
            ),
            None => format!("{}: no agent runs, and there is no identity yet", args.serial),
        },
        DeviceState::Empty => {
            format!("{0}: nothing there; `fleetkey device provision --serial {0}` begins", args.serial)
        }
    }
}
