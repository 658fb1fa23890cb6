//! A schedule: how the world is set, and which faults strike at which step. One line of text both ways.
//!
//! ```text
//! seed=7 takeover 12:cut=lose 40:429 41:late=3
//! ```
//!
//! Steps are numbered from 0 through a run; a fault strikes at the first step from its number on that it fits, so
//! that a shrunk schedule still means what it meant. Not here: what a fault does ([`crate::world`]).

use core::fmt;
use core::str::FromStr;

pub use fault::{ClockTo, Fault, Said, Theft, Whose, Wiped};

mod fault;

/// A fault and its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Planned {
    /// The first step at which it may strike.
    pub at: u64,
    /// What strikes.
    pub fault: Fault,
}

/// A whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Schedule {
    /// Seed of the device's jitter.
    pub seed: u64,
    /// Begin with a device that was never provisioned.
    pub fresh: bool,
    /// Verify by taking the live session's client id over, as where the attachment is not exclusive.
    pub takeover: bool,
    /// What the broker holds for a session is lost when it comes back with another certificate.
    pub forget: bool,
    /// The device has no recovery template.
    pub sealed: bool,
    /// The faults, by step.
    pub faults: Vec<Planned>,
}

/// Text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSchedule(pub String);

impl core::error::Error for BadSchedule {}

impl fmt::Display for BadSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no part of a schedule; write seed=N, fresh, takeover, forget, norecovery, or STEP:FAULT",
            self.0
        )
    }
}

impl Schedule {
    /// A run without faults.
    pub fn calm() -> Self {
        Self::default()
    }

    /// The same with one more fault.
    #[must_use]
    pub fn with(mut self, at: u64, fault: Fault) -> Self {
        self.faults.push(Planned { at, fault });
        self.faults.sort_by_key(|planned| planned.at);
        self
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed={}", self.seed)?;
        let settings = [
            (self.fresh, "fresh"),
            (self.takeover, "takeover"),
            (self.forget, "forget"),
            (self.sealed, "norecovery"),
        ];
        settings.iter().filter(|(on, _)| *on).try_for_each(|(_, word)| write!(f, " {word}"))?;
        self.faults.iter().try_for_each(|planned| write!(f, " {}:{}", planned.at, planned.fault))
    }
}

impl FromStr for Schedule {
    type Err = BadSchedule;

    fn from_str(text: &str) -> Result<Self, BadSchedule> {
        let mut schedule = Self::default();
        for word in text.split_whitespace() {
            let bad = || BadSchedule(word.to_owned());
            match word {
                "fresh" => schedule.fresh = true,
                "takeover" => schedule.takeover = true,
                "forget" => schedule.forget = true,
                "norecovery" => schedule.sealed = true,
                _ => match word.strip_prefix("seed=") {
                    Some(seed) => schedule.seed = seed.parse().map_err(|_| bad())?,
                    None => {
                        let (at, fault) = word.split_once(':').ok_or_else(bad)?;
                        let at = at.parse().map_err(|_| bad())?;
                        let fault = fault.parse().map_err(|_| bad())?;
                        schedule.faults.push(Planned { at, fault });
                    }
                },
            }
        }
        schedule.faults.sort_by_key(|planned| planned.at);
        Ok(schedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schedule_reads_back_as_it_prints() {
        let text = "seed=7 fresh takeover forget norecovery 1:cut=prefix:3 2:ENOSPC*4 3:EIO 4:lost 5:mute 6:late=3 7:stale \
                    8:twice=2 9:429 10:403 11:500! 12:token 13:refuse 14:noroute 15:down=600 16:drop 17:clock=1970 \
                    18:clock=2099 19:clock=true 20:delay=600 21:deactivate=current 22:revoke=candidate 23:rotate \
                    24:compromise 25:hush 26:echo 27:swap 28:ctl=dies 29:ctl=unheard 30:clone 31:thief=rotate \
                    32:off=7200 33:taken 34:claim=off 35:wipe=current 36:wipe=record 37:refuse=4000 38:stage \
                    39:switch 40:retire 41:rollback 42:beside";
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_schedule_says_which_word() {
        for (text, word) in [("seed=x", "seed=x"), ("seed=1 12:bite", "12:bite"), ("cut=lose", "cut=lose")] {
            assert_eq!(text.parse::<Schedule>(), Err(BadSchedule(word.to_owned())));
        }
    }
}
