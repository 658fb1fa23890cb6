//! The flags of `fleetkey campaign`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use fleetkey_model::name::GroupName;
use fleetkey_operator::campaign::Window;
use fleetkey_operator::inventory::Rule;

use super::AccountArgs;

/// `fleetkey campaign …`. What it leaves in the fleet directory, a running `fleetkey serve` carries out.
#[derive(Debug, Subcommand)]
pub(crate) enum CampaignCommand {
    /// Have devices rotate: in waves, at a rate, within hours of the day, until too many of them fail.
    Start(Box<StartArgs>),
    /// Print a line a campaign.
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Print how a campaign stands, and who has failed.
    Show {
        /// Its name.
        name: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Tell nobody until it is resumed; who was told goes on.
    Pause(OrderArgs),
    /// Go on with one that was paused.
    Resume(OrderArgs),
    /// Tell nobody any more.
    Abort(OrderArgs),
    /// Tell nobody any more, and undo what can be: devices that can return do, superseded certificates are kept.
    Rollback(OrderArgs),
}

/// Where campaigns are kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlaceArgs {
    /// Directory with the fleet's keys, its state and its journal.
    #[arg(long, value_name = "DIR", default_value = "fleetkey-data", env = "FLEETKEY_DATA_DIR")]
    pub(crate) fleet_dir: PathBuf,
}

/// What somebody wants of a campaign.
#[derive(Debug, Clone, Args)]
pub(crate) struct OrderArgs {
    /// Its name.
    pub(crate) name: String,
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "by command")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// A new campaign. Who is selected is what the inventory knows at this moment.
#[derive(Debug, Clone, Args)]
pub(crate) struct StartArgs {
    /// Its name: 1 to 64 of A-Z a-z 0-9 _ -.
    #[arg(long, required_unless_present = "print_iam")]
    pub(crate) name: Option<String>,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", required_unless_present = "print_iam")]
    pub(crate) why: Option<String>,
    /// Things whose name matches (`*` any run, `?` any one character).
    #[arg(
        long,
        value_name = "PATTERN",
        required_unless_present_any = ["older_than", "finding", "group", "list", "print_iam"]
    )]
    pub(crate) thing: Option<String>,
    /// Things whose current certificate was registered so long ago.
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub(crate) older_than: Option<Duration>,
    /// Things with a certificate that this rule has found, for example aged.
    #[arg(long, value_name = "RULE")]
    pub(crate) finding: Option<Rule>,
    /// How old a certificate becomes before its device rotates it, as told to `fleetkey serve`: twice as old is a finding.
    #[arg(long, value_name = "DURATION", default_value = "30days", value_parser = super::duration)]
    pub(crate) rotate_every: Duration,
    /// Things in this thing group, or in a group below it, as the account tells now.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<GroupName>,
    /// The things in this file, one a line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["thing", "older_than", "finding", "group"])]
    pub(crate) list: Option<PathBuf>,
    /// How much of the selection the first wave is, in percent: a sample of all of it.
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    pub(crate) canary: u8,
    /// How many times larger each wave is than the one before.
    #[arg(long, value_name = "TIMES", default_value_t = 4)]
    pub(crate) growth: u32,
    /// How many devices are told a minute; of all campaigns together no more than half of what the account provisions in that time.
    #[arg(long, value_name = "COMMANDS", default_value_t = 60)]
    pub(crate) rate: u32,
    /// How many devices may be at it at once.
    #[arg(long, value_name = "DEVICES", default_value_t = 50)]
    pub(crate) at_once: u32,
    /// The hours of each day in which devices are told, UTC, for example 22:00-04:30.
    #[arg(long, value_name = "HH:MM-HH:MM")]
    pub(crate) window: Option<Window>,
    /// How long a device may take until it is on its new certificate; its soak does not count.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = super::duration)]
    pub(crate) patience: Duration,
    /// How often a device is told before it has failed.
    #[arg(long, value_name = "TIMES", default_value_t = 2)]
    pub(crate) tries: u8,
    /// It ends when this share of a wave has failed.
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    pub(crate) threshold: u8,
    /// Print the waves and leave nothing.
    #[arg(long)]
    pub(crate) plan: bool,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}
