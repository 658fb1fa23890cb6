//! A small state in one JSON file of its own: durable before visible, whole or not at all.
//!
//! For what an account has few of, roles and functions: every change writes the file anew. Things and certificates
//! are [`crate::store`]'s.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::ca::write_private;

/// The newest form of the files that this program reads.
const FORMAT: u32 = 1;

/// Why the file cannot be opened or a change not be made.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The system refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// Read or write.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not what this program wrote.
    #[error("{} is damaged: {source}; restore it from a copy, or remove it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser met.
        source: serde_json::Error,
    },
    /// A later version of this program wrote it.
    #[error("{} has format {found}, this program knows up to {FORMAT}; use the newer program", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The task that writes died.
    #[error("writing died: {0}")]
    Died(#[from] tokio::task::JoinError),
}

/// A state and its file. Clones share both.
#[derive(Debug)]
pub(crate) struct Document<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    path: PathBuf,
    state: RwLock<Arc<T>>,
    turn: Arc<Mutex<()>>,
}

#[derive(Serialize, Deserialize)]
struct File<T> {
    format: u32,
    state: T,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl<T> Clone for Document<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static> Document<T> {
    /// The state in the file at `path`; the default one when there is no such file. Blocks on the disk.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is newer than this program.
    pub(crate) fn open(path: PathBuf) -> Result<Self, DocumentError> {
        let state = match std::fs::read(&path) {
            Ok(text) => parse(&path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => T::default(),
            Err(source) => return Err(DocumentError::File { action: "read", path, source }),
        };
        Ok(Self(Arc::new(Inner { path, state: RwLock::new(Arc::new(state)), turn: Arc::default() })))
    }

    /// The state as it is now.
    pub(crate) fn read(&self) -> Arc<T> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Edits a copy, makes it durable, and only then lets others see it. Changes take turns. Dropping the future
    /// before the edit changes nothing; dropping it later does not undo or tear the change.
    ///
    /// # Errors
    /// Those of `edit`; then nothing is changed. Those of the disk; then nothing is visible.
    pub(crate) async fn change<R, E: From<DocumentError>>(
        &self,
        edit: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let turn = self.0.turn.clone().lock_owned().await;
        let mut state = self.read().as_ref().clone();
        let result = edit(&mut state)?;
        let inner = self.0.clone();
        let written = tokio::task::spawn_blocking(move || inner.put(state, turn)).await;
        written.map_err(DocumentError::Died)??;
        Ok(result)
    }
}

impl<T: Serialize> Inner<T> {
    /// Writes, then shows; the turn ends after both.
    fn put(&self, state: T, turn: OwnedMutexGuard<()>) -> Result<(), DocumentError> {
        let file = File { format: FORMAT, state };
        let failed = |source| DocumentError::File { action: "write", path: self.path.clone(), source };
        let text = serde_json::to_vec(&file).map_err(|error| failed(error.into()))?;
        write_private(&self.path, &text).map_err(failed)?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(file.state);
        drop(turn);
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, DocumentError> {
    let damaged = |source| DocumentError::Damaged { path: path.to_owned(), source };
    let head: Head = serde_json::from_slice(text).map_err(damaged)?;
    if head.format > FORMAT {
        return Err(DocumentError::TooNew { path: path.to_owned(), found: head.format });
    }
    let file: File<T> = serde_json::from_slice(text).map_err(damaged)?;
    Ok(file.state)
}

/// `#[serde(with = "shared")]` for a map of records that are shared, so that a copy of the map copies none of them.
pub(crate) mod shared {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the records.
    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        map: &BTreeMap<String, Arc<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(key, record)| (key, record.as_ref())))
    }

    /// Reads them.
    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Arc<T>>, D::Error> {
        let map = BTreeMap::<String, T>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(key, record)| (key, Arc::new(record))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Words = Document<Vec<String>>;

    async fn push(words: &Words, word: &str) -> Result<(), DocumentError> {
        let edit = |state: &mut Vec<String>| {
            state.push(word.to_owned());
            Ok(())
        };
        words.change(edit).await
    }

    #[tokio::test]
    async fn a_change_outlives_the_program_and_a_refused_one_leaves_no_trace() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("words.json");
        let words = Words::open(path.clone()).unwrap();
        push(&words, "a").await.unwrap();
        let refused = words.change(|state| {
            state.clear();
            Err::<(), _>(DocumentError::TooNew { path: PathBuf::new(), found: 9 })
        });
        refused.await.unwrap_err();
        assert_eq!(*words.read(), ["a"]);
        assert_eq!(*Words::open(path).unwrap().read(), ["a"]);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_not_visible() {
        let directory = tempfile::tempdir().unwrap();
        let words = Words::open(directory.path().join("gone/words.json")).unwrap();
        push(&words, "a").await.unwrap_err();
        assert!(words.read().is_empty());
    }

    #[test]
    fn a_damaged_or_newer_file_is_named_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("words.json");
        for (text, part) in
            [("", "damaged"), (r#"{"format":1,"state":3}"#, "damaged"), (r#"{"format":2}"#, "newer")]
        {
            std::fs::write(&path, text).unwrap();
            let error = Words::open(path.clone()).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("words.json"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
