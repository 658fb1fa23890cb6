//! The flags of the commands that act on an account: which one, which fleet of it, and where its files are.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{SerialNumber, TemplateName, ThingName};
use fleetkey_model::topic::TopicRoot;
use fleetkey_operator::controller::Connection;
use fleetkey_operator::inventory::{Rule, State};

/// Which account and which fleet.
#[derive(Debug, Clone, Args)]
pub(crate) struct AccountArgs {
    /// The region; without it the profile's, and last us-east-1.
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    pub(crate) region: Option<String>,
    /// The profile of the shared AWS configuration files.
    #[arg(long, value_name = "NAME", env = "AWS_PROFILE")]
    pub(crate) profile: Option<String>,
    /// One URL for all services instead of AWS's, for example of a local IoT Core.
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    pub(crate) endpoint_url: Option<String>,
    /// What the name of every resource begins with, at most 8 characters; by default what set-up was given.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) name_prefix: Option<String>,
    /// The name of the claim template; the others are called after it.
    #[arg(long, value_name = "NAME", env = "IOT_TEMPLATE_NAME")]
    pub(crate) template_name: Option<TemplateName>,
    /// Directory for the fleet's keys, its state and its journal.
    #[arg(long, value_name = "DIR", default_value = "fleetkey-data", env = "FLEETKEY_DATA_DIR")]
    pub(crate) fleet_dir: PathBuf,
    /// One JSON object a line instead of progress bars. Standard output that is no terminal gets it anyway.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the least IAM policy that this command needs, and do nothing.
    #[arg(long)]
    pub(crate) print_iam: bool,
}

