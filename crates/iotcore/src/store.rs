//! The registry on disk: one redb file, one transaction a commit, durable before visible.
//!
//! [`Store::commit`] plans on the registry in memory, writes and syncs the plan's changes, and only then
//! applies them, tells subscribers and answers. Commits take turns; readers never wait for the disk.
//! Not here: sessions and retained messages, which have a file of their own, and the rules of the registry.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use redb::StorageBackend;
use tokio::sync::{Mutex, OwnedMutexGuard, broadcast, mpsc};

use crate::registry::{Change, Happening, Plan, Registry};

pub use error::{CommitError, OpenError, StorageError};

use disk::Disk;

mod disk;
mod error;
mod row;

/// Commits that a subscriber may lag behind before it must look at the registry itself again.
const SUBSCRIBER_BACKLOG: usize = 1024;

/// The registry and its file. Clones share both.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: RwLock<Registry>,
    disk: Disk,
    turn: Arc<Mutex<()>>,
    epoch: AtomicU64,
    changes: broadcast::Sender<Arc<Vec<Change>>>,
    happenings: OnceLock<mpsc::Sender<Vec<Happening>>>,
}

impl Store {
    /// Opens the registry file at `path`, making it (mode 0600) when it does not exist. Blocks on the disk.
    ///
    /// # Errors
    /// When the file is in use by another process, newer than this program, unreadable or damaged.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::from_disk(Disk::open(path)?)
    }

    /// Opens the registry on any backend: for tests that watch or break the disk.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn with_backend(backend: impl StorageBackend) -> Result<Self, OpenError> {
        Self::from_disk(Disk::with_backend(backend)?)
    }

    /// A registry that is gone when the last clone is dropped.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::with_backend(redb::backends::InMemoryBackend::new())
    }

    fn from_disk(disk: Disk) -> Result<Self, OpenError> {
        let mut registry = Registry::new();
        disk.load(|change| registry.apply(&change))?;
        Ok(Self {
            inner: Arc::new(Inner {
                registry: RwLock::new(registry),
                disk,
                turn: Arc::default(),
                epoch: AtomicU64::new(0),
                changes: broadcast::channel(SUBSCRIBER_BACKLOG).0,
                happenings: OnceLock::new(),
            }),
        })
    }

    /// The registry as it is now. The guard cannot be held across an await; commits wait for it.
    pub fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.inner.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans, makes durable, applies, tells subscribers, answers: in this order. Dropping the future before the
    /// plan is made changes nothing; dropping it later does not undo or tear the commit.
    ///
    /// # Errors
    /// [`CommitError::Refused`] with the plan's own error, or [`CommitError::Storage`]: then nothing is visible,
    /// but whether the change reached the disk is known only after a restart.
    pub async fn commit<T, E>(
        &self,
        plan: impl FnOnce(&Registry) -> Result<Plan<T>, E>,
    ) -> Result<T, CommitError<E>> {
        let turn = self.inner.turn.clone().lock_owned().await;
        let Plan { changes, output } = plan(&self.read()).map_err(CommitError::Refused)?;
        if changes.is_empty() {
            return Ok(output);
        }
        let inner = self.inner.clone();
        let commit = tokio::task::spawn_blocking(move || inner.make_durable_then_visible(changes, turn));
        match commit.await {
            Ok(done) => done.map(|()| output).map_err(CommitError::Storage),
            Err(error) => Err(CommitError::Storage(StorageError::because(format!(
                "the commit did not finish: {error}"
            )))),
        }
    }

    /// Empties the registry, durably, whatever is in it. Subscribers hear of the certificates that are gone.
    ///
    /// # Errors
    /// When the disk fails: then nothing is visible, but whether it reached the disk is known only after a restart.
    pub async fn clear(&self) -> Result<(), StorageError> {
        let turn = self.inner.turn.clone().lock_owned().await;
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || inner.clear(turn)).await;
        done.unwrap_or_else(|error| Err(StorageError::because(format!("it did not finish: {error}"))))
    }

    /// Tells of each commit after it is visible in [`Store::read`]. A receiver that lags by more than a thousand
    /// commits is told so by the channel and must look at the whole registry again.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Change>>> {
        self.inner.changes.subscribe()
    }

    /// Tells of each commit, after it is visible, what it did of the kinds of event that the account wants. Nothing is
    /// left out: commits wait for a listener that falls far behind, so it must not commit itself. For one listener: a
    /// second is told nothing.
    pub fn happenings(&self) -> mpsc::Receiver<Vec<Happening>> {
        let (sender, receiver) = mpsc::channel(SUBSCRIBER_BACKLOG);
        // The first stays.
        let _ = self.inner.happenings.set(sender);
        receiver
    }

    /// Rises with each commit, before the commit is answered. Whoever caches what it read should read the epoch
    /// first.
    pub fn epoch(&self) -> u64 {
        self.inner.epoch.load(Ordering::Acquire)
    }
}

impl Inner {
    fn clear(&self, _turn: OwnedMutexGuard<()>) -> Result<(), StorageError> {
        self.disk.clear()?;
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::take(&mut *registry);
        self.epoch.fetch_add(1, Ordering::Release);
        drop(registry);
        let gone = former.certificates().map(|record| Change::DeleteCertificate(record.id)).collect();
        // Nobody listening is no failure.
        let _ = self.changes.send(Arc::new(gone));
        Ok(())
    }

    fn make_durable_then_visible(
        &self,
        changes: Vec<Change>,
        _turn: OwnedMutexGuard<()>,
    ) -> Result<(), StorageError> {
        self.disk.write(&changes)?;
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        let happenings = registry.happenings(&changes);
        changes.iter().for_each(|change| registry.apply(change));
        self.epoch.fetch_add(1, Ordering::Release);
        drop(registry);
        if let Some(listener) = self.happenings.get().filter(|_| !happenings.is_empty()) {
            // On a thread that may block. Nobody listening any more is no failure.
            let _ = listener.blocking_send(happenings);
        }
        // Nobody listening is no failure.
        let _ = self.changes.send(Arc::new(changes));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
