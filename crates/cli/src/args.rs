//! The command line: one definition per flag, from which parser and help both come.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fleetkey_model::name::SerialNumber;

#[cfg(feature = "aws")]
pub(crate) use fleet::{
    AccountArgs, CleanupArgs, DecommissionArgs, InventoryArgs, InventoryFormat, RevokeArgs, RotateClaimArgs,
    ServeArgs, SetupArgs, SignRequestArgs, StatusArgs, TemporaryClaimArgs,
};

#[cfg(feature = "aws")]
pub(crate) use recovery::{
    ApproveArgs, CloseArgs, OpenArgs, PanicClaimArgs, PanicCommand, PanicPolicyArgs, PanicUndoArgs,
    RecoveryCommand, RejectArgs, ShowArgs, WindowsArgs,
};

#[cfg(feature = "aws")]
pub(crate) use campaign::{CampaignCommand, OrderArgs, PlaceArgs, StartArgs};
pub(crate) use dashboard::DashboardArgs;
pub(crate) use device::{ExportArgs, ImportArgs, StepArgs};
pub(crate) use names::NameArgs;
pub(crate) use token::TokenCommand;

#[cfg(feature = "aws")]
mod campaign;
mod dashboard;
mod device;
pub(crate) use doctor::{CodesysArgs, DoctorArgs, DoctorCommand, NodeRedArgs};

mod doctor;
#[cfg(feature = "aws")]
mod fleet;
mod names;
#[cfg(feature = "aws")]
mod recovery;
mod token;

/// Certificates for MQTT fleets on AWS IoT Core that rotate themselves.
#[derive(Debug, Parser)]
#[command(name = "fleetkey", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How much to log, to standard error.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warn", env = "FLEETKEY_LOG")]
    pub(crate) log_level: String,
    /// How to log.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// The two ways to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What fleetkey can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a local IoT Core, set it up, provision a fleet and rotate it under load.
    Up(UpArgs),
    /// Run the local IoT Core.
    Local(LocalArgs),
    /// Make in an AWS account (or a local IoT Core) all that a fleet needs; run again, change what differs.
    #[cfg(feature = "aws")]
    Setup(SetupArgs),
    /// Remove everything of a fleet from an account, its devices included, and prove it.
    #[cfg(feature = "aws")]
    Cleanup(CleanupArgs),
    /// Tell what of a fleet exists in an account, and what differs.
    #[cfg(feature = "aws")]
    Status(StatusArgs),
    /// Take one device out of service: its thing, its certificates, its local files.
    #[cfg(feature = "aws")]
    Decommission(DecommissionArgs),
    /// Exchange the claim certificate; the old one is removed.
    #[cfg(feature = "aws")]
    RotateClaim(RotateClaimArgs),
    /// Have a claim made that ends after five minutes, for a person who takes one device into service.
    #[cfg(feature = "aws")]
    TemporaryClaim(TemporaryClaimArgs),
    /// Write a device's certificate and key for another program: its file names, permissions, and what to configure.
    Export(ExportArgs),
    /// Have the request of a PLC signed that keeps its key: the certificate, checked, registered, with a sheet of steps.
    #[cfg(feature = "aws")]
    SignRequest(SignRequestArgs),
    /// Run the controller: retire old certificates on the broker's word, until Ctrl-C.
    #[cfg(feature = "aws")]
    Serve(ServeArgs),
    /// List the fleet's certificates: age, status, thing, who was seen with them, and what deserves attention.
    #[cfg(feature = "aws")]
    Inventory(InventoryArgs),
    /// End certificates at once: revoked, and the connections that are open with them cut; measured.
    #[cfg(feature = "aws")]
    Revoke(RevokeArgs),
    /// Let devices that lost every identity recover by their claim, for a time, and decide on what comes of it.
    #[cfg(feature = "aws")]
    #[command(subcommand)]
    Recovery(RecoveryCommand),
    /// Stop a leaked claim, or everybody who has a policy, at once; and go back.
    #[cfg(feature = "aws")]
    #[command(subcommand)]
    Panic(PanicCommand),
    /// Have many devices rotate, in waves; a running `serve` carries it out.
    #[cfg(feature = "aws")]
    #[command(subcommand)]
    Campaign(CampaignCommand),
    /// Read the journals of a fleet directory.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Make, list and revoke tokens for the controller's API.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Act as one device of the fleet in a data directory.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Find out why a device cannot connect: files, clock, network, TLS, certificate, policy, topics; what to do.
    Doctor(Box<DoctorArgs>),
}

