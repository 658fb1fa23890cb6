//! The disk thread: all file I/O on an agent's state directory, one call after the other, on one thread.
//!
//! What was asked for first is on the medium first; that is a fact here and not a matter of a pool of threads. A
//! process that runs many agents has one such thread for each, with a small stack that is mostly never touched.
//! The thread owns the [`Lock`]: the directory is ours for as long as any write to it can still happen, however
//! the agent ends. Not here: what is done on disk ([`crate::store`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::store::{AuditEntry, AuditHead, AuditLog, Lock, Store, StoreFault};

/// Calls that may wait. The driver makes one at a time; the rest are entries of the audit log.
const CALLS: usize = 64;
/// The thread's stack: keys, certificates and JSON of a few kilobytes are all that is worked on. Half a megabyte
/// of address space an agent, of which only what is used is ever memory.
const STACK: usize = 512 * 1024;
/// How long a stop waits for what is still to be written.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What lives on the thread.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) store: Store,
    pub(crate) audit: AuditLog,
    pub(crate) _lock: Lock,
}

/// What can be told of the disk without waiting for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct View {
    /// Whether the ballast is in place.
    pub(crate) ballast: bool,
    /// The last entry of the audit log, if it reads.
    pub(crate) audit: Option<AuditHead>,
}

/// A way to the thread. It ends, and gives the directory free, when the last one is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    calls: mpsc::Sender<Call>,
    view: watch::Receiver<View>,
    root: PathBuf,
}

/// Tells when the thread has ended.
#[derive(Debug)]
pub(crate) struct Ended(watch::Receiver<View>);

type Call = Box<dyn FnOnce(&mut Files) + Send>;

