//! Wall-clock time as a value: milliseconds since the Unix epoch, and X.509's way of writing it.
//!
//! Nothing here reads a clock.

use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in milliseconds since 1970-01-01T00:00:00Z, the unit of AWS IoT's lifecycle events.
///
/// It takes no more room where it may be missing: what is kept is one more, so that no bits are all zero. The last
/// millisecond of 64 bits counts as the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// 2049-12-31T23:59:59Z, the end of every certificate that AWS IoT issues (Developer Guide, x509-client-certs).
    pub const AWS_CERTIFICATE_END: Self = Self::from_secs(2_524_607_999);

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(millis))
    }

    /// From seconds since the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0.get().saturating_sub(1)
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.as_millis() / 1000
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.as_millis().saturating_sub(earlier.as_millis()))
    }
}

impl Default for Timestamp {
    /// The Unix epoch.
    fn default() -> Self {
        Self::from_millis(0)
    }
}

impl From<u64> for Timestamp {
    fn from(millis: u64) -> Self {
        Self::from_millis(millis)
    }
}

impl From<Timestamp> for u64 {
    fn from(at: Timestamp) -> Self {
        at.as_millis()
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.as_millis()).finish()
    }
}

impl core::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self::from_millis(self.as_millis().saturating_add(millis))
    }
}

impl core::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self::from_millis(self.as_millis().saturating_sub(millis))
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-21T08:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.as_millis() / 86_400_000;
        let in_day = self.as_millis() % 86_400_000;
        let (year, month, day) = civil(days);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            in_day / 3_600_000,
            in_day / 60_000 % 60,
            in_day / 1000 % 60,
            in_day % 1000
        )
    }
}

/// Year, month and day of a day number since the epoch, in the proleptic Gregorian calendar.
/// The era arithmetic counts years from March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn prints_rfc_3339() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_secs(951_782_400).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Timestamp::AWS_CERTIFICATE_END.to_string(), "2049-12-31T23:59:59.000Z");
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let start = Timestamp::from_secs(1);
        assert_eq!(start - Duration::from_secs(5), Timestamp::from_secs(0));
        assert_eq!(start.since(Timestamp::from_secs(9)), Duration::ZERO);
        let _ = Timestamp::from_millis(u64::MAX).to_string();
        let last = Timestamp::from_millis(u64::MAX - 1);
        assert_eq!((last + Duration::from_secs(9), last.as_millis()), (last, u64::MAX - 1));
    }

    #[test]
    fn one_that_may_be_missing_takes_no_more_room_and_is_written_as_its_milliseconds() {
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<u64>());
        for millis in [0, 1, 1_790_000_000_000] {
            let at = Timestamp::from_millis(millis);
            assert_eq!((at.as_millis(), serde_json::to_string(&at).unwrap()), (millis, millis.to_string()));
            assert_eq!(serde_json::from_str::<Timestamp>(&millis.to_string()).unwrap(), at);
        }
        assert_eq!(Timestamp::default(), Timestamp::from_millis(0));
    }
}
