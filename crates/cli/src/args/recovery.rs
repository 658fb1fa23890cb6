//! The flags of `fleetkey recovery` and `fleetkey panic`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, PolicyName, SerialNumber, ThingName};

use super::AccountArgs;

/// `fleetkey recovery …`: devices that have lost every identity and come back by their claim.
#[derive(Debug, Subcommand)]
pub(crate) enum RecoveryCommand {
    /// Let named devices recover by their claim for a time: the hook knows them and the end, the template is enabled.
    Open(Box<OpenArgs>),
    /// Close a window, or all of them.
    Close(Box<CloseArgs>),
    /// Print the windows that there are and were.
    List(WindowsArgs),
    /// Print who of a window has recovered, and what waits for a decision.
    Show(Box<ShowArgs>),
    /// Say that what came of a recovery is the device's: its older certificates go their way then.
    Approve(Box<ApproveArgs>),
    /// Say that it is not: it is revoked, with what was registered for the thing since the window was opened.
    Reject(Box<RejectArgs>),
}

/// `fleetkey recovery open`.
#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// A device's serial number; repeatable.
    #[arg(long = "serial", value_name = "SERIAL", required_unless_present_any = ["list", "print_iam"])]
    pub(crate) serials: Vec<SerialNumber>,
    /// The serial numbers in this file, one a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// How long.
    #[arg(long = "for", value_name = "DURATION", default_value = "4h", value_parser = super::duration)]
    pub(crate) span: Duration,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", required_unless_present = "print_iam")]
    pub(crate) why: Option<String>,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey recovery close`.
#[derive(Debug, Args)]
pub(crate) struct CloseArgs {
    /// The number of the window; all without it.
    pub(crate) window: Option<u32>,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", default_value = "by command")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey recovery list`.
#[derive(Debug, Args)]
pub(crate) struct WindowsArgs {
    /// Directory with the fleet's keys, its state and its journal.
    #[arg(long, value_name = "DIR", default_value = "fleetkey-data", env = "FLEETKEY_DATA_DIR")]
    pub(crate) fleet_dir: PathBuf,
    /// One JSON object a line. Standard output that is no terminal gets it anyway.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `fleetkey recovery show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The number of the window.
    #[arg(required_unless_present = "print_iam")]
    pub(crate) window: Option<u32>,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey recovery approve`.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The thing.
    #[arg(required_unless_present = "print_iam")]
    pub(crate) thing: Option<ThingName>,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", required_unless_present = "print_iam")]
    pub(crate) why: Option<String>,
    /// Only if it is this certificate that waits: the one that the device itself holds.
    #[arg(long, value_name = "ID")]
    pub(crate) certificate: Option<CertificateId>,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey recovery reject`.
#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// The thing.
    #[arg(required_unless_present = "print_iam")]
    pub(crate) thing: Option<ThingName>,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["print_iam", "plan"])]
    pub(crate) why: Option<String>,
    /// A certificate that is the device's own although it was registered meanwhile; repeatable.
    #[arg(long, value_name = "ID")]
    pub(crate) keep: Vec<CertificateId>,
    /// Print what would be revoked, and do nothing.
    #[arg(long)]
    pub(crate) plan: bool,
    /// How long a connection may take to end.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = super::duration)]
    pub(crate) within: Duration,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey panic …`: stop at once what has leaked, and go back.
#[derive(Debug, Subcommand)]
pub(crate) enum PanicCommand {
    /// Stop a leaked claim: its certificates become INACTIVE, its templates are disabled, its connections are cut.
    Claim(Box<PanicClaimArgs>),
    /// Stop everybody who has a policy: a version that denies everything becomes the one that counts.
    Policy(Box<PanicPolicyArgs>),
    /// Restore what was stopped.
    Undo(Box<PanicUndoArgs>),
}

/// `fleetkey panic claim`.
#[derive(Debug, Args)]
pub(crate) struct PanicClaimArgs {
    /// A claim certificate; repeatable. All that have the claim policy without it.
    #[arg(long = "certificate", value_name = "ID")]
    pub(crate) certificates: Vec<CertificateId>,
    /// A further client id to cut; repeatable. Those that a controller hears connected with the claim are cut anyway.
    #[arg(long = "client", value_name = "ID")]
    pub(crate) clients: Vec<ClientId>,
    /// How long a connection may take to end.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = super::duration)]
    pub(crate) within: Duration,
    #[command(flatten)]
    pub(crate) meant: MeantArgs,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey panic policy`.
#[derive(Debug, Args)]
pub(crate) struct PanicPolicyArgs {
    /// One of the fleet's policies, for example DevicePolicy.
    #[arg(required_unless_present = "print_iam")]
    pub(crate) policy: Option<PolicyName>,
    #[command(flatten)]
    pub(crate) meant: MeantArgs,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey panic undo`.
#[derive(Debug, Args)]
pub(crate) struct PanicUndoArgs {
    #[command(flatten)]
    pub(crate) meant: MeantArgs,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// Whether it is meant.
#[derive(Debug, Args)]
pub(crate) struct MeantArgs {
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["print_iam", "plan"])]
    pub(crate) why: Option<String>,
    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Ask nothing.
    #[arg(long)]
    pub(crate) yes: bool,
}
