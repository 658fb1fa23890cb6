//! What a local IoT Core is told when it starts. Checked by whoever reads it from flags or files; nothing here is
//! read from the environment.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::arn::Scope;

use crate::limits::{Limits, Switches};
use crate::provisioning::ProvisioningConfig;
use crate::seams::{FunctionInvoker, Roles};

/// How to run a local IoT Core.
#[derive(Clone)]
pub struct Config {
    /// Where registry, sessions and CAs live. It is made, for its owner alone, when it does not exist.
    pub data_dir: PathBuf,
    /// Names and addresses in the server's certificate, besides localhost, 127.0.0.1 and ::1.
    pub hosts: Vec<String>,
    /// How long certificates live that the local IoT Core issues; `None` is AWS's end in 2049.
    pub device_validity: Option<Duration>,
    /// The account and region that it is: the front half of every ARN.
    pub scope: Scope,
    /// AWS's limits, or others.
    pub limits: Limits,
    /// Behaviour that AWS leaves open.
    pub switches: Switches,
    /// Quotas of Fleet Provisioning, and a hook besides those of the templates.
    pub provisioning: ProvisioningConfig,
    /// How often expiry is looked for: of sessions, certificates in use, retained messages. Default 1 s.
    pub sweep_every: Duration,
    /// Who runs the functions that topic rules name, in place of the local Lambda.
    pub functions: Option<Arc<dyn FunctionInvoker>>,
    /// Who knows which roles AWS IoT may assume, for topic rules and templates, in place of the local IAM.
    pub roles: Option<Arc<dyn Roles>>,
    /// The REST side.
    pub rest: RestOptions,
}

/// What the REST side may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestOptions {
    /// Take any access key and any signature, or none. Only on loopback: [`crate::server::start`] refuses it elsewhere.
    pub any_credentials: bool,
    /// Serve `POST /_fleetkey/reset`, which needs no signature. Only on loopback, as `any_credentials`.
    pub allow_reset: bool,
    /// Run functions' own code although `any_credentials` lets anybody create one.
    pub allow_code: bool,
}

impl Config {
    /// AWS's behaviour, with everything in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            hosts: Vec::new(),
            device_validity: None,
            scope: Scope::local(),
            limits: Limits::default(),
            switches: Switches::default(),
            provisioning: ProvisioningConfig::default(),
            sweep_every: Duration::from_secs(1),
            rest: RestOptions::default(),
            functions: None,
            roles: None,
        }
    }

    pub(crate) fn sessions_file(&self) -> PathBuf {
        self.data_dir.join("sessions.redb")
    }

    pub(crate) fn registry_file(&self) -> PathBuf {
        self.data_dir.join("registry.redb")
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("data_dir", &self.data_dir)
            .field("hosts", &self.hosts)
            .field("device_validity", &self.device_validity)
            .field("limits", &self.limits)
            .field("switches", &self.switches)
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}
