//! The exclusive use of a directory: `.lock` in it, taken by flock(2), which ends with its process whatever ends that. While
//! it is taken the file names its holder, for whoever is refused.
//!
//! Whoever waits has taken `.lock.next` meanwhile. A long piece of work that lets go now and then waits its turn there, too,
//! so that it cannot have the directory again before the one that has waited for it. That is a courtesy: one that has its turn
//! and does not move, being stopped, keeps nobody from a directory that is free.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::{FileError, open, open_or_make};

/// How often a directory that is taken is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the one whose turn it is comes first.
const COURTESY: Duration = Duration::from_secs(2);
/// How many letters of a holder's name are written.
const LONGEST_NAME: usize = 100;
/// How many bytes of it are read.
const MOST_BYTES: u64 = 400;

/// The exclusive use of a directory, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    is_named: bool,
}

impl Lock {
    /// Takes the directory.
    ///
    /// # Errors
    /// When another process has it (`WouldBlock`), which is named, or the lock file cannot be made.
    pub fn take(directory: &Path) -> Result<Self, FileError> {
        let path = in_directory(directory);
        let failed = |error| FileError::new("lock", &path, error);
        match attempt(&path).map_err(failed)? {
            Ok(file) => {
                // Nobody's work depends on a name.
                let is_named = name(&file).is_ok();
                Ok(Self { file, is_named })
            }
            Err(holder) => Err(failed(taken(&format!("{holder} uses the directory")))),
        }
    }

    /// Whether this refusal names our own process for the holder.
    pub(crate) fn is_ours(refused: &FileError) -> bool {
        refused.cause.kind() == io::ErrorKind::WouldBlock && refused.cause.to_string().starts_with(&us())
    }

