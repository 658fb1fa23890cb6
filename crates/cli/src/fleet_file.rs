//! `operator/config.json`: where the fleet's broker is and what to provision with. Written by set-up, read by the
//! device commands. Holds paths, never secrets.
//!
//! The paths are absolute, for whoever else reads the file. A fleet directory may be moved or copied nevertheless: what lay
//! in the directory that the file was written for is read from the one that it is in now.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use fleetkey_agent::config::{AgentConfig, ClaimConfig};
use fleetkey_iotcore::server::Handle;
use fleetkey_model::name::{SerialNumber, TemplateName};
use fleetkey_model::topic::TopicRoot;
use fleetkey_operator::documents::Fleet;
use fleetkey_operator::files;
use fleetkey_operator::setup::{Credential, Report};
use serde::{Deserialize, Serialize};

use crate::datadir::DataDir;

pub(crate) const FILE: &str = "config.json";

/// What a device must know of its fleet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FleetFile {
    pub(crate) endpoint: String,
    pub(crate) mqtt_port: u16,
    pub(crate) alpn_port: u16,
    pub(crate) root_ca: PathBuf,
    pub(crate) topic_root: String,
    pub(crate) templates: Templates,
    pub(crate) claim: KeyPair,
    pub(crate) observer: KeyPair,
    pub(crate) controller: KeyPair,
}

/// Where the broker is, and by which roots it is known.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) endpoint: String,
    pub(crate) mqtt_port: u16,
    pub(crate) alpn_port: u16,
    pub(crate) root_ca: PathBuf,
}

/// The provisioning templates by role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Templates {
    pub(crate) claim: TemplateName,
    pub(crate) rotation: TemplateName,
    pub(crate) recovery: TemplateName,
}

/// Where a certificate and its key are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeyPair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl FleetFile {
    /// What set-up has found and made on this local IoT Core.
    pub(crate) fn of(core: &Handle, fleet: &Fleet, report: &Report) -> Self {
        let place = Place {
            endpoint: core.endpoint().to_owned(),
            mqtt_port: core.ports().mqtt,
            alpn_port: core.ports().alpn,
            root_ca: core.root_ca_path().to_owned(),
        };
        Self::new(place, fleet, [&report.claim, &report.observer, &report.controller])
    }

    /// A fleet at an endpoint, with the credentials of claim, observer and controller.
    pub(crate) fn new(place: Place, fleet: &Fleet, [claim, observer, controller]: [&Credential; 3]) -> Self {
        let pair = |credential: &Credential| KeyPair {
            certificate: credential.certificate.clone(),
            key: credential.key.clone(),
        };
        Self {
            endpoint: place.endpoint,
            mqtt_port: place.mqtt_port,
            alpn_port: place.alpn_port,
            root_ca: place.root_ca,
            topic_root: fleet.root.as_str().to_owned(),
            templates: Templates {
                claim: fleet.names.claim_template.clone(),
                rotation: fleet.names.rotation_template.clone(),
                recovery: fleet.names.recovery_template.clone(),
            },
            claim: pair(claim),
            observer: pair(observer),
            controller: pair(controller),
        }
    }

    /// Writes it into the operator's directory, durably.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("config.json cannot be written")?;
        files::write(&directory.join(FILE), text.as_bytes(), 0o644).context("config.json cannot be written")
    }

    /// Reads what set-up wrote.
    pub(crate) fn read(data: &DataDir) -> Result<Self> {
        let path = data.operator().join(FILE);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "there is no fleet in this data directory ({} is missing); \
                 start `fleetkey local --setup` on it first, or name another with --data-dir",
                path.display()
            )
        })?;
        let file: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; run set-up again", path.display()))?;
        Ok(file.brought_to(data.root()))
    }

    /// The same with the files of the directory that it was written for taken from this one, as far as they are here.
    fn brought_to(mut self, here: &Path) -> Self {
        let Some(there) = self.written_for().filter(|there| there != here) else { return self };
        let pairs = [&mut self.claim, &mut self.observer, &mut self.controller];
        let files = pairs.into_iter().flat_map(|pair| [&mut pair.certificate, &mut pair.key]);
        for path in files.chain([&mut self.root_ca]) {
            let moved = path.strip_prefix(&there).map(|inside| here.join(inside));
            if let Some(moved) = moved.ok().filter(|moved| moved.exists()) {
                *path = moved;
            }
        }
        self
    }

    /// The data directory that set-up wrote it in, if the claim lies where set-up puts it: `operator/claim/`.
    fn written_for(&self) -> Option<PathBuf> {
        let operator = self.claim.certificate.parent()?.parent()?;
        (operator.file_name()? == "operator").then_some(operator.parent()?.to_owned())
    }

    /// The agent of one device of this fleet, with patience that suits a broker on the same machine.
    pub(crate) fn agent(&self, data: &DataDir, serial: &SerialNumber) -> Result<AgentConfig> {
        let rotation = self.templates.rotation.clone();
        let mut config = AgentConfig::new(
            serial.clone(),
            self.endpoint.clone(),
            vec![self.root_ca.clone()],
            data.device(serial),
            rotation,
        );
        config.endpoint.port = self.mqtt_port;
        config.topic_root = TopicRoot::new(self.topic_root.clone())
            .with_context(|| format!("{:?} in config.json is no topic root", self.topic_root))?;
        let recovery_template = Some(self.templates.recovery.clone());
        config.claim = Some(ClaimConfig {
            recovery_template,
            ..ClaimConfig::new(
                self.claim.certificate.clone(),
                self.claim.key.clone(),
                self.templates.claim.clone(),
            )
        });
        config.rotation.soak = Duration::from_secs(1);
        config.rotation.retire_retry = Duration::from_secs(2);
        config.rotation.backoff.base = Duration::from_millis(200);
        config.rotation.backoff.step_cap = Duration::from_secs(5);
        config.session.reconnect_cap = Duration::from_secs(2);
        Ok(config)
    }
}