/// Where everything is kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataArgs {
    /// Directory for everything that must outlive the process.
    #[arg(long, value_name = "DIR", default_value = "fleetkey-data", env = "FLEETKEY_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
}

/// The addresses and ports of the local IoT Core.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListenArgs {
    /// Port for MQTT over mutual TLS; 0 takes any free one.
    #[arg(long, value_name = "PORT", default_value_t = 8883)]
    pub(crate) mqtt_port: u16,
    /// Port multiplexed by ALPN, as AWS's 443; 0 takes any free one.
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub(crate) alpn_port: u16,
    /// Address to listen on. Anything but loopback lets the network in.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) bind: IpAddr,
    /// A further host name or address for the server certificate; repeatable.
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,
    /// Make device certificates end after this time instead of in 2049 as AWS's do. For trials.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) device_validity: Option<Duration>,
}

/// `fleetkey up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// How many devices.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) devices: u32,
    /// How old a certificate may become.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) rotate_every: Duration,
    /// How long the devices may take to be provisioned; by default a minute, and half a second more a device.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) provision_within: Option<Duration>,
    /// How long to run from then on; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) run_for: Option<Duration>,
    /// How long real traffic runs on a new certificate before the old one is given up.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub(crate) soak: Duration,
    /// How long a retired certificate stays INACTIVE, and could be brought back, before it is REVOKED.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub(crate) grace: Duration,
    /// Serve the REST APIs too, on this address and port; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) rest: Option<SocketAddr>,
    /// One JSON object a line instead of progress bars. Standard output that is no terminal gets it anyway.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) panel: DashboardArgs,
    #[command(flatten)]
    pub(crate) names: NameArgs,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// The REST APIs of the local IoT Core.
#[derive(Debug, Clone, Args)]
pub(crate) struct RestArgs {
    /// Address and port of the REST APIs, over HTTP; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4566")]
    pub(crate) rest: SocketAddr,
    /// Take any access key and any signature, for tools that insist on their own. On loopback only.
    #[arg(long)]
    pub(crate) any_credentials: bool,
    /// Serve POST /_fleetkey/reset, which empties the account and needs no signature. On loopback only.
    #[arg(long)]
    pub(crate) allow_reset: bool,
    /// With --any-credentials: run the code of functions all the same, although anybody on this computer may then have
    /// it run what they like.
    #[arg(long, requires = "any_credentials")]
    pub(crate) allow_code: bool,
}

/// `fleetkey local …`.
#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// Print what AWS's clients need to use the local IoT Core, as lines for a shell: eval "$(fleetkey local env)".
    Env {
        #[command(flatten)]
        data: DataArgs,
    },
}

/// `fleetkey local`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LocalArgs {
    #[command(subcommand)]
    pub(crate) command: Option<LocalCommand>,
    /// Make the shipped policies, templates and claim certificate, and run the controller that retires old
    /// certificates.
    #[arg(long)]
    pub(crate) setup: bool,
    /// With --setup: how long a retired certificate stays INACTIVE before it is REVOKED.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub(crate) grace: Duration,
    /// Print one JSON object a line; the first when ready to serve.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) names: NameArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) switches: SwitchArgs,
    #[command(flatten)]
    pub(crate) rest: RestArgs,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// AWS's limits as switches; AWS's values by default.
#[derive(Debug, Clone, Args)]
pub(crate) struct LimitArgs {
    /// Messages a second that one connection may publish; 0 lifts the limit.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) messages_per_second: u32,
    /// Messages a second that one connection is delivered, the rest being discarded; AWS delivers 100, 0 is no limit.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) deliveries_per_second: u32,
    /// Refuse more than one CONNECT a second of one client id, as AWS does.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) connect_rate_limit: bool,
    /// Refuse calls beyond the account's rates as throttled, as AWS does: most operations of the REST API take 10 a second, Fleet
    /// Provisioning 10 devices a second.
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set)]
    pub(crate) account_rates: bool,
    /// How long a thing type must have been deprecated before it can be deleted; on AWS 5 minutes.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = delay)]
    pub(crate) type_deletion_delay: Duration,
}

/// What AWS leaves open.
#[derive(Debug, Clone, Args)]
pub(crate) struct SwitchArgs {
    /// Resume a persistent session when its client id connects with another certificate, as MQTT says. What AWS does
    /// is unknown.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) session_survives_certificate_change: bool,
    /// Refuse a certificate for this long after it became ACTIVE, as long as its activation takes to spread on AWS.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) activation_delay: Option<Duration>,
    /// Leave a connection open for this long after its certificate ceased to be ACTIVE; on AWS "a few minutes".
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = delay)]
    pub(crate) cut_delay: Duration,
}

