//! Listening on behalf of a device: a connection beside its agent, made again when it ends, as at a rotation.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use fleetkey_model::certificate::CertificateId;
use fleetkey_mqtt::QoS;
use fleetkey_mqtt::link::Messages;

use super::Place;
use super::device::Device;
use crate::datadir::DataDir;
use crate::fleet_file::FleetFile;
use crate::messages;

/// How long to wait before connecting again; AWS takes one CONNECT a second of one client id.
const PAUSE: Duration = Duration::from_secs(2);
/// How often to look whether the device has rotated.
const LOOK: Duration = Duration::from_millis(500);
/// So much of a payload is written down.
const PAYLOAD: usize = 2000;

/// Listens from now on, and returns when the broker has taken the subscription.
pub(super) async fn start(device: &Arc<Device>, place: &Place, filter: String) -> Result<()> {
    let (filters, ended) = device.listen(filter);
    let (data, file) = (place.data.clone(), place.file.clone());
    let (told, first) = tokio::sync::oneshot::channel();
    let ears = device.clone();
    tokio::spawn(async move {
        let mut told = Some(told);
        let listening = async {
            loop {
                let outcome = hear(&ears, &data, &file, &filters, &mut told).await;
                let trouble =
                    outcome.err().map_or_else(|| "it ended".to_owned(), |error| format!("{error:#}"));
                match told.take() {
                    // Whoever waits is told, and tries again if that makes sense.
                    Some(told) => {
                        let _ = told.send(Err(trouble));
                        return;
                    }
                    None => ears.note(format!("listening again in {} s: {trouble}", PAUSE.as_secs())),
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        ended.run_until_cancelled(listening).await;
    });
    match first.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(trouble)) => bail!("cannot listen: {trouble}"),
        Err(_) => bail!("another subscription took its place"),
    }
}

type Told = Option<tokio::sync::oneshot::Sender<Result<(), String>>>;

async fn hear(
    device: &Device,
    data: &DataDir,
    file: &FleetFile,
    filters: &[String],
    told: &mut Told,
) -> Result<()> {
    let with = device.exported();
    let (client, mut messages) = messages::connect(data, file, &device.serial).await?;
    let wanted: Vec<(&str, QoS)> = filters.iter().map(|filter| (filter.as_str(), QoS::AtLeastOnce)).collect();
    let granted = client.subscribe(&wanted).await?;
    if granted.iter().any(|reason| reason.is_error()) {
        bail!("the device's policy does not allow a subscription to all of {}", filters.join(", "));
    }
    if let Some(told) = told.take() {
        let _ = told.send(Ok(()));
    }
    device.note(format!("hears {}", filters.join(", ")));
    tokio::select! {
        () = write_down(device, &mut messages) => {}
        () = outlive(device, with) => device.note("its certificate is another one now"),
    }
    Ok(())
}

async fn write_down(device: &Device, messages: &mut Messages) {
    while let Some(message) = messages.recv().await {
        let payload: String = String::from_utf8_lossy(&message.payload).chars().take(PAYLOAD).collect();
        device.note(format!("[RECV] {}: {payload}", &*message.topic));
    }
}

/// Until the device has exported another certificate than this connection's. The controller rightly keeps a certificate
/// that somebody is still connected with.
async fn outlive(device: &Device, mut with: Option<CertificateId>) {
    loop {
        tokio::time::sleep(LOOK).await;
        match (with, device.exported()) {
            (Some(old), Some(new)) if old != new => return,
            (None, known) => with = known,
            _ => {}
        }
    }
}
