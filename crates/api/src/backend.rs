//! What is shown and asked for, as a trait: the binary implements it over the controller.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, GroupName, PolicyName, SerialNumber, ThingName};
use fleetkey_model::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::feed::Feed;
use crate::token::Holder;

/// The controller, as far as it is shown.
pub trait Backend: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Why nothing is retired at the moment; `None` when all is well.
    fn unready(&self) -> Option<String>;

    /// That all is well, in words.
    fn ready(&self) -> String {
        "ready".to_owned()
    }

    /// The page of `/metrics`, in the text format of Prometheus.
    fn metrics(&self) -> impl Future<Output = String> + Send;

    /// Whose token this is; `None` for nobody's, and for one that has ended.
    fn holder(&self, token: &str) -> Option<Holder>;

    /// Answers a question of the API.
    fn ask(&self, question: Question) -> impl Future<Output = Result<Value, Trouble>> + Send;

    /// Does what somebody with the right to it has asked for.
    fn order(&self, holder: &Holder, order: Order) -> impl Future<Output = Result<Value, Trouble>> + Send;

    /// What happens.
    fn feed(&self) -> &Arc<Feed>;
}

/// A question, its parameters checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// How the controller is, and how old its knowledge.
    Status,
    /// A page of certificates.
    Certificates(Selection),
    /// One certificate.
    Certificate(CertificateId),
    /// A page of things.
    Things(ThingSelection),
    /// One thing, with its certificates and findings.
    Thing(ThingName),
    /// What became of a thing's certificates, oldest first.
    History(ThingName),
    /// What deserves attention; of one rule only, if it is named.
    Findings(Option<String>),
    /// Lines of a journal after this one, oldest first.
    Journal {
        /// Which one.
        of: Journal,
        /// The number of a line; 0 is before the first.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// The recovery windows, and what came of them and waits for a decision.
    Recovery,
    /// What a panic has stopped.
    Panic,
    /// Every campaign, the newest first.
    Campaigns,
    /// The campaign of this name.
    Campaign(String),
}

/// Which certificates; what is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of this status.
    pub status: Option<CertificateStatus>,
    /// Of things whose name matches (`*` any run, `?` any one character).
    pub thing: Option<String>,
    /// Registered at least so long ago.
    pub older_than: Option<Duration>,
    /// Not seen for at least so long; never seen counts.
    pub unseen_for: Option<Duration>,
    /// Connected now, or not.
    pub connected: Option<bool>,
    /// Found by this rule.
    pub rule: Option<String>,
    /// Of things in this state.
    pub state: Option<String>,
    /// After this one.
    pub after: Option<CertificateId>,
    /// At most so many.
    pub limit: usize,
}

/// Which things; what is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThingSelection {
    /// Whose name matches (`*` any run, `?` any one character).
    pub thing: Option<String>,
    /// In this state.
    pub state: Option<String>,
    /// Connected now, or known not to be.
    pub connected: Option<bool>,
    /// After this one.
    pub after: Option<ThingName>,
    /// At most so many.
    pub limit: usize,
}

/// A journal: a chain of lines, numbered from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Journal {
    /// What the controller has done and was told: retirements, commands, campaigns, releases.
    #[default]
    Controller,
    /// What set-up, commands, pages and this API have had done to the account: certificates that were ended, recovery
    /// windows, what was stopped.
    Setup,
}

