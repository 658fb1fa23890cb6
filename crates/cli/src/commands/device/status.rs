//! `device status`: how a device stands, asked of its agent, or read from its directory when none runs.

use anyhow::{Context, Result};
use fleetkey_agent::status::client::{DeviceState, status_of};
use serde_json::{Value, json};

use crate::args::DeviceArgs;
use crate::datadir::DataDir;
use crate::output;

pub(super) fn run(args: &DeviceArgs, as_json: bool) -> Result<()> {
    let data = DataDir::open(&args.data.data_dir)?;
    let state = status_of(&data.device(&args.serial))
        .with_context(|| format!("the state of {} cannot be told", args.serial))?;
    if as_json {
        output::json(&shown(&state));
    } else {
        output::line(&words(args, &state));
    }
    Ok(())
}

fn shown(state: &DeviceState) -> Value {
    match state {
        DeviceState::Running(status) => json!({"agent": "running", "status": status}),
        DeviceState::Stopped { record, certificate } => json!({
            "agent": "stopped",
            "record": record,
            "certificate": certificate.as_ref().map(|certificate| json!({
                "id": certificate.id,
                "not_before": certificate.not_before.to_string(),
                "not_after": certificate.not_after.to_string(),
            })),
        }),
        DeviceState::Empty => json!({"agent": "stopped", "record": null, "certificate": null}),
    }
}

fn words(args: &DeviceArgs, state: &DeviceState) -> String {
    match state {
        DeviceState::Running(status) => {
            let certificate = status.certificate.map_or_else(|| "none".to_owned(), |id| id.to_string());
            let due = status.due.map_or(String::new(), |due| format!(", next rotation {due}"));
            let blocked = status.blocked.as_ref().map_or(String::new(), |why| format!("\nwaiting: {why}"));
            format!(
                "{}: agent running, {:?}, {}\ncertificate {certificate}{due}{blocked}",
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
