//! What pages ask of the account: a few questions at once, each within its time.
//!
//! A question takes neither the turn of those who change something nor the fleet directory, so no order waits for it, however
//! slow the account is, and whoever asks too much at once is told so.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_aws::Aws;
use fleetkey_dashboard::fleet::Refused;
use fleetkey_operator::plan::{Onlooker, PlanError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::office::{Manner, Office, hinted};

/// How many questions are with the account at once.
const AT_ONCE: usize = 4;
/// How many more wait for that.
const WAITING: usize = 32;
/// How long the account may take for most of them.
pub(super) const WITHIN: Duration = Duration::from_secs(60);
/// The same where it lists all devices.
pub(super) const LISTS_WITHIN: Duration = Duration::from_secs(300);

/// The places of those who ask.
#[derive(Debug, Clone)]
pub(in super::super) struct Reading {
    /// All of them.
    places: Arc<Semaphore>,
    /// Those that are with the account.
    room: Arc<Semaphore>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE + WAITING)), room: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Reading {
    /// Waits for a place among those that ask, and then for the answer, each no longer than `within`.
    async fn ask<T, F>(
        &self,
        (closed, within): (&CancellationToken, Duration),
        question: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, Refused>
    where
        T: Send + 'static,
        F: Future<Output = anyhow::Result<T>>,
    {
        let busy = || Refused("too much is asked of the account at once; ask again in a while".to_owned());
        let place = self.places.clone().try_acquire_owned().map_err(|_full| busy())?;
        let room = timeout(within, self.room.clone().acquire_owned()).await.map_err(|_late| busy())?;
        let (closed, runtime) = (closed.clone(), Handle::current());
        // On a thread of its own: it reads files. It keeps its place to its end, whether somebody waits for it here or not.
        let asking = move || {
            let (_place, _room) = (place, room);
            runtime.block_on(closed.run_until_cancelled(async { timeout(within, question()).await }))
        };
        match tokio::task::spawn_blocking(asking).await {
            Ok(Some(Ok(answer))) => answer.map_err(|error| Refused(hinted(&format!("{error:#}")))),
            Ok(Some(Err(_late))) => {
                let words = format!("the account has not answered within {} s", within.as_secs());
                Err(Refused(format!("{words}; it is asked again in a while")))
            }
            _ => Err(Refused("the controller was stopped".to_owned())),
        }
    }
}

impl Office {
    /// Asks the account something for a page.
    ///
    /// # Errors
    /// In words, when it refuses or takes longer than `within`, or too much is asked already.
    pub(super) async fn read<T, F>(
        &self,
        until: (&CancellationToken, Duration),
        question: impl FnOnce(Self) -> F + Send + 'static,
    ) -> Result<T, Refused>
    where
        T: Send + 'static,
        F: Future<Output = anyhow::Result<T>>,
    {
        let office = self.clone();
        self.reading.ask(until, move || question(office)).await
    }

    /// Looks at the fleet without taking its directory. With `force`, what somebody else has made is told of and not refused.
    ///
    /// # Errors
    /// When the account does not answer, or the directory is another fleet's.
    pub(super) async fn onlooker<'a>(
        &self,
        aws: &'a Aws,
        force: bool,
    ) -> Result<Onlooker<'a, Aws>, PlanError> {
        let tools = Manner::brief(force).tools(aws);
        Onlooker::open(tools, &self.directory, &self.fleet(), force).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::watch;

    /// Longer than any test waits.
    const EVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_few_are_with_the_account_at_once_some_wait_and_the_rest_is_refused() {
        let (reading, closed) = (Reading::default(), CancellationToken::new());
        let (begun, open) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(false));
        let ask = || {
            let (reading, closed, begun, mut opened) =
                (reading.clone(), closed.clone(), begun.clone(), open.subscribe());
            let question = move || async move {
                begun.fetch_add(1, Ordering::SeqCst);
                opened.wait_for(|open| *open).await?;
                Ok(())
            };
            tokio::spawn(async move { reading.ask((&closed, EVER), question).await })
        };
        let all: Vec<_> = (0..AT_ONCE + WAITING).map(|_| ask()).collect();
        while begun.load(Ordering::SeqCst) < AT_ONCE || reading.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = ask().await.unwrap().unwrap_err();
        assert!(refused.to_string().contains("too much is asked"), "{refused}");
        assert_eq!(begun.load(Ordering::SeqCst), AT_ONCE, "nobody else came to the account");
        open.send_replace(true);
        for asked in all {
            asked.await.unwrap().unwrap();
        }
        ask().await.unwrap().unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), AT_ONCE + WAITING + 1);
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_waited_for_no_longer_than_its_time_and_frees_its_place() {
        let (reading, closed) = (Reading::default(), CancellationToken::new());
        for _ in 0..2 * AT_ONCE {
            let never = || std::future::pending::<anyhow::Result<()>>();
            let refused = reading.ask((&closed, Duration::from_millis(1)), never).await.unwrap_err();
            assert!(refused.to_string().contains("has not answered within"), "{refused}");
        }
        assert_eq!(reading.room.available_permits(), AT_ONCE);
        closed.cancel();
        let never = || std::future::pending::<anyhow::Result<()>>();
        let refused = reading.ask((&closed, EVER), never).await.unwrap_err();
        assert!(refused.to_string().contains("stopped"), "{refused}");
    }
}
