//! What the pages need of a fleet: a read model, and orders to it. All types are this crate's own.
//!
//! Reading is synchronous and must be quick (each page: a few milliseconds at 100 000 devices): an implementation
//! answers from memory. What changed is told to the [`crate::hub::Hub`], and open pages read again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;

pub use campaign::{
    Campaign, CampaignCounts, CampaignDraft, CampaignMode, CampaignOrder, Forecast, Omission, Pace, WayBack,
};
pub use device::{
    Certificate, Connection, Device, DevicePage, DeviceQuery, DeviceRow, Filter, Holder, Incident, Told, Tone,
};
pub use finding::{Finding, FindingPage, FindingQuery, Severity};
pub use inventory::{InventoryPage, InventoryQuery, InventoryRow, STATES};
pub use journal::{JournalEntry, JournalPage};
pub use outlook::{Outlook, Sorted};
pub use overview::{Bar, Figures, Overview, Site};
pub use policy::{Action, Decided, Policy, PolicyVersion, Question, Spread, Statement, Verdict};
pub use provisioning::{Act, Claim, Direction, Plan, PlanStep, Provisioning, Recovery, Template};
pub use rotation::{Outcome, Phase, Rotation, Step};
pub use work::{HookTest, Probe, Taken, Work, WorkEnd};

mod campaign;
mod device;
mod finding;
mod inventory;
mod journal;
mod outlook;
mod overview;
mod policy;
mod provisioning;
mod rotation;
mod work;

/// What is known of something that only the account knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// It is not asked for from here.
    Elsewhere,
    /// It is being asked for; the hub is told when the answer has come.
    Asked,
    /// The account did not tell; its words.
    Refused(String),
    /// It is known.
    Told(T),
}

/// The answer to an order, some time.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Done, Refused>> + Send + 'a>>;

/// What an order would come to, once that is counted.
pub type Counted<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refused>> + Send + 'a>>;

/// A fleet, as the pages see it.
pub trait Fleet: Send + Sync + 'static {
    /// Which account this is, for the head of every page.
    fn site(&self) -> Site;

    /// The figures of the first page.
    fn overview(&self) -> Overview;

    /// One page of devices, in the order of their names.
    fn devices(&self, query: &DeviceQuery) -> DevicePage;

    /// One device with all there is to tell; `None` when there is no such thing.
    fn device(&self, thing: &ThingName) -> Option<Device>;

    /// What an order to rotate would come to for a device now; nothing is done.
    fn outlook(&self, thing: &ThingName) -> Outlook;

    /// The rotations under way and those that ended last, newest first; at most `limit`.
    fn rotations(&self, limit: usize) -> Vec<Rotation>;

    /// One page of what needs somebody to look, worst first. Asked for with every look at the first page, so it must be quick
    /// however large the fleet is.
    fn findings(&self, query: &FindingQuery) -> FindingPage;

    /// What happened last in the whole fleet, newest first; at most `limit`.
    fn incidents(&self, limit: usize) -> Vec<Incident>;

    /// All policies, in the order of their names.
    fn policies(&self) -> Known<Vec<Policy>>;

    /// What the broker would decide, and why; `None` while the account is being asked, and the hub is told of its answer.
    ///
    /// # Errors
    /// When there is no such device, or it has no certificate in use, or the account does not tell.
    fn decide(&self, question: &Question) -> Result<Option<Verdict>, Refused>;

    /// The versions of a policy, oldest first; none when there is no such policy.
    fn policy_versions(&self, name: &str) -> Known<Vec<PolicyVersion>>;

    /// One page of the inventory, in the order of the certificates' ids; `None` where none is kept. Asked again and again
    /// for the whole as a file, so a page must be quick wherever it begins.
    fn inventory(&self, _query: &InventoryQuery) -> Option<InventoryPage> {
        None
    }

    /// One page of the journal: entries with numbers below `before`, newest first, at most `limit`; `None` where none is
    /// shown.
    fn journal(&self, _before: Option<u64>, _limit: usize) -> Option<JournalPage> {
        None
    }

    /// How devices come in.
    fn provisioning(&self) -> Known<Provisioning> {
        Known::Elsewhere
    }

    /// What set-up would make, or clean-up remove; nothing is done.
    fn plan(&self, _direction: Direction) -> Known<Arc<Plan>> {
        Known::Elsewhere
    }

    /// Whether a plan of a clean-up is shown for longer than it takes to read, so that somebody may want it anew.
    fn keeps_plans(&self) -> bool {
        false
    }

    /// Has a plan made anew as soon as it is looked at, if it is not of just now. Nothing is done.
    fn plan_anew(&self, _direction: Direction) {}

    /// The fleet's name, which whoever cleans up has to type; `None` where [`Order::Build`] is not carried out from here.
    fn builds(&self) -> Option<String> {
        None
    }

    /// The set-up or clean-up that was begun last from a page.
    fn work(&self) -> Option<Work> {
        None
    }

    /// Whether [`Order::TestHook`] is carried out from here.
    fn tests_hook(&self) -> bool {
        false
    }

    /// What the hook decided when it was asked last.
    fn hook_test(&self) -> Option<HookTest> {
        None
    }

    /// Campaigns, the newest first; `None` where none can be carried out.
    fn campaigns(&self) -> Option<Vec<Campaign>> {
        None
    }

    /// By which rules' findings the devices of a campaign can be chosen.
    fn rules(&self) -> Vec<String> {
        Vec::new()
    }

    /// What a campaign would be about; nothing is done.
    ///
    /// # Errors
    /// When it cannot be carried out, in words for whoever filled the form in.
    fn foresee<'a>(&'a self, _draft: &'a CampaignDraft) -> Counted<'a, Forecast> {
        Box::pin(async { Err(Refused("no campaign is carried out from here".to_owned())) })
    }

    /// What the rollback of the campaign of this name would come to now; nothing is done.
    ///
    /// # Errors
    /// When there is no such campaign, or it cannot be read, in words.
    fn way_back<'a>(&'a self, _name: &'a str) -> Counted<'a, WayBack> {
        Box::pin(async { Err(Refused("no campaign is carried out from here".to_owned())) })
    }

    /// Whether [`Order::Certificate`] is carried out from here.
    fn decides(&self) -> bool {
        false
    }

    /// Carries an order out, on behalf of `by`.
    fn perform<'a>(&'a self, order: Order, by: &'a str) -> Answer<'a>;
}

