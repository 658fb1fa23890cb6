//! The sessions file: persistent sessions, the QoS 1 messages that wait for them, and retained messages.
//!
//! One writer task commits what has gathered, so that many connections share one fsync (group commit). Whoever
//! must not answer before its write is durable keeps the number of the batch and waits for it ([`Sessions::put_message`],
//! [`Sessions::progress`]). What merely tidies up (an acknowledged message) is written with the next batch.
//!
//! Not here: the registry, which is another file with another rule (durable before visible).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redb::Database;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use file::SessionsError;
pub(crate) use file::{Loaded, Stored, open};
pub(crate) use record::{SessionRecord, SubscriptionRecord};

mod file;
mod record;

/// How long a batch waits for company once somebody needs it.
const LINGER: Duration = Duration::from_millis(2);
/// How many operations end that wait early.
const FULL: usize = 256;
/// How long a batch that nobody waits for may gather.
const LAZY: Duration = Duration::from_millis(200);

/// How far the file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Every batch up to this one is durable.
    pub(crate) durable: u64,
    /// A write has failed: nothing becomes durable any more until a restart.
    pub(crate) failed: bool,
}

/// Gathers operations for the writer task; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pending: Mutex<Batch>,
    work: Notify,
    hurry: Notify,
    progress: watch::Sender<Progress>,
}

/// Operations that become durable together; a later one on the same row replaces an earlier one.
#[derive(Debug, Default)]
struct Batch {
    number: u64,
    ops: usize,
    urgent: bool,
    closing: bool,
    /// Sessions whose rows are all removed first.
    forgotten: HashSet<Arc<str>>,
    sessions: HashMap<Arc<str>, SessionRecord>,
    /// `None` removes the row.
    messages: HashMap<(Arc<str>, u64), Option<Bytes>>,
    /// `None` removes the row.
    retained: HashMap<Arc<str>, Option<Bytes>>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.forgotten.is_empty()
            && self.sessions.is_empty()
            && self.messages.is_empty()
            && self.retained.is_empty()
    }
}

impl Sessions {
    /// Reads what the file holds and starts its writer.
    ///
    /// # Errors
    /// When the file is of a newer version, damaged or unreadable.
    pub(crate) fn start(database: Database) -> Result<(Self, Loaded, Writer), SessionsError> {
        let loaded = file::load(&database)?;
        let shared = Arc::new(Shared {
            pending: Mutex::new(Batch { number: 1, ..Batch::default() }),
            work: Notify::new(),
            hurry: Notify::new(),
            progress: watch::Sender::new(Progress::default()),
        });
        let task = Some(tokio::spawn(write(shared.clone(), database)));
        let sessions = Self { shared: shared.clone() };
        Ok((sessions, loaded, Writer { shared, task }))
    }

    /// Follows what has become durable.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.shared.progress.subscribe()
    }

    /// Writes a session's own row. Returns its batch.
    pub(crate) fn put_session(&self, key: &Arc<str>, record: SessionRecord) -> u64 {
        self.submit(true, |batch| {
            batch.sessions.insert(key.clone(), record);
        })
    }

    /// Writes a session's own row with whatever batch comes next.
    pub(crate) fn put_session_lazily(&self, key: &Arc<str>, record: SessionRecord) {
        self.submit(false, |batch| {
            batch.sessions.insert(key.clone(), record);
        });
    }

    /// Removes a session and all that waits for it. Returns its batch.
    pub(crate) fn forget_session(&self, key: &Arc<str>) -> u64 {
        self.submit(true, |batch| {
            batch.sessions.remove(key);
            batch.messages.retain(|(own, _), _| own != key);
            batch.forgotten.insert(key.clone());
        })
    }

    /// Writes a message that waits for a session. Returns its batch.
    pub(crate) fn put_message(&self, key: &Arc<str>, number: u64, message: Bytes) -> u64 {
        self.submit(true, |batch| {
            batch.messages.insert((key.clone(), number), Some(message));
        })
    }

    /// Removes a message that its receiver has acknowledged. One that has not been written yet never is.
    pub(crate) fn remove_message(&self, key: &Arc<str>, number: u64) {
        self.submit(false, |batch| {
            let row = (key.clone(), number);
            if batch.messages.remove(&row).is_none() {
                batch.messages.insert(row, None);
            }
        });
    }

    /// Writes or, with `None`, removes a topic's retained message. Returns its batch.
    pub(crate) fn put_retained(&self, topic: &str, message: Option<Bytes>) -> u64 {
        self.submit(true, |batch| {
            batch.retained.insert(topic.into(), message);
        })
    }

    fn submit(&self, urgent: bool, change: impl FnOnce(&mut Batch)) -> u64 {
        let mut batch = self.shared.pending();
        change(&mut batch);
        batch.ops += 1;
        let first = batch.ops == 1;
        let turned_urgent = urgent && !batch.urgent;
        batch.urgent |= urgent;
        if turned_urgent || batch.ops == FULL {
            self.shared.hurry.notify_one();
        }
        if first {
            self.shared.work.notify_one();
        }
        batch.number
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Batch> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the batch and opens the next one.
    fn take(&self) -> Batch {
        let mut pending = self.pending();
        let next = Batch { number: pending.number + 1, closing: pending.closing, ..Batch::default() };
        std::mem::replace(&mut *pending, next)
    }

    /// Waits until the batch is worth writing.
    async fn gather(&self) {
        self.work.notified().await;
        let is = |test: fn(&Batch) -> bool| test(&self.pending());
        if !is(|batch| batch.urgent || batch.closing) {
            let _ = tokio::time::timeout(LAZY, self.hurry.notified()).await;
        }
        let linger = tokio::time::Instant::now() + LINGER;
        while !is(|batch| batch.ops >= FULL || batch.closing) {
            if tokio::time::timeout_at(linger, self.hurry.notified()).await.is_err() {
                break;
            }
        }
    }
}

