//! The local IoT Core in this process: listeners bound as the flags say, the server started on them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use fleetkey_iotcore::clock::SystemClock;
use fleetkey_iotcore::config::{Config, RestOptions};
use fleetkey_iotcore::limits::{Limits, Switches};
use fleetkey_iotcore::server::{self, Handle, Listeners};
use fleetkey_model::arn::Scope;
use fleetkey_operator::files;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::args::{LimitArgs, ListenArgs, RestArgs, SwitchArgs};
use crate::datadir::DataDir;
use crate::output;

/// Where and how the REST APIs are served.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rest {
    /// Nowhere without it.
    pub(crate) address: Option<SocketAddr>,
    /// What they may do.
    pub(crate) options: RestOptions,
}

impl Rest {
    /// As the flags say.
    pub(crate) fn of(args: &RestArgs) -> Self {
        let options = RestOptions {
            any_credentials: args.any_credentials,
            allow_reset: args.allow_reset,
            allow_code: args.allow_code,
        };
        Self { address: Some(args.rest), options }
    }
}

/// Starts the local IoT Core of a data directory that this process has locked.
///
/// # Errors
/// When a port is taken, or the server does not start.
pub(crate) async fn start(
    data: &DataDir,
    listen: &ListenArgs,
    region: Option<Scope>,
    rest: Rest,
    limits: Limits,
    switches: Switches,
) -> Result<Handle> {
    warn_beyond_loopback(listen.bind);
    if let Some(address) = rest.address {
        check_rest(address, rest.options)?;
    }
    let listeners = Listeners {
        mqtt: bind(listen.bind, listen.mqtt_port, "--mqtt-port").await?,
        alpn: bind(listen.bind, listen.alpn_port, "--alpn-port").await?,
        rest: match rest.address {
            Some(address) => Some(bind(address.ip(), address.port(), "--rest").await?),
            None => None,
        },
    };
    let config = Config {
        hosts: listen.hosts.clone(),
        device_validity: listen.device_validity,
        scope: scope(data, region)?,
        limits,
        switches,
        rest: rest.options,
        ..Config::new(data.iotcore())
    };
    server::start(config, listeners, Arc::new(SystemClock)).await.context("the local IoT Core does not start")
}

/// The limits that the flags leave.
pub(crate) fn limits(args: &LimitArgs) -> Limits {
    let rate = |number: u32| (number > 0).then_some(number);
    Limits {
        publishes_per_second: rate(args.messages_per_second),
        deliveries_per_second: rate(args.deliveries_per_second),
        connects_per_second: args.connect_rate_limit.then_some(1),
        account_rates: args.account_rates,
        type_deletion_delay: args.type_deletion_delay,
        ..Limits::default()
    }
}

/// The switches as the flags set them.
pub(crate) fn switches(args: &SwitchArgs) -> Switches {
    Switches {
        session_survives_certificate_change: args.session_survives_certificate_change,
        activation_delay: args.activation_delay.unwrap_or_default(),
        cut_delay: args.cut_delay,
        ..Switches::default()
    }
}

/// The URL of the REST APIs, if they are served, as `AWS_ENDPOINT_URL` takes it.
pub(crate) fn api_url(core: &Handle) -> Option<String> {
    let address = core.rest_address()?;
    // Who listens everywhere is dialled on loopback.
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Some(format!("http://{}", SocketAddr::new(ip, address.port())))
}

/// What a program needs to know to use it. The secret half of the access key is not in it, because lines like this
/// one end up in logs: `fleetkey local env` prints it.
pub(crate) fn ready_line(core: &Handle) -> Value {
    let scope = core.account().scope();
    json!({
        "event": "ready",
        "endpoint": core.endpoint(),
        "mqtt_port": core.ports().mqtt,
        "alpn_port": core.ports().alpn,
        "api_url": api_url(core),
        "root_ca": core.root_ca_path(),
        "region": scope.region,
        "account_id": scope.account,
        "access_key_id": core.access_key().access_key_id,
    })
}

/// The region that was given, or that the directory had last: its policies and templates name it.
fn scope(data: &DataDir, given: Option<Scope>) -> Result<Scope> {
    let path = data.iotcore().join("region");
    let kept = files::read(&path)?.map(|kept| String::from_utf8_lossy(&kept).into_owned());
    match (given, kept) {
        (None, None) => Ok(Scope::local()),
        (None, Some(kept)) => Scope::local_in(&kept)
            .with_context(|| format!("{} names no region; --region writes it anew", path.display())),
        (Some(given), kept) => {
            if kept.as_ref() != Some(&given.region) {
                files::make_directory(&data.iotcore())?;
                files::write(&path, given.region.as_bytes(), files::PRIVATE)?;
            }
            Ok(given)
        }
    }
}

async fn bind(address: IpAddr, port: u16, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(address, port)).await.map_err(|error| {
        anyhow!("cannot listen on {address} port {port}: {error}; choose another port with {flag} (0 takes any free one)")
    })
}

fn check_rest(address: SocketAddr, options: RestOptions) -> Result<()> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    if options.any_credentials {
        bail!(
            "--any-credentials lets anybody in who can reach --rest {address}: it is for loopback addresses only"
        );
    }
    if options.allow_reset {
        bail!(
            "--allow-reset lets anybody empty the account who can reach --rest {address}, without a signature: it is for \
             loopback addresses only"
        );
    }
    output::warn(&format!(
        "warning: --rest {address} opens the REST APIs, unencrypted, to anyone who can reach this address. Requests \
         must be signed with the access key, but keep it off networks you do not trust."
    ));
    Ok(())
}

fn warn_beyond_loopback(address: IpAddr) {
    if !address.is_loopback() {
        output::warn(&format!(
            "warning: --bind {address} opens both MQTT ports of the local IoT Core to anyone who can reach this address. \
             Clients still need a registered certificate, but this is a trial server: keep it off networks you do not trust."
        ));
    }
}
