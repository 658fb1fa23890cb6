//! A device as the world drives it: the shipping one, and the controls that must fail.

use std::sync::Arc;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, SerialNumber, ThingName};
use fleetkey_model::time::Timestamp;

use crate::director::Dark;
use crate::disk::{SimDisk, View};
use crate::env::Env;
use crate::mint::PoolKeys;
use crate::schedule::Whose;

pub use ship::{Facts, Ship, config};

mod execute;
mod ship;

/// What a device keeps when its process ends.
#[derive(Debug)]
pub struct Home {
    /// Its number among the devices of the run.
    pub number: usize,
    /// Its serial.
    pub serial: SerialNumber,
    /// The thing that it is.
    pub thing: ThingName,
    /// Its disk.
    pub disk: SimDisk,
    /// Where its keys come from.
    pub keys: Arc<PoolKeys>,
}

impl Home {
    /// A device with an empty disk.
    pub fn new(number: usize, serial: SerialNumber, first_key: u64) -> Self {
        let (thing, keys) = (serial.thing(), Arc::new(PoolKeys::from(first_key)));
        Self { number, serial, thing, disk: SimDisk::new(), keys }
    }

    /// The client id of the live session.
    pub fn live(&self) -> ClientId {
        ClientId::live(&self.thing)
    }
}

/// How a start ended.
#[derive(Debug)]
pub enum Started<D> {
    /// It runs.
    Up(D),
    /// It ended itself, for example because the disk cannot be read; it is started again after a while.
    Failed(String),
}

/// A device's program.
pub trait Device: Sized {
    /// For people.
    const NAME: &'static str;

    /// Starts the process on what the disk holds.
    ///
    /// # Errors
    /// When the power goes.
    fn start(env: &mut Env, home: &Home) -> Result<Started<Self>, Dark>;

    /// Does one thing; `false` when there is nothing to do now.
    ///
    /// # Errors
    /// When the power goes.
    fn step(&mut self, env: &mut Env, home: &Home) -> Result<bool, Dark>;

    /// When it has something to do by itself, in true time.
    fn deadline(&self, env: &Env) -> Option<Timestamp>;

    /// Whether an identity is committed, in use, and nothing is under way.
    fn is_settled(&self) -> bool;

    /// Whether a commit, or what is to lead to one, waits for an operator's switch.
    fn is_held(&self) -> bool {
        false
    }

    /// Whether it takes a rotation step by step, as an operator orders.
    fn is_in_steps(&self) -> bool {
        false
    }

    /// In a few words, what it is doing.
    fn doing(&self) -> String;

    /// The certificate that plays a part for it.
    fn certificate(&self, whose: Whose) -> Option<CertificateId>;

    /// Every certificate that the program could come to use if it found this disk, the key with it.
    fn identities(disk: &View<'_>) -> Vec<CertificateId>;

    /// Whether it is telling people of something that somebody else's hand may be behind.
    fn complains(&self) -> bool {
        false
    }

    /// Checks what only this program promises.
    fn inspect(&mut self, _env: &mut Env, _home: &Home) {}
}
