//! Repeating a call until the account is ready for it: bounded, with full jitter, on conditions and never on time.
//!
//! AWS's own advice is a fixed sleep (ten seconds after a role, minutes after a detachment). The account knows better:
//! it refuses until it is ready, so it is asked again, ever less often.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::control_plane::ApiError;

/// How patiently to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The longest first pause.
    pub first: Duration,
    /// The longest pause.
    pub cap: Duration,
    /// How long to go on altogether.
    pub total: Duration,
}

impl Patience {
    /// For the first question: whoever mistyped an endpoint should not wait for minutes.
    pub const ASKING: Self = Self {
        first: Duration::from_millis(250),
        cap: Duration::from_secs(2),
        total: Duration::from_secs(10),
    };

    /// For what is throttled, or needs what spreads within seconds: a role that is not assumable yet.
    pub const MAKING: Self = Self {
        first: Duration::from_millis(250),
        cap: Duration::from_secs(8),
        total: Duration::from_secs(120),
    };

    /// For what cannot go before a detachment is through: five minutes for a policy (API Reference, DeletePolicy) and
    /// for a thing type after its deprecation.
    pub const DELETING: Self = Self {
        first: Duration::from_millis(250),
        cap: Duration::from_secs(15),
        total: Duration::from_secs(480),
    };

    /// For a page of a long list that is throttled: the rate is that of everybody who works on the account, and whoever began
    /// the list anew would never come to its end.
    pub const THROTTLED: Self =
        Self { first: Duration::from_secs(1), cap: Duration::from_secs(15), total: Duration::from_secs(120) };

    /// Asks for a page of a list: as a first question, and where the account is throttled with longer pauses and for longer.
    ///
    /// # Errors
    /// The last answer.
    pub async fn page<T, F>(call: impl Fn() -> F + Send + Sync) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>> + Send,
        T: Send,
    {
        match Self::ASKING.call(|_| {}, &call).await {
            Err(ApiError::Throttled) => Self::THROTTLED.call(|_| {}, call).await,
            answer => answer,
        }
    }

    /// Calls until the answer is something other than "later", or the time is over; then the last answer.
    pub async fn call<T, F>(
        self,
        waiting: impl Fn(&ApiError) + Send,
        call: impl Fn() -> F + Send,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>> + Send,
        T: Send,
    {
        let end = Instant::now() + self.total;
        let mut longest = self.first;
        loop {
            let error = match call().await {
                Err(error) if error.retryable() => error,
                answer => return answer,
            };
            let pause = jittered(longest);
            if Instant::now() + pause >= end {
                return Err(error);
            }
            waiting(&error);
            tokio::time::sleep(pause).await;
            longest = longest.saturating_mul(2).min(self.cap);
        }
    }
}

/// A pause between a sixteenth of `longest` and all of it, so that many who wait do not come back together.
fn jittered(longest: Duration) -> Duration {
    // The standard library's only source of randomness: each hasher is keyed anew.
    let roll = RandomState::new().build_hasher().finish() % 1000;
    let share = u32::try_from(roll).unwrap_or(0);
    (longest * share / 1000).max(longest / 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn what_is_not_ready_is_asked_for_again_and_time_is_bounded() {
        let asked = AtomicU32::new(0);
        let ready_at = |n: u32| {
            let turn = asked.fetch_add(1, Ordering::Relaxed);
            async move { if turn < n { Err(ApiError::Conflict("not yet".into())) } else { Ok(turn) } }
        };
        let waits = AtomicU32::new(0);
        let waiting = |_: &ApiError| {
            waits.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(Patience::MAKING.call(waiting, || ready_at(5)).await, Ok(5));
        assert_eq!(waits.load(Ordering::Relaxed), 5);
        let begun = Instant::now();
        assert!(Patience::MAKING.call(|_| {}, || ready_at(u32::MAX)).await.is_err());
        assert!(begun.elapsed() <= Patience::MAKING.total);
        assert!(begun.elapsed() >= Patience::MAKING.total / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_of_a_list_waits_a_throttle_out_and_for_nobody_who_is_not_there() {
        let (asked, begun) = (AtomicU32::new(0), Instant::now());
        let busy = Patience::ASKING.total * 6;
        let throttled = || {
            asked.fetch_add(1, Ordering::Relaxed);
            async move { if begun.elapsed() < busy { Err(ApiError::Throttled) } else { Ok(()) } }
        };
        assert_eq!(Patience::page(throttled).await, Ok(()));
        let calls = asked.swap(0, Ordering::Relaxed);
        assert!(calls < 120, "{calls} calls in a minute only keep it throttled");
        let begun = Instant::now();
        let away = || async { Err::<(), _>(ApiError::Unavailable("no answer".into())) };
        assert!(Patience::page(away).await.is_err() && begun.elapsed() <= Patience::ASKING.total);
        let begun = Instant::now();
        assert_eq!(
            Patience::page(|| async { Err::<(), _>(ApiError::Throttled) }).await,
            Err(ApiError::Throttled)
        );
        assert!(begun.elapsed() <= Patience::ASKING.total + Patience::THROTTLED.total);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_repeated() {
        let asked = AtomicU32::new(0);
        let refuse = || {
            asked.fetch_add(1, Ordering::Relaxed);
            async { Err::<(), _>(ApiError::Other("denied".into())) }
        };
        assert!(Patience::MAKING.call(|_| {}, refuse).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn pauses_differ_and_stay_within_bounds() {
        let pauses: std::collections::BTreeSet<_> =
            (0..64).map(|_| jittered(Duration::from_secs(16))).collect();
        assert!(pauses.len() > 8);
        assert!(pauses.iter().all(|pause| (1..=16).contains(&pause.as_secs())));
    }
}