/// What can be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// These devices rotate now. Where one of them cannot be told, none is.
    Rotate(Vec<ThingName>),
    /// Begins a campaign, or has one pause, go on or end. Ordered only by who has just shown that they are themselves.
    Campaign(CampaignOrder),
    /// Begins to carry a plan out; answered once it has begun. One at a time; not begun where the account is no longer as
    /// the plan found it. Ordered only by an admin who has just shown that they are themselves.
    Build {
        /// Which way.
        direction: Direction,
        /// As it was shown to whoever orders it.
        plan: Arc<Plan>,
        /// Why, for the journal.
        why: String,
    },
    /// The pre-provisioning hook is asked about requests that nobody has made. Changes nothing.
    TestHook,
    /// A certificate of this device may connect, may not for now, or never may again. Ordered only by an admin who has
    /// just shown that they are themselves.
    Certificate {
        /// The device.
        thing: ThingName,
        /// One that is attached to it.
        certificate: CertificateId,
        /// What becomes of it.
        fate: Fate,
        /// Why, for the journal.
        why: String,
    },
}

/// What an operator may decide of a certificate (API Reference, UpdateCertificate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It becomes ACTIVE again.
    Reactivate,
    /// It becomes INACTIVE: its connections end, and it can be brought back.
    Deactivate,
    /// It becomes REVOKED, which is for ever.
    Revoke,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reactivate, Self::Deactivate, Self::Revoke];

    /// As it stands in a URL, and on a button.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Reactivate => "reactivate",
            Self::Deactivate => "deactivate",
            Self::Revoke => "revoke",
        }
    }

    /// The one with this verb.
    pub fn named(verb: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fate| fate.verb() == verb)
    }

    /// The status that follows.
    pub const fn status(self) -> CertificateStatus {
        match self {
            Self::Reactivate => CertificateStatus::Active,
            Self::Deactivate => CertificateStatus::Inactive,
            Self::Revoke => CertificateStatus::Revoked,
        }
    }

    /// Whether a certificate of this status can be decided so.
    pub fn fits(self, status: CertificateStatus) -> bool {
        match self {
            Self::Reactivate => status == CertificateStatus::Inactive,
            Self::Deactivate => status == CertificateStatus::Active,
            Self::Revoke => matches!(status, CertificateStatus::Active | CertificateStatus::Inactive),
        }
    }
}

/// An order that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What was done, one sentence for a person.
    pub words: String,
}

/// An order that was not: what stands in the way, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);