/// The writer task, for the end of the broker.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

impl Writer {
    /// Writes what is left and closes the file.
    pub(crate) async fn close(mut self) {
        self.stop();
        let Some(task) = self.task.take() else { return };
        if let Err(error) = task.await {
            tracing::error!(%error, "the writer of the sessions file died");
        }
    }

    fn stop(&self) {
        self.shared.pending().closing = true;
        self.shared.work.notify_one();
        self.shared.hurry.notify_one();
    }
}

/// Dropped without [`Writer::close`], it still writes what is left, with nobody waiting.
impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn write(shared: Arc<Shared>, database: Database) {
    let database = Arc::new(database);
    loop {
        shared.gather().await;
        let batch = shared.take();
        let (number, closing) = (batch.number, batch.closing);
        let failed = !batch.is_empty() && !commit(&database, batch).await;
        shared.progress.send_modify(|progress| {
            progress.failed |= failed;
            if !progress.failed {
                progress.durable = number;
            }
        });
        if closing {
            return;
        }
    }
}

async fn commit(database: &Arc<Database>, batch: Batch) -> bool {
    let database = database.clone();
    let written = tokio::task::spawn_blocking(move || file::commit(&database, &batch)).await;
    match written {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::error!(%error, "sessions file: nothing is acknowledged for persistent sessions until restart");
            false
        }
        Err(error) => {
            tracing::error!(%error, "sessions file: the commit died");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;

    fn key(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    fn memory() -> Database {
        Database::builder().create_with_backend(InMemoryBackend::new()).unwrap()
    }

    async fn durable(sessions: &Sessions, batch: u64) {
        let mut progress = sessions.progress();
        progress.wait_for(|progress| progress.durable >= batch).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_written_is_read_back_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions.redb");
        let (sessions, loaded, writer) = Sessions::start(open(&path).unwrap()).unwrap();
        assert!(loaded.sessions.is_empty());
        sessions.put_message(&key("a"), 7, Bytes::from_static(b"seven"));
        sessions.put_message(&key("a"), 300, Bytes::from_static(b"later"));
        sessions.put_session(&key("a"), SessionRecord::example());
        sessions.put_retained("t", Some(Bytes::from_static(b"kept")));
        writer.close().await;
        let (_, loaded, writer) = Sessions::start(open(&path).unwrap()).unwrap();
        writer.close().await;
        let session = &loaded.sessions["a"];
        assert_eq!(session.record, SessionRecord::example());
        let numbers: Vec<u64> = session.messages.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [7, 300]);
        assert_eq!(loaded.retained["t"], Bytes::from_static(b"kept"));
    }

    #[tokio::test]
    async fn forgetting_a_session_takes_its_messages_and_spares_its_neighbours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions.redb");
        let (sessions, _, writer) = Sessions::start(open(&path).unwrap()).unwrap();
        for name in ["a", "ab"] {
            sessions.put_session(&key(name), SessionRecord::example());
            sessions.put_message(&key(name), 1, Bytes::from_static(b"x"));
        }
        durable(&sessions, sessions.put_message(&key("a"), 2, Bytes::from_static(b"y"))).await;
        sessions.put_message(&key("a"), 3, Bytes::from_static(b"z"));
        sessions.forget_session(&key("a"));
        writer.close().await;
        let (_, loaded, writer) = Sessions::start(open(&path).unwrap()).unwrap();
        writer.close().await;
        assert_eq!(loaded.sessions.keys().collect::<Vec<_>>(), ["ab"]);
        assert_eq!(loaded.sessions["ab"].messages.len(), 1);
    }

    #[tokio::test]
    async fn a_message_acknowledged_before_its_commit_is_never_written_and_its_batch_is_durable() {
        let (sessions, _, writer) = Sessions::start(memory()).unwrap();
        let batch = sessions.put_message(&key("a"), 1, Bytes::from_static(b"x"));
        sessions.remove_message(&key("a"), 1);
        assert!(sessions.shared.pending().messages.is_empty());
        durable(&sessions, batch).await;
        writer.close().await;
    }

    #[tokio::test]
    async fn retained_messages_of_version_1_get_the_moment_that_version_2_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions.redb");
        let (sessions, _, writer) = Sessions::start(open(&path).unwrap()).unwrap();
        sessions.put_retained("t", Some(Bytes::from_static(b"kept")));
        writer.close().await;
        let database = open(&path).unwrap();
        file::set_version(&database, 1).unwrap();
        let (_, loaded, writer) = Sessions::start(database).unwrap();
        writer.close().await;
        assert_eq!(loaded.retained["t"], Bytes::from_static(b"\0\0\0\0\0\0\0\0\x01kept"));
    }

    #[tokio::test]
    async fn a_file_of_a_newer_version_is_refused() {
        let database = memory();
        file::set_version(&database, 99).unwrap();
        let refused = Sessions::start(database).unwrap_err();
        assert!(matches!(refused, SessionsError::Newer { found: 99, .. }), "{refused}");
    }
}
