//! A disk in memory that loses, tears and reorders what was not synced, and fails where it is told to.

use std::sync::{Arc, Mutex};

pub use crash::{Crash, UnknownCrash};

mod crash;

/// A simulated disk; it will implement `fleetkey_agent::store::Filesystem`. Cloning it copies the image.
#[derive(Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Default)]
struct State {}

impl Clone for SimDisk {
    fn clone(&self) -> Self {
        let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        Self { state: Arc::new(Mutex::new(state)) }
    }
}