/// Which device of which fleet.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeviceArgs {
    /// The device's serial number, which names its thing.
    #[arg(long, value_name = "SERIAL")]
    pub(crate) serial: SerialNumber,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// Which journals.
#[derive(Debug, Clone, Args)]
pub(crate) struct JournalArgs {
    /// Directory of the fleet.
    #[arg(long, value_name = "DIR", default_value = "fleetkey-data", env = "FLEETKEY_DATA_DIR")]
    pub(crate) fleet_dir: PathBuf,
}

/// `fleetkey journal …`.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Follow both journals, set-up's and the controller's, line by line; fails where one was changed or cut.
    Verify {
        #[command(flatten)]
        journals: JournalArgs,
    },
    /// Print what was done, by whom, to what and why, oldest first.
    Show {
        /// Only lines in which this word stands: a thing, a certificate, a request id.
        #[arg(long, value_name = "WORD")]
        about: Option<String>,
        #[command(flatten)]
        journals: JournalArgs,
    },
    /// Print every line as it stands, verified, oldest first, with the name of its journal.
    Export {
        #[command(flatten)]
        journals: JournalArgs,
    },
}

/// `fleetkey device …`.
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Get a first identity by claim certificate; its files are in `devices/SERIAL/export`.
    Provision {
        /// Let the service make the key instead of sending a CSR: the key then crosses the wire.
        #[arg(long)]
        service_key: bool,
        /// How long to try.
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
        timeout: Duration,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Take over a certificate and its key that another program has got: they become the device's first identity.
    Import {
        #[command(flatten)]
        files: ImportArgs,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Run the device's agent in the foreground: stay connected, rotate when due, obey commands.
    Connect {
        /// How old the certificate may become.
        #[arg(long, value_name = "DURATION", default_value = "30days", value_parser = duration)]
        rotate_every: Duration,
        /// Take local MQTT clients there, in plain MQTT, and carry their session with the device's certificate
        /// (docs/sidecar.md). Only a loopback address.
        #[arg(long, value_name = "ADDRESS:PORT")]
        sidecar: Option<SocketAddr>,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Publish one message with the device's certificate, beside its agent.
    Publish {
        /// The topic.
        topic: String,
        /// The payload, as it stands.
        payload: String,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Print messages with the device's certificate, beside its agent, until Ctrl-C.
    Subscribe {
        /// The topic filter.
        filter: String,
        /// Stop after so many messages.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Rotate now: through the running agent, or without one by running it until it is done.
    Rotate {
        /// How long to wait for the commit.
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
        timeout: Duration,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Prepare a rotation up to its commit, which waits for `switch`: key, certificate, registration, proof.
    Stage(StepArgs),
    /// Make what is staged the certificate in use, after one more proof: in the maintenance window.
    Switch(StepArgs),
    /// End the soak: have the certificate before the one in use retired now.
    Retire(StepArgs),
    /// Give up what is staged; or, until `retire` or the end of the soak, go back to the certificate before.
    Rollback(StepArgs),
    /// Check the device's files without touching them: permissions, record, slots, export, audit log.
    Verify {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Print what the device's audit log holds, one JSON object a line.
    Events {
        /// Print what the running agent tells from now on instead.
        #[arg(long)]
        follow: bool,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Tell how the device stands, whether its agent runs or not.
    Status {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        device: DeviceArgs,
    },
}

fn delay(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; for example 0s, 90s, 5m"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text);
    let parsed = parsed.map_err(|error| format!("{error}; for example 10s, 5m, 30days"))?;
    if parsed.is_zero() { Err("a duration is more than zero".into()) } else { Ok(parsed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_serial_that_could_leave_its_directory_is_refused_with_the_reason() {
        let error = Cli::try_parse_from(["fleetkey", "device", "status", "--serial", "../x"]).unwrap_err();
        assert!(error.to_string().contains("serial number contains '.'"), "{error}");
        let long = "s".repeat(122);
        let error = Cli::try_parse_from(["fleetkey", "device", "status", "--serial", &long]).unwrap_err();
        assert!(error.to_string().contains("122 bytes"), "{error}");
    }

    #[test]
    fn a_duration_that_is_none_is_refused_with_an_example() {
        let error = Cli::try_parse_from(["fleetkey", "up", "--for", "soon"]).unwrap_err();
        assert!(error.to_string().contains("for example 10s"), "{error}");
    }
}
