//! The flags of `fleetkey doctor`: whose way to the broker it is, and how far the doctor may go.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, SerialNumber, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::{TopicFilter, TopicName, TopicRoot};

/// `fleetkey doctor`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DoctorArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DoctorCommand>,
    #[command(flatten)]
    pub(crate) device: DoctorDevice,
    #[command(flatten)]
    pub(crate) place: DoctorPlace,
    #[command(flatten)]
    pub(crate) account: DoctorAccount,
    /// Connect with the client's own id too. A device that is connected with it is thrown off line for a moment, and
    /// what waits in its session may come here instead.
    #[arg(long)]
    pub(crate) take_over: bool,
    /// Then have the agent rotate, and examine again. Needs a running agent.
    #[arg(long)]
    pub(crate) again_after_rotation: bool,
    /// What the device's clock shows, when this is not the device; for example 2026-11-22T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) device_time: Option<Timestamp>,
    /// How long each step may take.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = super::duration)]
    pub(crate) timeout: Duration,
    /// One JSON object instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `fleetkey doctor …`.
#[derive(Debug, Subcommand)]
pub(crate) enum DoctorCommand {
    /// Look at a Node-RED: what in its settings loses its certificate, its key or its messages.
    NodeRed(NodeRedArgs),
    /// Look at a PLC under CODESYS, by a description and its exported certificates: what would keep it from connecting.
    Codesys(CodesysArgs),
}

