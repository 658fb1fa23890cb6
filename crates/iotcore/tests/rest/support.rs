//! A local IoT Core for one test, and a client that signs.

use std::sync::Arc;
use std::time::Duration;

use fleetkey_iotcore::clock::{Clock as _, ManualClock};
use fleetkey_iotcore::config::Config;
use fleetkey_iotcore::limits::Limits;
use fleetkey_iotcore::server::{Handle, Listeners, start};
use fleetkey_model::time::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use http::{Answer, exchange, read};
pub(crate) use sign::{Request, Signer};

mod http;
pub(crate) mod page;
mod sign;
pub(crate) mod zip;

/// No wait of a test that works comes near this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running local IoT Core with a directory and a clock of its own.
pub(crate) struct World {
    pub(crate) handle: Handle,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// `adjust` has the last word on the configuration.
    pub(crate) async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path().join("data"));
        config.limits = Limits::unthrottled();
        config.sweep_every = Duration::from_millis(10);
        adjust(&mut config);
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let listeners = Listeners::loopback().await.unwrap();
        let handle = start(config, listeners, clock.clone()).await.unwrap();
        Self { handle, clock, dir }
    }

    pub(crate) fn port(&self) -> u16 {
        self.handle.ports().rest.unwrap()
    }

    /// Signs with the account's own key, now.
    pub(crate) fn signer(&self) -> Signer {
        let key = self.handle.access_key();
        Signer {
            access_key: key.access_key_id.clone(),
            secret: key.secret_access_key.expose().to_owned(),
            region: "us-east-1".to_owned(),
            now: self.clock.now(),
            token: None,
        }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request) -> Answer {
        exchange(self.port(), &request.bytes()).await
    }

    /// Signs and sends a request to a service.
    pub(crate) async fn call(&self, service: &str, request: Request) -> Answer {
        self.send(self.signer().sign(service, request.host(self.port()))).await
    }

    /// A call to AWS IoT with a JSON body.
    pub(crate) async fn iot(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.call("iot", Request::new(method, path).body(body)).await
    }
}
