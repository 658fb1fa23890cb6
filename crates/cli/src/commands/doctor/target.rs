//! From flags, an agent's configuration or a fleet's directory to what is examined.

use std::path::PathBuf;

use anyhow::{Context, Result};
use fleetkey_agent::AgentConfig;
use fleetkey_agent::doctor::{Target, busy, previous};
use fleetkey_agent::store::{CERTIFICATE_FILE, EXPORT_LINK, KEY_FILE};
use fleetkey_agent::tls::Endpoint;
use fleetkey_model::name::{ClientId, SerialNumber, ThingName};
use fleetkey_model::topic::TopicRoot;
use fleetkey_operator::roots;

use crate::args::DoctorArgs;
use crate::datadir::DataDir;
use crate::fleet_file::FleetFile;

const MQTT_PORT: u16 = 8883;

/// The device that is examined.
#[derive(Debug)]
pub(super) struct Patient {
    endpoint: Endpoint,
    roots: Vec<PathBuf>,
    certificate: PathBuf,
    key: PathBuf,
    pub(super) thing: ThingName,
    pub(super) client: ClientId,
    pub(super) topic: String,
    pub(super) state_dir: Option<PathBuf>,
    alpn_port: u16,
    sni: bool,
    take_over: bool,
    limit: std::time::Duration,
}

impl Patient {
    /// What the flags say, and where they say nothing the configuration that they name.
    pub(super) fn of(args: &DoctorArgs) -> Result<Self> {
        let (config, alpn_port) = base(args)?;
        let config = config.as_ref();
        let (device, place) = (&args.device, &args.place);
        let state_dir = device.state_dir.clone().or_else(|| config.map(|config| config.state_dir.clone()));
        let exported = |file: &str| state_dir.as_ref().map(|dir| dir.join(EXPORT_LINK).join(file));
        let certificate = device.certificate.clone().or_else(|| exported(CERTIFICATE_FILE));
        let key = device.key.clone().or_else(|| exported(KEY_FILE));
        let thing = device.thing.clone().or_else(|| config.map(|config| config.serial.thing()));
        let thing = thing.context("say which thing it is: --thing NAME (or --config, --serial)")?;
        // Whoever owns the thing's session, the agent or the program beside it, is to use the thing's name.
        let client = device.client_id.clone();
        let root = device.topic_root.clone().or_else(|| config.map(|config| config.topic_root.clone()));
        let topic = device.topic.as_ref().map(ToString::to_string);
        let roots = match (place.roots.is_empty(), config) {
            (true, Some(config)) => config.roots.clone(),
            _ => place.roots.clone(),
        };
        Ok(Self {
            endpoint: endpoint(args, config)?,
            roots,
            certificate: certificate
                .context("say where the certificate is: --certificate FILE (or --state-dir)")?,
            key: key.context("say where its key is: --key FILE (or --state-dir)")?,
            client: client.unwrap_or_else(|| ClientId::live(&thing)),
            topic: topic.unwrap_or_else(|| root.unwrap_or_else(TopicRoot::default).verification(&thing)),
            thing,
            state_dir,
            alpn_port: alpn_port.unwrap_or(place.alpn_port),
            sni: !place.no_sni,
            take_over: args.take_over,
            limit: args.timeout,
        })
    }

    /// What the doctor is told.
    pub(super) fn target(&self) -> Result<Target> {
        let amazon = roots::amazon()?;
        Ok(Target {
            endpoint: self.endpoint.clone(),
            sni: self.sni,
            alpn_port: self.alpn_port,
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            roots: self.roots.clone(),
            known_roots: Some(("Amazon's root CAs".to_owned(), amazon)),
            previous: self
                .state_dir
                .as_ref()
                .and_then(|dir| previous(dir, SerialNumber::new(self.thing.as_str()).ok()?)),
            thing: self.thing.clone(),
            client: self.client.clone(),
            topic: self.topic.clone(),
            take_over: self.take_over,
            busy: self.state_dir.as_ref().and_then(|dir| busy(dir)),
            limit: self.limit,
        })
    }
}

/// The agent's configuration, and the port by ALPN where the fleet has it on record.
fn base(args: &DoctorArgs) -> Result<(Option<AgentConfig>, Option<u16>)> {
    if let Some(path) = &args.device.config {
        return Ok((Some(AgentConfig::load(path)?), None));
    }
    let Some(serial) = &args.device.serial else {
        return Ok((None, None));
    };
    let data = DataDir::existing(&args.device.data_dir)?;
    let fleet = FleetFile::read(&data)?;
    Ok((Some(fleet.agent(&data, serial)?), Some(fleet.alpn_port)))
}

fn endpoint(args: &DoctorArgs, config: Option<&AgentConfig>) -> Result<Endpoint> {
    let place = &args.place;
    let known = config.map(|config| config.endpoint.clone());
    // A host of its own is another place: nothing of the configuration's holds there.
    let known = match &place.endpoint {
        Some(host) => known.filter(|known| known.host == *host).or_else(|| Some(at(host))),
        None => known,
    };
    let known = known.context("say where the broker is: --endpoint HOST (or --config, --serial)")?;
    Ok(Endpoint {
        port: place.port.unwrap_or(known.port),
        alpn: place.alpn.clone().or(known.alpn),
        server_name: place.server_name.clone().or(known.server_name),
        host: known.host,
    })
}

fn at(host: &str) -> Endpoint {
    Endpoint { host: host.to_owned(), port: MQTT_PORT, alpn: None, server_name: None }
}
