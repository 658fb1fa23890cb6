//! A local IoT Core made ready for a fleet: set-up done, the controller at work, the identities of counter and
//! controller at hand.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fleetkey_agent::clock::SystemClock;
use fleetkey_agent::tls::{ClientIdentity, Dialer, Endpoint, Roots};
use fleetkey_iotcore::clock::Clock;
use fleetkey_iotcore::server::Handle;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::TopicRoot;
use fleetkey_operator::control_plane::Hook;
use fleetkey_operator::documents::{Fleet, Names};
use fleetkey_operator::plan::with_template;
use fleetkey_operator::setup::{Report, Settings, setup};

use crate::args::NameArgs;
use crate::control::LocalControl;
use crate::datadir::DataDir;
use crate::fleet_file::{FleetFile, KeyPair};
use crate::retirement::Retirement;
use crate::windows::Kept;

/// How long the counter and the controller may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// A fleet's account, ready.
#[derive(Debug)]
pub(crate) struct Stage {
    file: FleetFile,
    report: Report,
    /// With what it was set up, for another time.
    control: LocalControl,
    settings: Settings,
    dialer: Dialer,
    grace: Duration,
    retirement: Retirement,
    windows: Kept,
}

impl Stage {
    /// Sets the account up, writes `operator/config.json`, and starts the controller.
    ///
    /// # Errors
    /// When a resource cannot be made, or the controller's identity cannot be read.
    pub(crate) async fn set_up(
        core: &Handle,
        data: &DataDir,
        grace: Duration,
        called: &NameArgs,
    ) -> Result<Self> {
        let scope = core.account().scope().clone();
        let mut names = Names::new("")?;
        if let Some(template) = called.template()? {
            with_template(&mut names, template.as_str())
                .with_context(|| format!("{template} leaves no room for -rotate and -recover behind it"))?;
        }
        let fleet = Fleet { scope, root: called.topic_root(), names };
        let settings = Settings {
            fleet,
            claim_hook: Some(Hook::Serials { allow: vec!["*".to_owned()] }),
            rotation_hook: Some(Hook::OwnThing),
            recovery_hook: None,
            directory: data.operator(),
        };
        let control = LocalControl::of(core);
        let report = setup(&control, &settings).await.context("the account cannot be set up")?;
        let fleet = &settings.fleet;
        let file = FleetFile::of(core, fleet, &report);
        file.write(&data.operator())?;
        let dialer = dialer(&file);
        let identity = identity(&file.controller)?;
        let recovery = fleet.names.recovery_template.clone();
        let windows = Kept::start(control.clone(), recovery, data.operator());
        let line = dialer.clone();
        let retirement = Retirement::start(control.clone(), line, identity, fleet, data, grace).await?;
        Ok(Self { file, report, control, settings, dialer, grace, retirement, windows })
    }

    /// What set-up found and did.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// With what it was set up.
    pub(crate) fn tools(&self) -> (LocalControl, Settings) {
        (self.control.clone(), self.settings.clone())
    }

    /// What devices must know.
    pub(crate) fn file(&self) -> &FleetFile {
        &self.file
    }

    /// What its resources are called.
    pub(crate) fn names(&self) -> &Names {
        &self.settings.fleet.names
    }

    pub(crate) fn root(&self) -> &TopicRoot {
        &self.settings.fleet.root
    }

    /// How long a retired certificate stays INACTIVE before it is REVOKED.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// Connections to the broker.
    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    pub(crate) fn observer_client(&self) -> &ClientId {
        &self.settings.fleet.names.observer_client
    }

    pub(crate) fn observer(&self) -> Result<ClientIdentity> {
        identity(&self.file.observer)
    }

    pub(crate) fn now(&self) -> Timestamp {
        fleetkey_iotcore::clock::SystemClock.now()
    }

    /// Stops the controller.
    pub(crate) async fn end(self) {
        self.windows.stop().await;
        self.retirement.stop().await;
    }
}

/// Connections to the broker that `file` names.
pub(crate) fn dialer(file: &FleetFile) -> Dialer {
    let endpoint =
        Endpoint { host: file.endpoint.clone(), port: file.mqtt_port, alpn: None, server_name: None };
    let roots = Arc::new(Roots::new(vec![file.root_ca.clone()]));
    Dialer::new(endpoint, roots, Arc::new(SystemClock), CONNECT)
}

fn identity(pair: &KeyPair) -> Result<ClientIdentity> {
    ClientIdentity::from_files(&pair.certificate, &pair.key)
        .context("an identity of the operator cannot be read")
}