/// `fleetkey doctor codesys`.
#[derive(Debug, Args)]
pub(crate) struct CodesysArgs {
    /// The description of the PLC (TOML; docs/doctor.md has one). Files that it names are beside it.
    #[arg(value_name = "FILE")]
    pub(crate) plc: PathBuf,
    /// The thing's name, which the client id should be; by default what the description says.
    #[arg(long, value_name = "NAME", value_parser = thing, env = "FLEETKEY_THING")]
    pub(crate) thing: Option<ThingName>,
    /// The certificate that the broker last saw the client connect with: principalIdentifier of the presence event.
    #[arg(long, value_name = "ID")]
    pub(crate) principal: Option<CertificateId>,
    /// What the PLC's clock shows; by default this computer's. For example 2026-11-22T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) device_time: Option<Timestamp>,
    /// One JSON object instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `fleetkey doctor node-red`.
#[derive(Debug, Args)]
pub(crate) struct NodeRedArgs {
    /// The Admin API. A token that may read flows is taken from the file that FLEETKEY_NODE_RED_TOKEN_FILE names.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:1880")]
    pub(crate) url: String,
    /// A flow file, instead of asking the Admin API.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub(crate) flows: Option<PathBuf>,
    /// The thing's name, which the client id should be.
    #[arg(long, value_name = "NAME", value_parser = thing, env = "FLEETKEY_THING")]
    pub(crate) thing: Option<ThingName>,
    /// The certificate that the broker last saw the client connect with: principalIdentifier of the presence event.
    #[arg(long, value_name = "ID")]
    pub(crate) principal: Option<CertificateId>,
    /// How long each answer of the Admin API may take.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::duration)]
    pub(crate) timeout: Duration,
    /// One JSON object instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whose identity.
#[derive(Debug, Args)]
pub(crate) struct DoctorDevice {
    /// The configuration of the device's agent; the other flags go before it.
    #[arg(long, value_name = "FILE", conflicts_with = "serial")]
    pub(crate) config: Option<PathBuf>,
    /// A device of the fleet in the data directory, instead.
    #[arg(long, value_name = "SERIAL")]
    pub(crate) serial: Option<SerialNumber>,
    /// The data directory of --serial.
    #[arg(long, value_name = "DIR", default_value = "fleetkey-data", env = "FLEETKEY_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// An agent's state directory: the certificate and key that it exports.
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The certificate, PEM.
    #[arg(long, value_name = "FILE", env = "FLEETKEY_CERTIFICATE")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE", env = "FLEETKEY_KEY")]
    pub(crate) key: Option<PathBuf>,
    /// The thing's name.
    #[arg(long, value_name = "NAME", value_parser = thing, env = "FLEETKEY_THING")]
    pub(crate) thing: Option<ThingName>,
    /// The client id that the device's client uses; by default the thing's name.
    #[arg(long, value_name = "ID", value_parser = client)]
    pub(crate) client_id: Option<ClientId>,
    /// The first levels of the business topics; the echo is on ROOT/THING/verify.
    #[arg(long, value_name = "TOPIC", value_parser = super::device::topic_root)]
    pub(crate) topic_root: Option<TopicRoot>,
    /// The topic of the echo, instead.
    #[arg(long, value_name = "TOPIC", value_parser = topic_name)]
    pub(crate) topic: Option<TopicName>,
    /// A topic that the device publishes to, asked of the account; repeatable.
    #[arg(long = "publishes", value_name = "TOPIC", value_parser = topic_name)]
    pub(crate) publishes: Vec<TopicName>,
    /// A filter that the device subscribes to, asked of the account; repeatable.
    #[arg(long = "subscribes", value_name = "FILTER", value_parser = topic_filter)]
    pub(crate) subscribes: Vec<TopicFilter>,
}

/// Where the broker is, and how the client speaks to it.
#[derive(Debug, Args)]
pub(crate) struct DoctorPlace {
    /// The broker's host.
    #[arg(long, value_name = "HOST", env = "FLEETKEY_ENDPOINT", value_parser = host)]
    pub(crate) endpoint: Option<String>,
    /// The broker's port; by default 8883.
    #[arg(long, value_name = "PORT", env = "FLEETKEY_MQTT_PORT")]
    pub(crate) port: Option<u16>,
    /// The broker's port by ALPN, where the time is asked.
    #[arg(long, value_name = "PORT", default_value_t = 443, env = "FLEETKEY_ALPN_PORT")]
    pub(crate) alpn_port: u16,
    /// The ALPN protocol that the client offers.
    #[arg(long, value_name = "NAME")]
    pub(crate) alpn: Option<String>,
    /// The name to look for in the server's certificate, when it is not the host.
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// The client sends no server name (SNI).
    #[arg(long)]
    pub(crate) no_sni: bool,
    /// A file with trusted roots, PEM; repeatable.
    #[arg(long = "ca", value_name = "FILE", env = "FLEETKEY_ROOT_CA")]
    pub(crate) roots: Vec<PathBuf>,
}

/// The account to ask; what is not said comes from the environment and the profile, as for every AWS tool.
#[derive(Debug, Args)]
pub(crate) struct DoctorAccount {
    /// Do not ask the account.
    #[arg(long)]
    pub(crate) no_account: bool,
    /// The region of the endpoint.
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    pub(crate) region: Option<String>,
    /// The profile of the shared AWS configuration files.
    #[arg(long, value_name = "NAME", env = "AWS_PROFILE")]
    pub(crate) profile: Option<String>,
    /// One URL for all services instead of AWS's, for example of a local IoT Core.
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    pub(crate) endpoint_url: Option<String>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    let moment = humantime::parse_rfc3339_weak(text)
        .map_err(|error| format!("{error}; for example 2026-11-22T10:00:00Z"))?;
    let since = moment.duration_since(std::time::UNIX_EPOCH).map_err(|_| "a time before 1970".to_owned())?;
    Ok(Timestamp::from_secs(since.as_secs()))
}

fn thing(text: &str) -> Result<ThingName, String> {
    ThingName::new(text).map_err(|error| error.to_string())
}

fn topic_name(text: &str) -> Result<TopicName, String> {
    TopicName::new(text).map_err(|error| error.to_string())
}

fn topic_filter(text: &str) -> Result<TopicFilter, String> {
    TopicFilter::new(text).map_err(|error| error.to_string())
}

/// A URL or a port here would be looked up as a name.
fn host(text: &str) -> Result<String, String> {
    let is_host = !text.is_empty() && !text.contains([':', '/', ' ']) || text.parse::<IpAddr>().is_ok();
    is_host.then(|| text.to_owned()).ok_or_else(|| {
        "it is the name of a host alone, without 'ssl://' in front and a port behind (--port)".to_owned()
    })
}

fn client(text: &str) -> Result<ClientId, String> {
    ClientId::new(text).map_err(|error| error.to_string())
}
