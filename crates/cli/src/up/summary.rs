//! The verdict of a trial.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use fleetkey_iotcore::server::Handle;
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::ThingName;
use serde_json::{Value, json};

use super::counter::Counter;
use super::fleet::Fleet;
use super::load;

/// What a trial came to.
#[derive(Debug)]
pub(crate) struct Summary {
    devices: usize,
    rotations: u64,
    rolled_back: u64,
    sent: u64,
    received: u64,
    duplicated: u64,
    longest_gap: Duration,
    grace: Duration,
    /// Of this run's devices, whenever they were made; not of claim, counter and controller.
    certificates: BTreeMap<CertificateStatus, usize>,
}

impl Summary {
    pub(crate) fn new(core: &Handle, fleet: &Fleet, sent: u64, counter: &Counter, grace: Duration) -> Self {
        let tally = counter.tally();
        Self {
            devices: fleet.size(),
            rotations: fleet.rotations(),
            rolled_back: fleet.rolled_back(),
            sent,
            received: tally.received(),
            duplicated: tally.duplicated(),
            longest_gap: tally.longest_gap(),
            grace,
            certificates: certificates_of(core, fleet.things()),
        }
    }

    fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Success only if nothing was lost.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.lost() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    pub(crate) fn json(&self) -> Value {
        let certificates: BTreeMap<&str, usize> =
            self.certificates.iter().map(|(status, count)| (status.as_str(), *count)).collect();
        json!({
            "event": "summary",
            "devices": self.devices,
            "rotations": self.rotations,
            "rolled_back": self.rolled_back,
            "sent": self.sent,
            "received": self.received,
            "lost": self.lost(),
            "duplicated": self.duplicated,
            "longest_gap_ms": millis(self.longest_gap),
            "interval_ms": millis(load::INTERVAL),
            "grace_ms": millis(self.grace),
            "certificates": certificates,
        })
    }

    /// The same in words.
    pub(crate) fn words(&self) -> String {
        let certificates: Vec<String> =
            self.certificates.iter().map(|(status, count)| format!("{count} {status}")).collect();
        format!(
            "{} devices, {} rotations{}\n\
             {} messages sent at QoS 1, one every {} ms a device; {} lost, {} duplicated\n\
             longest gap between two messages of one device: {} ms\n\
             device certificates: {} (grace between INACTIVE and REVOKED: {})",
            self.devices,
            self.rotations,
            if self.rolled_back == 0 { String::new() } else { format!(", {} rolled back", self.rolled_back) },
            self.sent,
            millis(load::INTERVAL),
            self.lost(),
            self.duplicated,
            millis(self.longest_gap),
            certificates.join(", "),
            humantime::format_duration(self.grace),
        )
    }
}

/// The statuses of the certificates that are attached to these things.
pub(crate) fn certificates_of<'a>(
    core: &Handle,
    things: impl Iterator<Item = &'a ThingName>,
) -> BTreeMap<CertificateStatus, usize> {
    let mut counts = BTreeMap::new();
    let registry = core.account().store().read();
    for record in
        things.flat_map(|thing| registry.principals_of(thing)).filter_map(|id| registry.certificate(id))
    {
        *counts.entry(record.status).or_default() += 1;
    }
    counts
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
