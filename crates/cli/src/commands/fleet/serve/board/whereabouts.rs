//! Whether devices are connected of which no event has told since this process hears: asked of the account once, before a
//! campaign tells them or gives them up. From then on events tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetkey_aws::Aws;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_operator::control_plane::{Connected, ControlPlane};
use fleetkey_operator::plan::Patience;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::super::super::now;

/// How many are asked for at once, and how long each has its place at least: the account answers ten such questions a second,
/// of which the controller needs some.
const AT_ONCE: usize = 7;
const EACH: Duration = Duration::from_millis(900);

/// The account's words, and who asks for them.
pub(super) struct Whereabouts {
    aws: Arc<Aws>,
    closed: CancellationToken,
    room: Arc<Semaphore>,
    words: Words,
}

/// Of each device of which no event tells.
type Words = Arc<Mutex<BTreeMap<ThingName, Word>>>;

#[derive(Debug, Clone, Copy)]
enum Word {
    Asked,
    /// It was so when it was asked.
    Told {
        asked: Timestamp,
        is_away: bool,
    },
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
        Self { aws, closed, room: Arc::new(Semaphore::new(AT_ONCE)), words: Arc::default() }
    }

    /// Where a device is, if nothing was `heard` of it since the account was asked; if that is not known, it is asked.
    pub(super) fn of(&self, thing: &ThingName, heard: Option<Timestamp>) -> Place {
        let mut words = lock(&self.words);
        match words.get(thing) {
            Some(Word::Asked) => return Place::Asked,
            Some(Word::Told { asked, is_away }) if heard.is_none_or(|heard| heard <= *asked) => {
                return if *is_away { Place::Away } else { Place::There };
            }
            _ => {}
        }
        if let Ok(place) = self.room.clone().try_acquire_owned() {
            words.insert(thing.clone(), Word::Asked);
            self.ask(thing.clone(), place);
        }
        Place::Asked
    }

    /// Events tell of it.
    pub(super) fn forget(&self, thing: &ThingName) {
        lock(&self.words).remove(thing);
    }

    fn ask(&self, thing: ThingName, place: OwnedSemaphorePermit) {
        let (aws, words, closed) = (self.aws.clone(), self.words.clone(), self.closed.clone());
        let asking = async move {
            let (asked, client, pause) = (now(), ClientId::live(&thing), tokio::time::sleep(EACH));
            let answer = Patience::ASKING.call(|_| {}, || aws.connection(&client)).await;
            if let Err(error) = &answer {
                tracing::warn!(%thing, %error, "whether a device is connected cannot be asked");
            }
            let is_away = matches!(answer, Ok(Connected::No));
            lock(&words).insert(thing, Word::Told { asked, is_away });
            pause.await;
            drop(place);
        };
        tokio::spawn(async move { closed.run_until_cancelled(asking).await });
    }
}

fn lock(words: &Words) -> MutexGuard<'_, BTreeMap<ThingName, Word>> {
    words.lock().unwrap_or_else(PoisonError::into_inner)
}
