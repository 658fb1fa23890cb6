//! A disk for tests that keeps live and durable bytes apart, can hold back a sync, and can fail.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use redb::StorageBackend;

/// How long a sync may be in coming before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// Shared by the backend and the test that watches it.
#[derive(Debug, Default)]
pub(super) struct TestDisk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    live: Vec<u8>,
    durable: Vec<u8>,
    held: bool,
    failing: bool,
    waiting: usize,
}

impl TestDisk {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The disk as it is after the power went: only what was synced.
    pub(super) fn after_power_cut(&self) -> Arc<Self> {
        let durable = self.state.lock().unwrap().durable.clone();
        let disk = Self::new();
        disk.state.lock().unwrap().live.clone_from(&durable);
        disk.state.lock().unwrap().durable = durable;
        disk
    }

    /// Until the guard is dropped, by the test or by its failure, no sync returns.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        self.state.lock().unwrap().held = true;
        Held(self.clone())
    }

    /// From now on every sync fails.
    pub(super) fn fail(&self) {
        self.state.lock().unwrap().failing = true;
    }

    /// Returns when a sync is being held back.
    pub(super) async fn sync_held(self: &Arc<Self>) {
        let disk = self.clone();
        let wait = move || {
            let state = disk.state.lock().unwrap();
            let waited = disk.changed.wait_timeout_while(state, PATIENCE, |state| state.waiting == 0);
            assert!(!waited.unwrap().1.timed_out(), "nobody asked the disk to sync");
        };
        tokio::task::spawn_blocking(wait).await.unwrap();
    }
}

/// Syncs are held back while this lives.
pub(super) struct Held(Arc<TestDisk>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().held = false;
        self.0.changed.notify_all();
    }
}

/// The backend that redb is given.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Arc<TestDisk>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.state.lock().unwrap().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.state.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let found = state.live.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let length = usize::try_from(len).unwrap();
        self.0.state.lock().unwrap().live.resize(length, 0);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.state.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let place = state.live.get_mut(start..start + data.len());
        place.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.state.lock().unwrap();
        state.waiting += 1;
        self.0.changed.notify_all();
        state = self.0.changed.wait_while(state, |state| state.held).unwrap();
        state.waiting -= 1;
        if state.failing {
            return Err(io::Error::other("the disk is broken"));
        }
        state.durable = state.live.clone();
        Ok(())
    }
}
