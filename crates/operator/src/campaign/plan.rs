//! What a campaign is to do, checked once.

use core::fmt;
use core::str::FromStr;
use std::time::Duration;

use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The most commands a minute of all campaigns together, until the account has told its own quota: half of what one takes of
/// RegisterThing by default (10 a second, AWS IoT Core quotas, Fleet Provisioning), so that new devices are provisioned meanwhile.
pub const FASTEST: u32 = 300;
/// The most commands a minute that a campaign can ask for. How many it gets is for [`Pace`](super::Pace) to say.
pub const MOST_A_MINUTE: u32 = 30_000;
/// The most devices of one campaign.
const MOST: usize = 1_000_000;
/// The longest name.
const LONGEST_NAME: usize = 64;

/// How long a device is on its new certificate before it counts; longer than a verification by takeover takes.
const SETTLING: Duration = Duration::from_secs(60);

/// How a campaign proceeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name: 1–64 of `[0-9A-Za-z_-]`.
    pub name: String,
    /// Why, for the journal.
    pub why: String,
    /// When it was made: what was registered since, is new.
    pub created_at: Timestamp,
    /// How much of the fleet the first wave is, in percent.
    pub canary: u8,
    /// How many times larger each wave is than the one before.
    pub growth: u32,
    /// How many commands a minute.
    pub rate: u32,
    /// How many devices may be at it at once.
    pub at_once: u32,
    /// The hours in which devices are told; without, all of them.
    pub window: Option<Window>,
    /// How long a device may take until it is on a new certificate.
    pub patience: Duration,
    /// How often a device is told before it has failed.
    pub tries: u8,
    /// It ends when this share of a wave has failed, in percent.
    pub threshold: u8,
}

/// Hours of each day, UTC, in minutes since midnight. One that ends before it begins goes over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its first minute.
    pub from: u16,
    /// The minute after its last.
    pub to: u16,
}

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPlan(String);

impl Plan {
    /// Whether it can be carried out with so many devices.
    ///
    /// # Errors
    /// In words for whoever wrote it.
    pub fn check(&self, devices: usize) -> Result<(), BadPlan> {
        let bad = |words: String| Err(BadPlan(words));
        let Self { name, canary, growth, rate, at_once, tries, threshold, patience, .. } = self;
        if !is_name(name) {
            return bad(format!(
                "{name:?} is no name for a campaign: 1 to {LONGEST_NAME} of A-Z a-z 0-9 _ -"
            ));
        }
        if devices == 0 {
            return bad("no device was selected".into());
        }
        if devices > MOST {
            return bad(format!("{devices} devices were selected; a campaign has at most {MOST}"));
        }
        if !(1..=100).contains(canary) || !(1..=100).contains(threshold) {
            return bad("percentages are from 1 to 100".into());
        }
        if *growth == 0 || *at_once == 0 || *tries == 0 || patience.is_zero() {
            return bad("growth, devices at once, tries and patience are at least 1".into());
        }
        if !(1..=MOST_A_MINUTE).contains(rate) {
            return bad(format!("{rate} commands a minute: from 1 to {MOST_A_MINUTE}"));
        }
        Ok(())
    }

    /// Where each wave ends, counted in devices: the canary, then each [`Self::growth`] times as large as the one before.
    pub fn waves(&self, devices: usize) -> Vec<usize> {
        let canary = devices.saturating_mul(usize::from(self.canary)).div_ceil(100).max(1);
        let growth = usize::try_from(self.growth).unwrap_or(usize::MAX).max(1);
        let (mut ends, mut size, mut end) = (Vec::new(), canary, 0usize);
        while end < devices {
            end = end.saturating_add(size).min(devices);
            ends.push(end);
            size = size.saturating_mul(growth);
        }
        ends
    }

    /// How long a device that was told may be away until nobody waits for it any more: as long as all its tries take.
    pub(super) fn time_to_leave(&self) -> Duration {
        self.patience.saturating_mul(u32::from(self.tries))
    }

    /// How long a device has to be on its new certificate until it counts: a minute, and less where patience is short.
    pub(super) fn settling(&self) -> Duration {
        SETTLING.min(self.patience / 4)
    }

    /// A device's place in the order: any, but always the same. So the canary is a sample of the whole fleet, not what
    /// the alphabet begins with.
    pub(super) fn place(&self, thing: &str) -> [u8; 32] {
        Sha256::new_with_prefix(self.name.as_bytes())
            .chain_update([0])
            .chain_update(thing.as_bytes())
            .finalize()
            .into()
    }
}

impl Window {
    /// Whether a moment is within it.
    pub fn is_open(self, now: Timestamp) -> bool {
        let minute = u16::try_from(now.as_secs() / 60 % 1440).unwrap_or_default();
        match self.from <= self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        }
    }
}

/// `22:00-04:30`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

/// `22:00-04:30`.
impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let ends = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
        let window = ends.filter(|(from, to)| from != to).map(|(from, to)| Self { from, to });
        window.ok_or_else(|| format!("{text:?} is no window; for example 22:00-04:30, UTC"))
    }
}

pub(super) fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::machine::tests::plan;

    #[test]
    fn waves_grow_and_end_with_the_fleet() {
        let waves = |canary, growth, devices| Plan { canary, growth, ..plan() }.waves(devices);
        assert_eq!(waves(5, 4, 500), [25, 125, 500]);
        assert_eq!(waves(1, 10, 3), [1, 3]);
        assert_eq!(waves(100, 1, 7), [7]);
        assert_eq!(waves(10, 1, 5), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        let at = |hour: u64, minute: u64| Timestamp::from_secs(86_400 * 3 + hour * 3600 + minute * 60);
        let night: Window = "22:00-04:30".parse().unwrap();
        assert_eq!(night.to_string(), "22:00-04:30");
        assert!(night.is_open(at(22, 0)) && night.is_open(at(4, 29)));
        assert!(!night.is_open(at(4, 30)) && !night.is_open(at(21, 59)));
        let noon: Window = "11:00-13:00".parse().unwrap();
        assert!(noon.is_open(at(12, 59)) && !noon.is_open(at(13, 0)));
        for bad in ["", "1-2", "24:00-01:00", "10:60-11:00", "10:00-10:00", "x:y-1:00"] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_in_words() {
        assert_eq!(plan().check(1), Ok(()));
        for (bad, devices, word) in [
            (Plan { name: "../x".into(), ..plan() }, 1, "name"),
            (plan(), 0, "no device"),
            (Plan { canary: 0, ..plan() }, 1, "percentages"),
            (Plan { rate: MOST_A_MINUTE + 1, ..plan() }, 1, "commands a minute"),
            (Plan { tries: 0, ..plan() }, 1, "at least 1"),
        ] {
            let words = bad.check(devices).unwrap_err().to_string();
            assert!(words.contains(word), "{words}");
        }
    }
}
