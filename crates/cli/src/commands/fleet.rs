//! The commands that act on an account: which fleet it is about, and whoever makes the calls.

pub(super) mod campaign;
pub(super) mod claim;
pub(super) mod cleanup;
pub(super) mod decommission;
pub(super) mod inventory;
pub(super) mod panic;
pub(super) mod recovery;
pub(super) mod revoke;
pub(super) mod serve;
pub(super) mod setup;
pub(super) mod sign_request;
pub(super) mod status;

mod due;
mod history;
mod keys;
mod progress;
mod rates;
mod selection;
mod settings;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use fleetkey_aws::permit::{Command, policy};
use fleetkey_aws::{Aws, Options};
use fleetkey_iotcore::clock::Clock;
use fleetkey_model::arn::Scope;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::plan::{CloudNames, Operator, Patience, Tools, Wanted};
use fleetkey_operator::recovery::Windows;
use serde_json::json;

use crate::args::AccountArgs;
use crate::datadir::{DataDir, DataDirError};
use crate::fleet_file::FleetFile;
use crate::output::{self, Audience};

use keys::AgentKeys;
use progress::Bars;
use settings::Settings;

/// What every command of this kind works with.
struct Desk {
    aws: Aws,
    data: DataDir,
    bars: Bars,
    audience: Audience,
    settings: Settings,
}

impl Desk {
    /// Reads the configuration and the fleet's settings, and opens the fleet directory; calls nothing yet.
    async fn open(args: &AccountArgs, settings: impl FnOnce(Settings) -> Settings) -> Result<Self> {
        let data = DataDir::open(&args.fleet_dir)?;
        let settings = settings(Settings::read(&data)?.with(args));
        // The data plane has a host of the account's own.
        let data_host = FleetFile::read(&data).ok().map(|file| file.endpoint);
        let aws = Aws::new(&Options { data_host, ..options(args) }).await;
        let audience = Audience::of(args.json);
        Ok(Self { aws, data, bars: Bars::new(audience), audience, settings })
    }

    /// Takes the fleet directory for this process.
    async fn operator(&self, force: bool) -> Result<Operator<'_, Aws>> {
        let tools = Tools {
            cloud: &self.aws,
            keys: &AgentKeys,
            clock: &now,
            progress: &self.bars,
            making: Patience::MAKING,
            deleting: Patience::DELETING,
        };
        let fleet = CloudNames::new(&self.settings.name_prefix, "").fleet;
        Ok(Operator::open(tools, &self.data.operator(), &fleet, force).await?)
    }

    /// The fleet in the operator's account.
    fn wanted(&self, operator: &Operator<'_, Aws>) -> Result<Wanted> {
        self.settings.wanted(operator.scope())
    }

    /// The same as it is wanted now, with the recovery windows that are open.
    fn wanted_now(&self, operator: &Operator<'_, Aws>) -> Result<Wanted> {
        with_windows(self.wanted(operator)?, &self.data.operator())
    }

    /// Tells one thing on the way.
    fn tell(&self, event: &str, fields: &serde_json::Value, words: &str) {
        match self.audience {
            Audience::Person => output::line(words),
            Audience::Program => {
                let mut line = json!({ "event": event });
                if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
                    line.extend(fields.clone());
                }
                output::json(&line);
            }
        }
    }

    /// Tells the end of a command.
    fn conclude(&self, event: &str, fields: &serde_json::Value, words: &str) {
        self.bars.finish();
        match self.audience {
            Audience::Person => output::line(words),
            Audience::Program => {
                let mut line = json!({ "event": event, "calls": self.aws.calls() });
                if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
                    line.extend(fields.clone());
                }
                output::json(&line);
            }
        }
    }
}

/// A fleet with the recovery windows that are open.
fn with_windows(wanted: Wanted, directory: &Path) -> Result<Wanted> {
    Ok(Wanted { windows: Windows::read(directory)?.open_at(now()), ..wanted })
}

fn now() -> Timestamp {
    Clock::now(&fleetkey_iotcore::clock::SystemClock)
}

/// Prints the least policy of a command, or of several together, on the fleet that the directory is of, if there is one, as it was set up and as
/// it is to be. The account is `*`, which an identity's policy reads as its own, so that no credentials are needed to
/// ask.
async fn print_iam(
    commands: &[Command],
    args: &AccountArgs,
    choose: impl FnOnce(Settings) -> Settings,
) -> Result<ExitCode> {
    let aws = Aws::new(&options(args)).await;
    let region = aws.region().to_owned();
    let partition = match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let scope = Scope { partition: partition.to_owned(), region, account: "*".to_owned() };
    let recorded = match DataDir::existing(&args.fleet_dir) {
        Ok(data) => Some(Settings::read(&data)?),
        Err(DataDirError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let chosen = choose(recorded.clone().unwrap_or_default()).with(args);
    let fleets: Vec<_> = recorded
        .iter()
        .chain([&chosen])
        .map(|settings| settings.wanted(scope.clone()))
        .collect::<Result<_>>()?;
    let text =
        serde_json::to_string_pretty(&policy(commands, &fleets)).context("the policy cannot be printed")?;
    output::line(&text);
    Ok(ExitCode::SUCCESS)
}

/// Variables that are set to nothing say nothing.
fn options(args: &AccountArgs) -> Options {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Options {
        region: some(&args.region),
        profile: some(&args.profile),
        endpoint_url: some(&args.endpoint_url),
        data_host: None,
    }
}