/// `fleetkey setup`.
#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// Print what would be created, changed, kept and deleted, and do nothing.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Take over resources of the same names that somebody else has made.
    #[arg(long)]
    pub(crate) force: bool,
    /// The first level of the business topics.
    #[arg(long, value_name = "TOPIC", value_parser = super::device::topic_root)]
    pub(crate) topic_root: Option<TopicRoot>,
    /// A serial that may be provisioned, or a pattern (`*` any run, `?` any one character); repeatable. By default all.
    #[arg(long = "allow-serial", value_name = "PATTERN")]
    pub(crate) serials: Vec<String>,
    /// How many days the hook's log is kept, as CloudWatch allows it.
    #[arg(long, value_name = "DAYS", value_parser = retention)]
    pub(crate) log_days: Option<i32>,
    /// The root certificates by which devices know the endpoint, PEM; by default Amazon's.
    #[arg(long, value_name = "FILE", env = "FLEETKEY_ROOT_CA")]
    pub(crate) root_ca: Option<PathBuf>,
    /// The endpoint's port for MQTT over mutual TLS.
    #[arg(long, value_name = "PORT", default_value_t = 8883, env = "FLEETKEY_MQTT_PORT")]
    pub(crate) mqtt_port: u16,
    /// The endpoint's port for MQTT by ALPN.
    #[arg(long, value_name = "PORT", default_value_t = 443, env = "FLEETKEY_ALPN_PORT")]
    pub(crate) alpn_port: u16,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey cleanup`.
#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    /// Print what would be removed, and do nothing.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Remove resources of the fleet's names too that somebody else has made.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey decommission`.
#[derive(Debug, Args)]
pub(crate) struct DecommissionArgs {
    /// The thing.
    pub(crate) thing: ThingName,
    /// Remove it even if no fleet of ours has provisioned it.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey rotate-claim`.
#[derive(Debug, Args)]
pub(crate) struct RotateClaimArgs {
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey temporary-claim`.
#[derive(Debug, Args)]
pub(crate) struct TemporaryClaimArgs {
    /// Directory for the certificate and its key; it must not exist yet.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where /healthz, /readyz and /metrics are served; on loopback. Port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    pub(crate) listen: SocketAddr,
    /// A further name that a request's Host header may have; repeatable.
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,
    /// How many connections share what is heard: AWS delivers 100 messages a second to one, and discards the rest.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = connections)]
    pub(crate) connections: usize,
    #[command(flatten)]
    pub(crate) panel: super::DashboardArgs,
    /// How old a certificate becomes before its device rotates it: shows when that is due; twice as old is a finding.
    #[arg(long, value_name = "DURATION", default_value = "30days", value_parser = super::duration)]
    pub(crate) rotate_every: Duration,
    /// How much earlier than that devices rotate at most, each at an offset of its own: their setting `jitter`.
    #[arg(long, value_name = "DURATION", default_value = "1day", value_parser = super::delay)]
    pub(crate) rotation_jitter: Duration,
    /// Nobody is to be provisioned these days: a claim in use is a finding.
    #[arg(long)]
    pub(crate) season_over: bool,
    /// How long an older certificate stays ACTIVE after its successor was attested.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = super::duration)]
    pub(crate) soak: Duration,
    /// How long it stays INACTIVE, which can be undone, before it is REVOKED, which cannot.
    #[arg(long, value_name = "DURATION", default_value = "1day", value_parser = super::duration)]
    pub(crate) grace: Duration,
    /// How long it stays REVOKED before it is deleted.
    #[arg(long, value_name = "DURATION", default_value = "30days", value_parser = super::duration)]
    pub(crate) delete_after: Duration,
    /// How old a certificate that was registered and never used must be to count as left over.
    #[arg(long, value_name = "DURATION", default_value = "1day", value_parser = super::duration)]
    pub(crate) leftover_after: Duration,
    /// How often the account is listed for the inventory.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = super::duration)]
    pub(crate) inventory_every: Duration,
    /// Which share of the account's request rates that may take.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    pub(crate) budget: f64,
    /// /metrics also has the ends of so many certificates, those that end soonest, as x509_cert_not_after: a series each.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = soonest)]
    pub(crate) soonest: usize,
    /// Have the account publish what becomes of things, so that what others make or change is looked at at once; a setting of
    /// the whole account, which stays.
    #[arg(long)]
    pub(crate) registry_events: bool,
    /// With --print-iam: what all pages of the dashboard need, too.
    #[arg(long, requires = "print_iam")]
    pub(crate) pages: bool,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// A certificate's id; repeatable.
    #[arg(value_name = "CERTIFICATE", required_unless_present_any = ["thing", "list", "print_iam"])]
    pub(crate) certificates: Vec<CertificateId>,
    /// Every certificate of this thing: the device can connect no more.
    #[arg(long, value_name = "NAME", conflicts_with = "certificates")]
    pub(crate) thing: Option<ThingName>,
    /// A file of certificates' ids, one a line. A run that was cut short is run again: what is done is passed over.
    #[arg(long, value_name = "FILE", conflicts_with = "thing")]
    pub(crate) list: Option<PathBuf>,
    /// Make them INACTIVE, which can be undone, instead of REVOKED, which cannot.
    #[arg(long)]
    pub(crate) inactive: bool,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", default_value = "by command")]
    pub(crate) why: String,
    /// Leave open what is open: the account cuts it within minutes.
    #[arg(long)]
    pub(crate) keep_connections: bool,
    /// How long a connection may take to end.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = super::duration)]
    pub(crate) within: Duration,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey sign-request`.
#[derive(Debug, Args)]
pub(crate) struct SignRequestArgs {
    /// The request (PKCS#10), in DER as a PLC writes it, or in PEM.
    #[arg(value_name = "FILE", required_unless_present = "print_iam")]
    pub(crate) request: Option<PathBuf>,
    /// The device's serial number, which names its thing and is the client id.
    #[arg(long, value_name = "SERIAL", required_unless_present = "print_iam")]
    pub(crate) serial: Option<SerialNumber>,
    /// The directory for the certificate and its sheet; made with mode 0700.
    #[arg(long, value_name = "DIR", required_unless_present = "print_iam")]
    pub(crate) to: Option<PathBuf>,
    /// What stands before the client id in the common name, as in `AWSClient@SERIAL` (sCertCNPrefix).
    #[arg(long, value_name = "PREFIX")]
    pub(crate) common_name_prefix: Option<String>,
    /// The certificate of a CA of one's own, PEM or DER, that signs instead of AWS IoT.
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    pub(crate) ca: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub(crate) ca_key: Option<PathBuf>,
    /// How long a certificate of one's own CA is valid.
    #[arg(long, value_name = "DURATION", default_value = "1825days", value_parser = super::duration)]
    pub(crate) valid_for: Duration,
    /// With --ca: only sign, and leave the account alone; registering is a step of the sheet then.
    #[arg(long, requires = "ca")]
    pub(crate) no_account: bool,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// `fleetkey inventory`.
#[derive(Debug, Args)]
pub(crate) struct InventoryArgs {
    /// Only certificates of this status: active, inactive, revoked.
    #[arg(long, value_name = "STATUS", value_parser = status)]
    pub(crate) status: Option<CertificateStatus>,
    /// Only those of things whose name matches (`*` any run, `?` any one character).
    #[arg(long, value_name = "PATTERN")]
    pub(crate) thing: Option<String>,
    /// Only those registered so long ago.
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub(crate) older_than: Option<Duration>,
    /// Only those not seen for so long; never seen counts.
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub(crate) unseen_for: Option<Duration>,
    /// Only those that are connected, or are not.
    #[arg(long, value_name = "BOOL")]
    pub(crate) connected: Option<bool>,
    /// Only those of things in this state: ready, rotating, degraded, back-off.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<State>,
    /// Only those that this rule has found, for example aged or never-seen.
    #[arg(long, value_name = "RULE")]
    pub(crate) finding: Option<Rule>,
    /// Print what deserves attention instead: what was seen, why it matters, what to do.
    #[arg(long)]
    pub(crate) findings: bool,
    /// Print instead what became of this thing's certificates, oldest first, by whom and why.
    #[arg(long, value_name = "THING", conflicts_with_all = ["findings", "finding", "thing", "status", "state"])]
    pub(crate) history: Option<ThingName>,
    /// Nobody is to be provisioned these days: a claim in use is a finding.
    #[arg(long)]
    pub(crate) season_over: bool,
    /// How old a certificate becomes before its device rotates it: shows when that is due; twice as old is a finding.
    #[arg(long, value_name = "DURATION", default_value = "30days", value_parser = super::duration)]
    pub(crate) rotate_every: Duration,
    /// How much earlier than that devices rotate at most, each at an offset of its own: their setting `jitter`.
    #[arg(long, value_name = "DURATION", default_value = "1day", value_parser = super::delay)]
    pub(crate) rotation_jitter: Duration,
    /// How to print; a table at a terminal, JSON lines otherwise.
    #[arg(long, value_enum)]
    pub(crate) format: Option<InventoryFormat>,
    /// Ask the account anew if what is known is older than this. A running `fleetkey serve` keeps it fresh.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = super::delay)]
    pub(crate) max_age: Duration,
    /// Ask nothing; print what is known.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Ask each certificate for its end, too, once: a call each.
    #[arg(long)]
    pub(crate) deep: bool,
    /// Which share of the account's request rates to use.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    pub(crate) budget: f64,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// The ways to print an inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InventoryFormat {
    /// For people.
    Table,
    /// RFC 4180, times as RFC 3339.
    Csv,
    /// One JSON object a line.
    Json,
}

fn status(text: &str) -> Result<CertificateStatus, String> {
    use CertificateStatus::{Active, Inactive, PendingActivation, PendingTransfer, Revoked};
    let all = [Active, Inactive, Revoked, PendingActivation, PendingTransfer];
    let found = all.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        "no status of a certificate; there are active, inactive, revoked, pending_activation".into()
    })
}

fn connections(text: &str) -> Result<usize, String> {
    let number = text.parse().map_err(|_| "not a number".to_owned())?;
    let most = Connection::MOST;
    if (1..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("there can be 1 to {most} connections"))
    }
}

fn soonest(text: &str) -> Result<usize, String> {
    let number = text.parse().map_err(|_| "not a number".to_owned())?;
    if number <= MOST_SERIES { Ok(number) } else { Err(format!("at most {MOST_SERIES}: each is a series")) }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err("a share is more than 0 and at most 1".into()) }
}

/// How many series of single certificates a page of metrics may have.
const MOST_SERIES: usize = 1000;

/// What PutRetentionPolicy takes (API Reference, CloudWatch Logs).
const RETENTION_DAYS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

fn retention(text: &str) -> Result<i32, String> {
    let days = text.parse().map_err(|_| "not a number".to_owned())?;
    if RETENTION_DAYS.contains(&days) {
        return Ok(days);
    }
    let list: Vec<_> = RETENTION_DAYS.iter().map(i32::to_string).collect();
    Err(format!("CloudWatch keeps logs for one of {} days", list.join(", ")))
}