impl Disk {
    /// Starts the thread and opens the directory on it.
    ///
    /// # Errors
    /// When there can be no thread, or `open` fails.
    pub(crate) async fn start<T, E>(
        root: &Path,
        open: impl FnOnce() -> Result<(Files, T), E> + Send + 'static,
    ) -> Result<(Self, T), E>
    where
        T: Send + 'static,
        E: From<StoreFault> + Send + 'static,
    {
        let (calls, incoming) = mpsc::channel(CALLS);
        let (told, opened) = oneshot::channel();
        let (seen, view) = watch::channel(View::default());
        let span = tracing::Span::current();
        let run = move || match span.in_scope(open) {
            Ok((files, found)) => {
                seen.send_replace(View::of(&files));
                // Nobody waits for it any more: the directory is given free at once.
                if told.send(Ok(found)).is_ok() {
                    serve(files, incoming, &seen);
                }
            }
            Err(error) => {
                let _ = told.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("disk".into()).stack_size(STACK);
        thread.spawn(run).map_err(|error| StoreFault::io("start a thread for", root, &error))?;
        let panicked = |_| StoreFault::content("open", root, "the attempt panicked");
        let found = opened.await.map_err(panicked)??;
        Ok((Self { calls, view, root: root.to_path_buf() }, found))
    }

    /// Makes one call and waits for its result. A call that was taken is made, whether or not anybody still waits.
    ///
    /// # Errors
    /// What the call returns; a call that panics is a fault as well, and the thread serves on.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Files) -> Result<T, StoreFault> + Send + 'static,
    ) -> Result<T, StoreFault> {
        let (answer, answered) = oneshot::channel();
        let span = tracing::Span::current();
        let call: Call = Box::new(move |files| {
            let _ = answer.send(span.in_scope(|| call(files)));
        });
        if self.calls.send(call).await.is_ok()
            && let Ok(result) = answered.await
        {
            return result;
        }
        Err(StoreFault::content("work on", &self.root, "the call panicked"))
    }

    /// Enters something into the audit log: without waiting, and without a word to whoever decides if it fails.
    pub(crate) fn note(&self, entry: AuditEntry) {
        let call: Call = Box::new(move |files| files.note(&entry));
        if self.calls.try_send(call).is_err() {
            tracing::warn!("the disk does not keep up; an entry of the audit log is lost");
        }
    }

    /// What can be told without waiting, from now on.
    pub(crate) fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// What tells when the thread has ended.
    pub(crate) fn ended(&self) -> Ended {
        Ended(self.view.clone())
    }
}

impl Ended {
    /// Waits until everything that was asked for is done and the directory is free; not for ever, because a disk
    /// may not answer. The process can then end all the same: the next start takes up what it finds.
    pub(crate) async fn wait(mut self) {
        let gone = async { while self.0.changed().await.is_ok() {} };
        if tokio::time::timeout(STOP_PATIENCE, gone).await.is_err() {
            tracing::warn!("the disk did not answer in time; the next start takes up what it finds");
        }
    }
}

impl Files {
    /// Enters something into the audit log, best effort.
    pub(crate) fn note(&mut self, entry: &AuditEntry) {
        if let Err(fault) = self.audit.append(entry) {
            tracing::warn!(%fault, "an entry of the audit log is lost");
        }
    }
}

impl View {
    fn of(files: &Files) -> Self {
        Self { ballast: files.store.has_ballast(), audit: files.audit.head().cloned() }
    }
}

fn serve(mut files: Files, mut calls: mpsc::Receiver<Call>, seen: &watch::Sender<View>) {
    while let Some(call) = calls.blocking_recv() {
        // Neither the store nor the log keeps anything in memory that a call could leave half changed.
        if catch_unwind(AssertUnwindSafe(|| call(&mut files))).is_err() {
            tracing::error!("a call on the state directory panicked");
        }
        let view = View::of(&files);
        seen.send_if_modified(|shown| {
            let changed = *shown != view;
            *shown = view;
            changed
        });
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;

    use super::{AuditLog, Disk, Files, Lock, StoreFault};
    use crate::store::testing::{Disk as TestDisk, store};

    /// A thread on a test's disk.
    pub(crate) async fn start(disk: &TestDisk) -> Disk {
        let on = disk.clone();
        let open = move || {
            let lock = Lock::acquire(on.root()).unwrap();
            let audit = AuditLog::new(Arc::new(on.clone()), on.root());
            Ok::<_, StoreFault>((Files { store: store(&on), audit, _lock: lock }, ()))
        };
        Disk::start(disk.root(), open).await.unwrap().0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use fleetkey_lifecycle::Record;
    use fleetkey_model::time::Timestamp;

    use super::testing::start;
    use super::*;
    use crate::store::testing::{Disk as TestDisk, store};
    use crate::store::{FaultKind, LockError};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn calls_are_made_one_by_one_in_the_order_they_came_on_one_thread_named_disk() {
        let disk = start(&TestDisk::new()).await;
        let made = Arc::new(Mutex::new(Vec::new()));
        for number in 0..50 {
            let made = made.clone();
            let call: Call = Box::new(move |_| {
                let thread = std::thread::current();
                made.lock().unwrap().push((number, thread.id(), thread.name().map(str::to_owned)));
            });
            disk.calls.send(call).await.unwrap();
        }
        disk.run(|_| Ok(())).await.unwrap();
        let made = made.lock().unwrap();
        assert!(made.iter().map(|(number, ..)| *number).eq(0..50));
        assert!(made.iter().all(|(_, id, name)| *id == made[0].1 && name.as_deref() == Some("disk")));
    }

    #[tokio::test]
    async fn a_call_that_panics_is_a_fault_and_the_next_one_is_made() {
        let disk = start(&TestDisk::new()).await;
        let fault = disk.run::<()>(|_| panic!("a bug")).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Content);
        disk.run(|files| files.store.write_record(&Record::fresh(Timestamp::default()))).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_asked_for_is_written_before_the_directory_is_given_free() {
        let on = TestDisk::new();
        let disk = start(&on).await;
        assert!(matches!(Lock::acquire(on.root()), Err(LockError::InUse(_))));
        let ended = disk.ended();
        let record = Record::fresh(Timestamp::from_secs(7));
        let writing = {
            let record = record.clone();
            disk.run(move |files| files.store.write_record(&record))
        };
        let mut writing = Box::pin(writing);
        // Polled once, so that it is asked for, and then given up.
        assert!(futures_poll(&mut writing).await);
        drop(writing);
        drop(disk);
        ended.wait().await;
        Lock::acquire(on.root()).unwrap();
        assert_eq!(store(&on).read_record(), Ok(Some(record)));
    }

    /// Whether the future was still pending, or done, after one poll.
    async fn futures_poll(future: &mut (impl Future + Unpin)) -> bool {
        std::future::poll_fn(|context| {
            let _ = std::pin::Pin::new(&mut *future).poll(context);
            std::task::Poll::Ready(true)
        })
        .await
    }

    #[tokio::test]
    async fn an_entry_of_the_audit_log_is_made_in_its_turn_and_seen() {
        let disk = start(&TestDisk::new()).await;
        let entry =
            AuditEntry { at: Timestamp::default(), id: None, event: serde_json::json!({"event": "x"}) };
        disk.note(entry);
        disk.run(|_| Ok(())).await.unwrap();
        assert_eq!(disk.view().borrow().audit.as_ref().map(|head| head.n), Some(1));
    }

    #[tokio::test]
    async fn a_directory_that_does_not_open_is_free_again_and_says_why() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_path_buf();
        let open = move || {
            let _lock = Lock::acquire(&path).unwrap();
            Err::<(Files, ()), _>(StoreFault::content("open", &path, "no"))
        };
        let fault = Disk::start(root.path(), open).await.unwrap_err();
        assert_eq!(fault.reason, "no");
        let panics = || -> Result<(Files, ()), StoreFault> { panic!("a bug") };
        assert!(Disk::start(root.path(), panics).await.unwrap_err().reason.contains("panicked"));
        Lock::acquire(root.path()).unwrap();
    }
}
