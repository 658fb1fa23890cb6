//! Clients for the services, from what the environment, the profile and the flags say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use fleetkey_model::arn::Scope;
use fleetkey_operator::cloud::Identity;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::plan::scope_of;
use tokio::sync::OnceCell;

use crate::error::refused;
use crate::recorder::Recorder;

/// Where the demo's scripts go when nobody says where.
const DEFAULT_REGION: &str = "us-east-1";
/// How long one call may take: CreateFunction carries the code.
const CALL: Duration = Duration::from_secs(30);
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// Which account, where. What is not said comes from the environment and the shared configuration files, as for every
/// AWS tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The region.
    pub region: Option<String>,
    /// The profile of the shared configuration files.
    pub profile: Option<String>,
    /// One URL for all services, for example of a local IoT Core.
    pub endpoint_url: Option<String>,
    /// The account's own host for the data plane (DescribeEndpoint `iot:Data-ATS`), where there is no such URL.
    pub data_host: Option<String>,
}

/// An account.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(crate) iot: aws_sdk_iot::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    pub(crate) data: aws_sdk_iotdataplane::Client,
    pub(crate) quotas: aws_sdk_servicequotas::Client,
    pub(crate) recorder: Recorder,
    /// It was said that the account does not tell who is connected.
    pub(crate) untold: Arc<AtomicBool>,
    region: String,
    identity: OnceCell<Identity>,
}

impl Aws {
    /// Reads the configuration; calls nothing yet.
    pub async fn new(options: &Options) -> Self {
        let config = load(options).await;
        let recorder = Recorder::default();
        let region = config.region().map_or(DEFAULT_REGION, Region::as_ref).to_owned();
        Self {
            iot: aws_sdk_iot::Client::from_conf(
                aws_sdk_iot::config::Builder::from(&config).interceptor(recorder.clone()).build(),
            ),
            iam: aws_sdk_iam::Client::from_conf(
                aws_sdk_iam::config::Builder::from(&config).interceptor(recorder.clone()).build(),
            ),
            lambda: aws_sdk_lambda::Client::from_conf(
                aws_sdk_lambda::config::Builder::from(&config).interceptor(recorder.clone()).build(),
            ),
            logs: aws_sdk_cloudwatchlogs::Client::from_conf(
                aws_sdk_cloudwatchlogs::config::Builder::from(&config).interceptor(recorder.clone()).build(),
            ),
            sts: aws_sdk_sts::Client::from_conf(
                aws_sdk_sts::config::Builder::from(&config).interceptor(recorder.clone()).build(),
            ),
            data: aws_sdk_iotdataplane::Client::from_conf(
                data_plane(&config, options).interceptor(recorder.clone()).build(),
            ),
            quotas: aws_sdk_servicequotas::Client::from_conf(
                aws_sdk_servicequotas::config::Builder::from(&config).interceptor(recorder.clone()).build(),
            ),
            recorder,
            untold: Arc::default(),
            region,
            identity: OnceCell::new(),
        }
    }

    /// The region that the calls go to.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Every call that was made so far, once, as IAM names it.
    pub fn calls(&self) -> BTreeSet<String> {
        self.recorder.seen()
    }

    /// How often each call was answered with which HTTP status; 0 is no answer.
    pub fn tallies(&self) -> BTreeMap<(String, u16), u64> {
        self.recorder.tallies()
    }

    /// GetCallerIdentity, asked once.
    pub(crate) async fn who(&self) -> Result<&Identity, ApiError> {
        self.identity
            .get_or_try_init(|| async {
                let answer = self.sts.get_caller_identity().send().await.map_err(refused)?;
                let known = |text: Option<&str>| {
                    let text = text.map(str::to_owned);
                    text.ok_or_else(|| ApiError::Other("the account does not say who we are".into()))
                };
                Ok(Identity {
                    account: known(answer.account())?,
                    arn: known(answer.arn())?,
                    region: self.region.clone(),
                })
            })
            .await
    }

    /// Partition, region and account, for ARNs.
    pub(crate) async fn scope(&self) -> Result<Scope, ApiError> {
        self.who().await.map(scope_of)
    }
}

/// The data plane has a host of each account's own.
fn data_plane(config: &SdkConfig, options: &Options) -> aws_sdk_iotdataplane::config::Builder {
    let builder = aws_sdk_iotdataplane::config::Builder::from(config);
    match &options.data_host {
        Some(host) if config.endpoint_url().is_none() => builder.endpoint_url(format!("https://{host}")),
        _ => builder,
    }
}

async fn load(options: &Options) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(CALL).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.region(region(options).await).load().await
}

/// The region that the flags, the environment or the profile name, and last the demo's: known without asking an
/// instance's metadata service, which most machines have not. A variable that is set to nothing names none.
async fn region(options: &Options) -> Region {
    let named = |region: Region| (!region.as_ref().is_empty()).then_some(region);
    if let Some(region) = &options.region {
        return Region::new(region.clone());
    }
    if let Some(region) = EnvironmentVariableRegionProvider::new().region().await.and_then(named) {
        return region;
    }
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &options.profile {
        profile = profile.profile_name(name);
    }
    profile.build().region().await.and_then(named).unwrap_or(Region::from_static(DEFAULT_REGION))
}
