//! `device status`: how a device stands, asked of its agent, or read from its directory when none runs.

use anyhow::{Context, Result};
use fleetkey_agent::sidecar::SidecarStatus;
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
        DeviceState::Running(report) => running(args, report),
        DeviceState::Stopped { held, certificate, .. } => match certificate {
            Some(certificate) => format!(
                "{}: {}\ncertificate {} from {} to {}",
                args.serial,
                if *held { "its agent runs on a disk that takes no writes" } else { "no agent runs" },
                certificate.id,
                certificate.not_before,
                certificate.not_after
            ),
            None => format!("{}: no agent runs, and there is no identity yet", args.serial),
        },
        DeviceState::Empty => {
            format!("{0}: nothing there; `fleetkey device provision --serial {0}` begins", args.serial)
        }
    }
}

fn running(args: &DeviceArgs, Report { status, ballast, sidecar, .. }: &Report) -> String {
    let mut words = format!(
        "{}: agent running, {:?}, {}",
        args.serial,
        status.state,
        if status.connected { "connected" } else { "not connected" }
    );
    let certificate = status.certificate.map_or_else(|| "none".to_owned(), |id| id.to_string());
    words += &format!("\ncertificate {certificate}");
    if let Some(due) = status.due {
        words += &format!(", next rotation {due}");
    }
    if let Some(id) = &status.rotation {
        let reason = status.reason.map_or(String::new(), |reason| format!(", because of {reason:?}"));
        words += &format!("\nrotation {id}{reason}");
    }
    if let Some(staged) = &status.staged {
        words += &format!("\nstaged: certificate {}, until `device switch`", staged.certificate);
    }
    if let Some(why) = &status.blocked {
        words += &format!("\nwaiting: {why}");
    }
    if status.failures > 0 {
        words += &format!("\n{} rotations failed in a row", status.failures);
    }
    for alarm in &status.alarms {
        words += &format!("\nalarm: {alarm:?}");
    }
    if let Some(sidecar) = sidecar {
        words += &format!("\nsidecar on {}, {}", sidecar.listen.join(", "), client_of(sidecar));
    }
    if !ballast {
        words += "\nno ballast: the disk is or was full";
    }
    words
}

fn client_of(sidecar: &SidecarStatus) -> String {
    let Some(client) = &sidecar.client else {
        return "no client".to_owned();
    };
    let certificate =
        sidecar.certificate.map_or_else(|| "no link".to_owned(), |id| format!("on certificate {id}"));
    let held = if sidecar.held { ", held" } else { "" };
    format!("client {:?} (MQTT {}) {certificate}{held}", client.id, client.version)
}
