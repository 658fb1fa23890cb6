//! The controller at work beside the local IoT Core: it reaches the broker over mutual TLS like any client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleetkey_agent::tls::{ClientIdentity, Dialer};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_operator::controller::{Config, Connection, Controller, Engine, Journal, Ledger};
use fleetkey_operator::documents::Fleet;

use crate::control::{Line, LocalControl};
use crate::datadir::DataDir;

/// The longest that the controller waits, after a device's own soak, before an old certificate is made INACTIVE.
const SOAK: Duration = Duration::from_millis(500);
/// How many graces old a certificate that was never used must be to count as left over: a day with the hour's grace
/// of `local`, the better part of a minute with the two seconds of `up`.
const LEFTOVER_GRACES: u32 = 24;
/// The least: a trial's rotation needs that long to commit.
const LEFTOVER_AT_LEAST: Duration = Duration::from_secs(30);
/// The directory of the ledger, in the operator's.
pub(crate) const LEDGER: &str = "retirements";
/// How long the controller may take to hear the broker at the start.
const READY: Duration = Duration::from_secs(10);

/// A controller that runs.
#[derive(Debug)]
pub(crate) struct Retirement {
    controller: Controller,
}

impl Retirement {
    /// Starts the controller on its journal and waits until it hears requests and presence.
    pub(crate) async fn start(
        control: LocalControl,
        dialer: Dialer,
        identity: ClientIdentity,
        fleet: &Fleet,
        data: &DataDir,
        grace: Duration,
    ) -> Result<Self> {
        let directory = data.operator().join(LEDGER);
        let unusable = "the controller's journal cannot be used";
        let (journal, records) = Journal::open(&directory).context(unusable)?;
        let config = Config {
            soak: SOAK,
            grace,
            leftover_after: grace.saturating_mul(LEFTOVER_GRACES).max(LEFTOVER_AT_LEAST),
            look_again: Duration::from_millis(100),
            ..Config::default()
        };
        let clock = Arc::new(|| SystemClock.now());
        let ledger = Ledger::read(config, records).context(unusable)?;
        let engine = Engine::new(ledger, journal, Arc::new(control), clock);
        let connection = Connection::new(fleet.names.controller_client.clone());
        let mut controller = Controller::start(engine, Line { dialer, identity }, connection);
        let ready = tokio::time::timeout(READY, controller.ready()).await;
        ensure!(matches!(ready, Ok(true)), "the controller cannot connect to the local IoT Core");
        Ok(Self { controller })
    }

    /// Ends the controller after the call it is in.
    pub(crate) async fn stop(self) {
        self.controller.stop().await;
    }
}