    /// Takes the directory, and waits so long for whoever has it, who is told to `waiting` once.
    ///
    /// # Errors
    /// When it is still taken then (`WouldBlock`), or the lock file cannot be made.
    pub async fn within(
        directory: &Path,
        patience: Duration,
        waiting: impl FnOnce(&str),
    ) -> Result<Self, FileError> {
        let path = in_directory(directory);
        let failed = |error| FileError::new("lock", &path, error);
        let begun = Instant::now();
        let mut waiting = Some(waiting);
        let mut turn = None;
        loop {
            if turn.is_none() {
                turn = attempt(&directory.join(".lock.next")).map_err(failed)?.ok();
            }
            let waited = begun.elapsed();
            if turn.is_some() || waited >= patience.min(COURTESY) {
                match Self::take(directory) {
                    Err(error) if error.cause.kind() == io::ErrorKind::WouldBlock => {}
                    taken => return taken,
                }
            }
            let holder = holder(&path);
            if waited >= patience {
                let words = format!(
                    "{holder} has used the directory for {} s; wait for its end, or end it: the next run goes on with what \
                     it has begun",
                    patience.as_secs()
                );
                return Err(failed(taken(&words)));
            }
            if let Some(waiting) = waiting.take() {
                waiting(&holder);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Lock {
    /// The name goes before the lock does; if it cannot, the next holder replaces it. The lock is let go in so many words: a
    /// child that was forked and has not become its program yet has the file, too.
    fn drop(&mut self) {
        let _nameless = self.is_named.then(|| self.file.set_len(0));
        let _free = self.file.unlock();
    }
}

fn in_directory(directory: &Path) -> PathBuf {
    directory.join(".lock")
}

fn taken(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, words.to_owned())
}

/// The file, taken; or who has it.
fn attempt(path: &Path) -> io::Result<Result<File, String>> {
    let file = open_or_make(OpenOptions::new().write(true), path)?;
    match file.try_lock() {
        Ok(()) => Ok(Ok(file)),
        Err(TryLockError::WouldBlock) => Ok(Err(holder(path))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Writes who we are into the file that we have taken.
fn name(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    let us = format!("{}({})", us(), command());
    let us: String = us.chars().take(LONGEST_NAME).collect();
    file.write_all(us.as_bytes())
}

/// How we are named, whichever command we are.
fn us() -> String {
    format!("process {} ", std::process::id())
}

/// The command without what it was told: `fleetkey panic claim`.
fn command() -> String {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let rest = words.take_while(|word| !word.starts_with('-')).take(2);
    std::iter::once(program).chain(rest).collect::<Vec<_>>().join(" ")
}

/// Who has the directory, as far as that is known.
fn holder(path: &Path) -> String {
    let mut text = Vec::new();
    let opened = open(OpenOptions::new().read(true), path);
    let read = opened.and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    match read {
        Ok(_) if text.starts_with("process ") => text,
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_directory_has_one_owner_at_a_time_who_is_named_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path()).unwrap();
        let refused = Lock::take(directory.path()).unwrap_err();
        assert_eq!(refused.cause.kind(), io::ErrorKind::WouldBlock);
        let us = format!("process {} (", std::process::id());
        assert!(refused.to_string().contains(&us) && Lock::is_ours(&refused), "{refused}");
        std::fs::write(directory.path().join(".lock"), "process 1 (fleetkey setup)").unwrap();
        let refused = Lock::take(directory.path()).unwrap_err();
        assert!(refused.to_string().contains("process 1 (") && !Lock::is_ours(&refused), "{refused}");
        drop(first);
        assert_eq!(std::fs::read(directory.path().join(".lock")).unwrap(), b"");
        Lock::take(directory.path()).unwrap();
    }

    #[test]
    fn what_is_let_go_is_free_although_a_child_that_was_just_forked_has_the_file_still() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path()).unwrap();
        let _childs = first.file.try_clone().unwrap();
        drop(first);
        Lock::take(directory.path()).unwrap();
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join("other");
        std::fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, directory.path().join(".lock")).unwrap();
        let refused = Lock::take(directory.path()).unwrap_err();
        assert!(refused.to_string().contains(".lock: it is a link"), "{refused}");
        assert_eq!(std::fs::read(&other).unwrap(), b"kept");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_comes_before_whoever_lets_go_and_wants_it_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let patience = Duration::from_secs(30);
        let (order, told) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let worker = async {
            for round in 0..3 {
                let lock = Lock::within(path, patience, |_| {}).await.unwrap();
                order.borrow_mut().push(format!("work {round}"));
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(lock);
            }
        };
        let panic = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let _lock =
                Lock::within(path, patience, |holder| told.borrow_mut().push(holder.to_owned())).await;
            order.borrow_mut().push("panic".to_owned());
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::join!(worker, panic);
        assert_eq!(order.into_inner(), ["work 0", "panic", "work 1", "work 2"]);
        let told = told.into_inner();
        assert!(matches!(told.as_slice(), [one] if one.starts_with("process ")), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_is_stopped_in_his_turn_keeps_nobody_from_a_free_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let _stopped = attempt(&path.join(".lock.next")).unwrap().unwrap();
        let begun = Instant::now();
        let lock = Lock::within(path, Duration::from_secs(30), |_| {}).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let refused = Lock::within(path, Duration::from_secs(30), |_| {}).await.unwrap_err();
        assert!(refused.to_string().contains(&us()) && Lock::is_ours(&refused), "{refused}");
        drop(lock);
        Lock::within(path, Duration::ZERO, |_| {}).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_says_for_whom_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let lock = Lock::take(directory.path()).unwrap();
        let refused = Lock::within(directory.path(), Duration::from_secs(30), |_| {}).await.unwrap_err();
        assert_eq!(refused.cause.kind(), io::ErrorKind::WouldBlock);
        assert!(
            refused.to_string().contains("for 30 s") && refused.to_string().contains("process "),
            "{refused}"
        );
        drop(lock);
        Lock::within(directory.path(), Duration::ZERO, |_| {}).await.unwrap();
    }
}
