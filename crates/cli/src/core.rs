//! The local IoT Core in this process: listeners bound as the flags say, the server started on them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use fleetkey_iotcore::clock::SystemClock;
use fleetkey_iotcore::config::Config;
use fleetkey_iotcore::limits::{Limits, Switches};
use fleetkey_iotcore::server::{self, Handle, Listeners};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::args::{LimitArgs, ListenArgs, SwitchArgs};
use crate::datadir::DataDir;
use crate::output;

/// Starts the local IoT Core of a data directory that this process has locked.
///
/// # Errors
/// When a port is taken, or the server does not start.
pub(crate) async fn start(
    data: &DataDir,
    listen: &ListenArgs,
    limits: Limits,
    switches: Switches,
) -> Result<Handle> {
    warn_beyond_loopback(listen.bind);
    let listeners = Listeners {
        mqtt: bind(listen.bind, listen.mqtt_port, "--mqtt-port").await?,
        alpn: bind(listen.bind, listen.alpn_port, "--alpn-port").await?,
        rest: None,
    };
    let config = Config {
        hosts: listen.hosts.clone(),
        device_validity: listen.device_validity,
        limits,
        switches,
        ..Config::new(data.iotcore())
    };
    server::start(config, listeners, Arc::new(SystemClock)).await.context("the local IoT Core does not start")
}

/// The limits that the flags leave.
pub(crate) fn limits(args: &LimitArgs) -> Limits {
    Limits {
        publishes_per_second: (args.messages_per_second > 0).then_some(args.messages_per_second),
        connects_per_second: args.connect_rate_limit.then_some(1),
        ..Limits::default()
    }
}

/// The switches as the flags set them.
pub(crate) fn switches(args: &SwitchArgs) -> Switches {
    Switches {
        session_survives_certificate_change: args.session_survives_certificate_change,
        activation_delay: args.activation_delay.unwrap_or_default(),
        ..Switches::default()
    }
}

/// What a program needs to know to use it; nulls until there is a REST API.
pub(crate) fn ready_line(core: &Handle) -> Value {
    let scope = core.account().scope();
    json!({
        "event": "ready",
        "endpoint": core.endpoint(),
        "mqtt_port": core.ports().mqtt,
        "alpn_port": core.ports().alpn,
        "api_url": null,
        "root_ca": core.root_ca_path(),
        "region": scope.region,
        "account_id": scope.account,
        "access_key_id": null,
        "secret_access_key": null,
    })
}

async fn bind(address: IpAddr, port: u16, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(address, port)).await.map_err(|error| {
        anyhow!("cannot listen on {address} port {port}: {error}; choose another port with {flag} (0 takes any free one)")
    })
}

fn warn_beyond_loopback(address: IpAddr) {
    if !address.is_loopback() {
        output::warn(&format!(
            "warning: --bind {address} opens both MQTT ports of the local IoT Core to anyone who can reach this address. \
             Clients still need a registered certificate, but this is a trial server: keep it off networks you do not trust."
        ));
    }
}
