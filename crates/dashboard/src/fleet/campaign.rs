//! Campaigns: many devices rotate on command, in waves, at a rate, until too many of them fail.

use std::time::Duration;

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

/// How a campaign stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CampaignMode {
    /// Devices are told.
    Running,
    /// Nobody is told until somebody resumes it; why.
    Paused(String),
    /// Nobody is told any more; why.
    Aborted(String),
    /// Every device is on a new certificate or has failed.
    Done,
    /// Nobody is told any more, and what can be undone is; why.
    RolledBack(String),
}

impl CampaignMode {
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused(_) => "paused",
            Self::Aborted(_) => "aborted",
            Self::Done => "done",
            Self::RolledBack(_) => "rolled back",
        }
    }

    /// Why, where somebody or something has decided so.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Paused(why) | Self::Aborted(why) | Self::RolledBack(why) => Some(why),
            Self::Running | Self::Done => None,
        }
    }

    /// Whether nobody is told any more.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Aborted(_) | Self::Done | Self::RolledBack(_))
    }
}

/// How many devices are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CampaignCounts {
    /// Not told yet.
    pub waiting: usize,
    /// Told.
    pub told: usize,
    /// On a new certificate, and the one before is not yet asked to be retired.
    pub soaking: usize,
    /// On a new certificate, and have asked for the retirement of the one before.
    pub rotated: usize,
    /// Told as often as they may be, and nothing came of it.
    pub failed: usize,
    /// Told, and away since for as long as all their tries take: told again on coming back.
    pub left: usize,
    /// On their way back, since the campaign was rolled back.
    pub returning: usize,
    /// Those for whom the rollback has done what it can.
    pub returned: usize,
}

impl CampaignCounts {
    /// All of them.
    pub const fn total(&self) -> usize {
        self.waiting + self.told + self.arrived() + self.failed + self.left + self.returning + self.returned
    }

    /// Those on a new certificate.
    pub const fn arrived(&self) -> usize {
        self.soaking + self.rotated
    }
}

/// How a campaign proceeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// How much of the selection the first wave is, in percent.
    pub canary: u8,
    /// How many times larger each wave is than the one before.
    pub growth: u32,
    /// How many commands a minute.
    pub rate: u32,
    /// How many devices may be at it at once.
    pub at_once: u32,
    /// The hours of the day in which devices are told, UTC, `22:00-04:30`; empty for all.
    pub window: String,
    /// How long a device may take until it is on a new certificate.
    pub patience: Duration,
    /// How often a device is told before it has failed.
    pub tries: u8,
    /// It ends when this share of a wave has failed, in percent.
    pub threshold: u8,
}

impl Default for Pace {
    /// What the command line takes where nothing is said.
    fn default() -> Self {
        Self {
            canary: 5,
            growth: 4,
            rate: 60,
            at_once: 50,
            window: String::new(),
            patience: Duration::from_secs(900),
            tries: 2,
            threshold: 5,
        }
    }
}

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its name, which is its address: 1 to 64 of `[0-9A-Za-z_-]`.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// When it was made.
    pub created: Timestamp,
    /// How it stands.
    pub mode: CampaignMode,
    /// How it proceeds.
    pub pace: Pace,
    /// The devices of each wave, in the order of the waves; the first is the canary.
    pub waves: Vec<CampaignCounts>,
    /// The last wave of which somebody was told, from 1; 0 when nobody was.
    pub wave: usize,
    /// Devices that have failed, the first of them.
    pub failed: Vec<ThingName>,
}

impl Campaign {
    /// How many devices are where, in all waves together.
    pub fn counts(&self) -> CampaignCounts {
        self.waves.iter().fold(CampaignCounts::default(), |sum, wave| CampaignCounts {
            waiting: sum.waiting + wave.waiting,
            told: sum.told + wave.told,
            soaking: sum.soaking + wave.soaking,
            rotated: sum.rotated + wave.rotated,
            failed: sum.failed + wave.failed,
            left: sum.left + wave.left,
            returning: sum.returning + wave.returning,
            returned: sum.returned + wave.returned,
        })
    }
}

/// A campaign that somebody has in mind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CampaignDraft {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// Devices whose name matches: `*` any run of characters, `?` any one; empty where names do not matter.
    pub things: String,
    /// Devices whose certificate in use was registered at least so long ago.
    pub older_than: Option<Duration>,
    /// Devices with a certificate that this rule has found; empty where findings do not matter.
    pub rule: String,
    /// Devices in this thing group or in one below it; empty where groups do not matter.
    pub group: String,
    /// How it is to proceed.
    pub pace: Pace,
}

/// What a draft comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forecast {
    /// How many devices fit.
    pub devices: usize,
    /// The size of each wave.
    pub waves: Vec<usize>,
    /// How many commands a minute the account leaves all campaigns together, where that is less than the draft's rate.
    pub slower: Option<u32>,
    /// Devices that are meant and would not be told.
    pub left_out: Vec<Omission>,
}

/// Devices that are left out of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Omission {
    /// How many.
    pub devices: usize,
    /// Why, in words.
    pub why: String,
}

/// What a campaign's rollback would come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WayBack {
    /// Devices that are told to return, if they are on a new certificate: they have not asked for any retirement.
    pub sent: usize,
    /// Devices that go on, whose certificate before is ACTIVE and is kept so.
    pub kept: usize,
    /// Devices that go on, whose certificate before is INACTIVE and is made ACTIVE again.
    pub reactivated: usize,
    /// Devices that go on, whose certificate before is REVOKED or gone.
    pub past: usize,
    /// Devices that were not told, and are not any more.
    pub untold: usize,
}

impl WayBack {
    /// Whether anything of it can be undone.
    pub const fn is_open(&self) -> bool {
        self.sent + self.kept + self.reactivated > 0
    }
}

/// What can be ordered of campaigns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CampaignOrder {
    /// Begin this one.
    Start(Box<CampaignDraft>),
    /// Tell nobody until it is resumed.
    Pause {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
    /// Go on.
    Resume {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
    /// Tell nobody any more.
    Abort {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
    /// The same, and undo what can be.
    Rollback {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
}