/// Something to do. Each is entered into a journal in the name of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// A frozen thing was looked at and put right: its next attested request counts as the first.
    Release {
        /// Which.
        thing: ThingName,
        /// What was found, for the journal.
        why: String,
    },
    /// A device rotates now.
    Rotate {
        /// Which.
        thing: ThingName,
        /// Why, for the journal.
        why: String,
    },
    /// A certificate may connect again, may not for now, or never may again.
    Certificate {
        /// Which.
        certificate: CertificateId,
        /// What becomes of it.
        fate: Fate,
        /// Why, for the journal.
        why: String,
    },
    /// Decides on what came of a thing's recovery by claim.
    Recovered {
        /// Whose.
        thing: ThingName,
        /// The certificate that came of it, as whoever decides has seen it.
        certificate: CertificateId,
        /// What is decided.
        verdict: Verdict,
        /// Why, for the journal.
        why: String,
    },
    /// Opens a recovery window: these devices may come back by claim.
    Open {
        /// Who; at least one.
        serials: BTreeSet<SerialNumber>,
        /// How long.
        span: Duration,
        /// Why, for the journal.
        why: String,
    },
    /// Closes a recovery window before its time.
    Close {
        /// Its number.
        window: u32,
        /// Why, for the journal.
        why: String,
    },
    /// The panic path: stops at once what has leaked.
    Stop {
        /// What.
        leaked: Leaked,
        /// Why, for the journal.
        why: String,
        /// Only tell what it would come to.
        dry_run: bool,
    },
    /// Restores all that the panic path has stopped.
    Restore {
        /// Why, for the journal.
        why: String,
    },
    /// Begins a campaign, or tells what it would come to.
    Start(Box<Draft>),
    /// Has a campaign pause, go on or end.
    Campaign {
        /// Its name.
        name: String,
        /// Which of them.
        step: CampaignStep,
        /// Why, for the journal.
        why: String,
    },
}

/// What becomes of a certificate (API Reference, UpdateCertificate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// ACTIVE again.
    Reactivate,
    /// INACTIVE, which can be undone; its connections end.
    Deactivate,
    /// REVOKED, which cannot; its connections end.
    Revoke,
}

/// What is decided on a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was the device: it is told to rotate, and what is older goes.
    Approve,
    /// It was somebody else: what came of it is revoked, its connections end.
    Reject,
}

/// What has leaked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaked {
    /// The claim: its certificates become INACTIVE, the templates that it can use are disabled.
    Claims {
        /// Connections to end, besides those that are known to be open with it.
        clients: Vec<ClientId>,
    },
    /// Certificates that have this policy of the fleet's: it denies everything.
    Policy(PolicyName),
}

/// What is ordered of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignStep {
    /// Nobody is told until it is resumed.
    Pause,
    /// It goes on.
    Resume,
    /// Nobody is told any more.
    Abort,
    /// The same, and what can be undone is.
    Rollback,
}

/// A campaign that somebody wants. The devices that fit all of `thing`, `older_than`, `rule` and `group` are in it, or
/// those of `things`; of how it proceeds, what is not said is as `fleetkey campaign start` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Draft {
    /// Its name: 1 to 64 of `[0-9A-Za-z_-]`.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// Devices whose name matches (`*` any run, `?` any one character).
    pub thing: Option<String>,
    /// Devices whose certificate in use was registered at least so many seconds ago.
    pub older_than: Option<u64>,
    /// Devices with a certificate that this rule has found.
    pub rule: Option<String>,
    /// Devices in this thing group, or in a group below it.
    pub group: Option<GroupName>,
    /// These devices.
    pub things: Vec<ThingName>,
    /// How much of the selection the first wave is, in percent.
    pub canary: Option<u8>,
    /// How many times larger each wave is than the one before.
    pub growth: Option<u32>,
    /// How many commands a minute.
    pub rate: Option<u32>,
    /// How many devices may be at it at once.
    pub at_once: Option<u32>,
    /// The hours of each day in which devices are told, UTC, for example `22:00-04:30`.
    pub window: Option<String>,
    /// How long a device may take, in seconds.
    pub patience: Option<u64>,
    /// How often a device is told before it has failed.
    pub tries: Option<u8>,
    /// It ends when this share of a wave has failed, in percent.
    pub threshold: Option<u8>,
    /// Only tell what it would come to.
    pub dry_run: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It is not there.
    Missing(String),
    /// The question makes no sense.
    Bad(String),
    /// It makes no sense as things stand.
    Conflict(String),
    /// Not at this moment.
    Unavailable(String),
}
