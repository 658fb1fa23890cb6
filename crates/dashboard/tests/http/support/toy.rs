//! A bench that does as it is told at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use fleetkey_dashboard::bench::{Bench, BenchDevice, BenchOrder, LogLine};
use fleetkey_dashboard::fleet::{Answer, Done, Refused};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::SerialNumber;
use fleetkey_model::time::Timestamp;

use super::fleet::NOW;

#[derive(Default)]
pub(crate) struct Toy {
    devices: Mutex<BTreeMap<SerialNumber, BenchDevice>>,
}

impl Bench for Toy {
    fn devices(&self) -> Vec<BenchDevice> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn device(&self, serial: &SerialNumber) -> BenchDevice {
        let devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        devices.get(serial).cloned().unwrap_or_else(|| blank(serial))
    }

    fn perform<'a>(&'a self, serial: &'a SerialNumber, order: BenchOrder, by: &'a str) -> Answer<'a> {
        Box::pin(async move {
            let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
            let device = devices.entry(serial.clone()).or_insert_with(|| blank(serial));
            if device.certificates.is_empty() && order != BenchOrder::Provision {
                return Err(Refused(format!("{serial} is not provisioned")));
            }
            device.log.push(LogLine { at: NOW, words: format!("{order:?} by {by}") });
            match order {
                BenchOrder::Provision | BenchOrder::Rotate => {
                    let number = device.certificates.len().to_string();
                    device.certificates.push(CertificateId::of_der(number.as_bytes()));
                    device.not_after = Some(Timestamp::AWS_CERTIFICATE_END);
                }
                BenchOrder::Connect => (device.running, device.connected) = (true, true),
                BenchOrder::Disconnect => (device.running, device.connected) = (false, false),
                BenchOrder::Publish { payload, .. } => device.log.push(LogLine { at: NOW, words: payload }),
                BenchOrder::Subscribe { filter } => device.filters.push(filter),
                BenchOrder::Automatic(rule) => device.automatic = Some(rule),
                BenchOrder::Manual => device.automatic = None,
            }
            Ok(Done { words: "done".to_owned() })
        })
    }
}

fn blank(serial: &SerialNumber) -> BenchDevice {
    BenchDevice {
        serial: serial.clone(),
        certificates: Vec::new(),
        not_after: None,
        running: false,
        connected: false,
        filters: Vec::new(),
        automatic: None,
        prefix: format!("device/{serial}/"),
        log: Vec::new(),
    }
}
