//! Whether devices are connected of which no event has told since this process hears: asked of the account before a
//! campaign tells them or gives them up, and again every few minutes while no event tells.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetkey_aws::Aws;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_operator::control_plane::{ApiError, Connected, ControlPlane};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::read::Heard;

/// How many are asked for at once, and how long each has its place at least: the account answers a hundred such questions a second
/// (AWS IoT Core quotas), of which retirement needs some. Who is asked for anew has places apart: of a large fleet that is away
/// they would take all, and nobody else's would ever come.
const AT_ONCE: usize = 15;
const ANEW: usize = 5;
const EACH: Duration = Duration::from_secs(1);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// When it is asked again, after an answer and after none.
const AGAIN: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(60);

/// The account's words, and who asks for them.
pub(super) struct Whereabouts {
    aws: Arc<Aws>,
    closed: CancellationToken,
    room: Arc<Semaphore>,
    room_anew: Arc<Semaphore>,
    words: Words,
    /// The last question found no answer, which was said.
    is_mute: Arc<AtomicBool>,
}

/// Of each device of which no event tells.
type Words = Arc<Mutex<BTreeMap<ThingName, Word>>>;

#[derive(Debug, Clone, Copy, Default)]
struct Word {
    is_asked: bool,
    told: Option<Told>,
}

/// What the account said.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// What had been heard when it was asked. Compared for sameness alone: the moments are of two clocks.
    heard: Heard,
    is_away: bool,
    /// Then it is asked again: an event may have been lost, or the account may be able to tell now.
    again: Instant,
}

/// Where a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is connected, or nobody can tell.
    There,
    /// It is not.
    Away,
    /// That is being asked.
    Asked,
}

impl Whereabouts {
    pub(super) fn new(aws: Arc<Aws>, closed: CancellationToken) -> Self {
        let [room, room_anew] = [AT_ONCE, ANEW].map(|places| Arc::new(Semaphore::new(places)));
        Self { aws, closed, room, room_anew, words: Arc::default(), is_mute: Arc::default() }
    }

    /// Where a device is, as the account said when as much had been `heard` as now; if it has not said, it is asked.
    pub(super) fn of(&self, thing: &ThingName, heard: Heard) -> Place {
        let mut words = lock(&self.words);
        let word = words.entry(thing.clone()).or_default();
        let told = word.told.filter(|told| told.heard == heard);
        let is_fresh = told.is_some_and(|told| Instant::now() < told.again);
        let room = if told.is_some() { &self.room_anew } else { &self.room };
        if !is_fresh
            && !word.is_asked
            && let Ok(place) = room.clone().try_acquire_owned()
        {
            word.is_asked = true;
            self.ask(thing.clone(), heard, place);
        }
        match told {
            None => Place::Asked,
            Some(Told { is_away: true, .. }) => Place::Away,
            Some(_) => Place::There,
        }
    }

    /// Events tell of it.
    pub(super) fn forget(&self, thing: &ThingName) {
        lock(&self.words).remove(thing);
    }

    /// Once; who cannot be asked counts as there until the next time.
    fn ask(&self, thing: ThingName, heard: Heard, place: OwnedSemaphorePermit) {
        let (aws, words, closed, mute) =
            (self.aws.clone(), self.words.clone(), self.closed.clone(), self.is_mute.clone());
        let asking = async move {
            let (client, pause) = (ClientId::live(&thing), tokio::time::sleep(EACH));
            let silence = |_| ApiError::Unavailable(format!("no answer within {} s", PATIENCE.as_secs()));
            let answer = tokio::time::timeout(PATIENCE, aws.connection(&client)).await;
            let answer = answer.map_err(silence).flatten();
            let was_mute = mute.swap(answer.is_err(), Ordering::Relaxed);
            if let Err(error) = answer.as_ref()
                && !was_mute
            {
                tracing::warn!(%thing, %error, "whether devices are connected cannot be asked");
            }
            let after = if answer.is_ok() { AGAIN } else { SOON };
            let (is_away, again) = (matches!(answer, Ok(Connected::No)), Instant::now() + after);
            // Who came at a busy moment is asked for again at once.
            let is_busy = matches!(answer, Err(ApiError::Throttled));
            let told = (!is_busy).then_some(Told { heard, is_away, again });
            lock(&words).insert(thing, Word { is_asked: false, told });
            pause.await;
            drop(place);
        };
        tokio::spawn(async move { closed.run_until_cancelled(asking).await });
    }
}

fn lock(words: &Words) -> MutexGuard<'_, BTreeMap<ThingName, Word>> {
    words.lock().unwrap_or_else(PoisonError::into_inner)
}
