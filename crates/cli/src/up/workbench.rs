//! Devices that a person tries by hand from the dashboard: agents in this process, each with a state directory of its own
//! beside those of the fleet.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fleetkey_dashboard::bench::{Bench, BenchDevice, BenchOrder};
use fleetkey_dashboard::fleet::{Answer, Done, Refused};
use fleetkey_dashboard::hub::Hub;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::SerialNumber;
use fleetkey_model::time::Timestamp;

use super::board::{Board, Change};
use crate::datadir::DataDir;
use crate::fleet_file::FleetFile;

use device::Device;

mod device;
mod ears;
mod orders;

/// Devices that one process may have on the bench: each has a thread for its disk.
const MOST: usize = 50;

/// The bench.
pub(crate) struct Workbench {
    board: Arc<Board>,
    hub: Arc<Hub>,
    place: OnceLock<Place>,
    devices: Mutex<BTreeMap<SerialNumber, Arc<Device>>>,
}

/// Where devices live and what they provision with.
pub(super) struct Place {
    pub(super) data: DataDir,
    pub(super) file: FleetFile,
}

impl fmt::Debug for Workbench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workbench").finish_non_exhaustive()
    }
}

impl Workbench {
    /// An empty bench; nothing can be ordered before it is [`Self::ready`].
    pub(crate) fn new(board: Arc<Board>, hub: Arc<Hub>) -> Self {
        Self { board, hub, place: OnceLock::new(), devices: Mutex::default() }
    }

    /// The account is set up.
    pub(crate) fn ready(&self, data: &DataDir, file: &FleetFile) {
        // There is one set-up a process.
        let _ = self.place.set(Place { data: data.clone(), file: file.clone() });
    }

    /// Stops every device.
    pub(crate) async fn close(&self) {
        let devices = std::mem::take(&mut *self.lock());
        for device in devices.into_values() {
            device.end().await;
        }
    }

    fn known(&self, serial: &SerialNumber) -> Option<Arc<Device>> {
        self.lock().get(serial).cloned()
    }

    fn taken(&self, serial: &SerialNumber) -> Result<Arc<Device>, Refused> {
        let mut devices = self.lock();
        if let Some(device) = devices.get(serial) {
            return Ok(device.clone());
        }
        if devices.len() >= MOST {
            return Err(Refused(format!("there are {MOST} devices on the bench already")));
        }
        let device = Arc::new(Device::new(serial.clone(), self.board.account().clone(), self.hub.clone()));
        devices.insert(serial.clone(), device.clone());
        Ok(device)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SerialNumber, Arc<Device>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device's certificates as registered, the one in use last.
    fn shown(&self, serial: &SerialNumber, device: Option<&Device>) -> BenchDevice {
        let status = device.and_then(Device::status);
        let in_use = status.as_ref().and_then(|status| status.certificate);
        let certificates = self.certificates(serial, in_use);
        let not_after = certificates.last().and_then(|(_, end)| *end);
        let root = self.place.get().map_or("device", |place| place.file.topic_root.as_str());
        let shown = device.map(Device::shown).unwrap_or_default();
        BenchDevice {
            serial: serial.clone(),
            certificates: certificates.into_iter().map(|(id, _)| id).collect(),
            not_after,
            running: status.is_some(),
            connected: status.is_some_and(|status| status.connected),
            filters: shown.filters,
            automatic: shown.automatic,
            prefix: format!("{root}/{serial}/"),
            log: shown.log.into(),
        }
    }

    fn certificates(
        &self,
        serial: &SerialNumber,
        in_use: Option<CertificateId>,
    ) -> Vec<(CertificateId, Option<Timestamp>)> {
        let registry = self.board.account().store().read();
        let principals = registry.principals_of(&serial.thing()).iter();
        let mut records: Vec<_> = principals
            .filter_map(|id| registry.certificate(id))
            .filter(|record| record.status != CertificateStatus::PendingActivation)
            .collect();
        records.sort_by_key(|record| (Some(record.id) == in_use, record.created_at, record.id));
        records.into_iter().map(|record| (record.id, Some(record.not_after))).collect()
    }
}

/// The name of an order that changes something.
const fn verb(order: &BenchOrder) -> Option<&'static str> {
    match order {
        BenchOrder::Provision => Some("provision"),
        BenchOrder::Rotate => Some("rotate"),
        BenchOrder::Automatic(_) => Some("rotate by itself"),
        BenchOrder::Manual => Some("rotate on order"),
        BenchOrder::Connect
        | BenchOrder::Disconnect
        | BenchOrder::Publish { .. }
        | BenchOrder::Subscribe { .. } => None,
    }
}

impl Bench for Workbench {
    fn devices(&self) -> Vec<BenchDevice> {
        let devices: Vec<_> =
            self.lock().iter().map(|(serial, device)| (serial.clone(), device.clone())).collect();
        devices.iter().map(|(serial, device)| self.shown(serial, Some(device))).collect()
    }

    fn device(&self, serial: &SerialNumber) -> BenchDevice {
        self.shown(serial, self.known(serial).as_deref())
    }

    fn perform<'a>(&'a self, serial: &'a SerialNumber, order: BenchOrder, by: &'a str) -> Answer<'a> {
        Box::pin(async move {
            let place = self.place.get();
            let place =
                place.ok_or_else(|| Refused("the account is still being set up; try again".into()))?;
            let device = self.taken(serial)?;
            tracing::info!(%serial, by, "an order for a device on the bench");
            let (action, thing) = (verb(&order), serial.thing());
            let outcome = device.carry_out(order, place, &self.board).await;
            if let Some(action) = action {
                let what = "a device on the bench".to_owned();
                let failed = outcome.is_err();
                self.board.enter(Change { who: by, action, what, why: "", thing: Some(&thing), failed });
            }
            let words = outcome.map_err(|error| {
                let words = format!("{error:#}");
                device.note(words.clone());
                Refused(words)
            })?;
            Ok(Done { words })
        })
    }
}
